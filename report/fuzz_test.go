package report_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stein-rl/stein/report"
)

// FuzzRun: whatever the files of a run folder hold, the run is left out with a reason or
// reported, beside one that is sound.
func FuzzRun(f *testing.F) {
	const config = "env: {id: X}\nsteps: 10\n"
	for _, s := range [][3]string{
		{"step,time,eval/mean_reward\n1,1,2\n2,2,3\n", `{"config": "a/b", "seed": 1}`, config},
		{"step,time,eval/mean_reward,policy/score_norm\n1,1,-1e300,1e-300\n2,NaN,+Inf,1e300\n", `{}`, config},
		{"time,step,\"a\nb\"\n", `{"created": "0000-01-01T00:00:00+23:59"}`, "updates: 3\n"},
		{"step,time,eval/fid\n9007199254740992,0,1\n", `null`, "&a {updates: 1, b: *a}"},
		{"\xef\xbb\xbfstep,time,eval/mean_reward\r\n1,1,2\r\n", "\xef\xbb\xbf{\"seed\": \"1\"}", "\xff\xfea\x00:\x001\x00"},
		{"step;time\n" + strings.Repeat("9", 5000) + "\n", `{"created": "yesterday", "sessions": {}}`, config},
		{"step,time,eval/mean_reward\n0,0,1e16\n0,0,10000000000000002\n", `{"seed": 18446744073709551615}`, "? {a: b}\n: c\n"},
	} {
		f.Add([]byte(s[0]), []byte(s[1]), []byte(s[2]))
	}
	dir, out := f.TempDir(), f.TempDir()
	synthetic{config: "hopper/sac", points: 3, every: 100, top: 1}.write(f, filepath.Join(dir, "sound"))
	odd := filepath.Join(dir, "odd")
	synthetic{config: "hopper/sac", points: 1, every: 100, top: 1}.write(f, odd)
	f.Fuzz(func(t *testing.T, metrics, info, config []byte) {
		put(t, odd, "metrics.csv", string(metrics))
		put(t, odd, "run.json", string(info))
		put(t, odd, "config.yaml", string(config))
		r, err := report.New([]string{dir}, report.Options{Bootstrap: report.Bootstrap{Resamples: 2}})
		if err != nil {
			t.Fatal(err)
		}
		if r.Runs+len(r.Left) != 2 {
			t.Errorf("%d runs and %v left out", r.Runs, r.Left)
		}
		if r.Runs < 2 {
			return
		}
		if _, err := r.Write(out); err != nil {
			t.Fatal(err)
		}
	})
}
