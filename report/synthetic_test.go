package report_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/settings"
	"github.com/stein-rl/stein/runs"
)

// A synthetic run folder has what experiments leaves, with made-up figures.
type synthetic struct {
	config string
	sets   []string
	seed   uint64
	points int     // evaluations
	every  int     // steps between them
	top    float64 // return that it comes to
}

// write makes the folder.
func (s synthetic) write(tb testing.TB, dir string) {
	tb.Helper()
	seed := runs.Seed(s.seed)
	cfg, err := experiments.Builtin().Resolve(s.config, append(s.sets, fmt.Sprintf("steps=%d", s.points*s.every)))
	if err != nil {
		tb.Fatal(err)
	}
	cfg.Seed = &seed
	text, err := settings.Encode(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	info, err := json.Marshal(runs.Info{ID: filepath.Base(dir), Config: s.config, Seed: seed, Build: runs.ThisBuild()})
	if err != nil {
		tb.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(s.seed, uint64(len(s.config))))
	pace := 0.7 + 0.6*rng.Float64()
	offset := 0.06 * rng.NormFloat64() * math.Abs(s.top)
	var rows strings.Builder
	rows.WriteString("step,time,eval/mean_reward,policy/score_norm,train/critic_loss,policy/sigma\n")
	for i := 1; i <= s.points; i++ {
		x := float64(i) / float64(s.points)
		value := (s.top+offset)*(1-math.Exp(-4*pace*x)) + 0.03*math.Abs(s.top)*rng.NormFloat64()
		fmt.Fprintf(&rows, "%d,%g,%g,,,\n", i*s.every, 3*float64(i), value)
		fmt.Fprintf(&rows, "%d,%g,,%g,%g,%g\n", i*s.every, 3*float64(i), math.Exp(3*x+0.3*rng.NormFloat64()), 2+rng.Float64(), 0.5+x)
	}
	for name, data := range map[string][]byte{"config.yaml": text, "run.json": info, "metrics.csv": []byte(rows.String())} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
}

// writeImages makes a run folder of an image model whose distance falls to least.
func writeImages(tb testing.TB, dir, config string, seed uint64, metric string, least float64, sets ...string) {
	tb.Helper()
	plan, err := experiments.Builtin().Plan(config, "", append(sets, fmt.Sprintf("seed=%d", seed)))
	if err != nil {
		tb.Fatal(err)
	}
	info, err := json.Marshal(runs.Info{ID: filepath.Base(dir), Config: config, Seed: runs.Seed(seed), Build: runs.ThisBuild()})
	if err != nil {
		tb.Fatal(err)
	}
	var rows strings.Builder
	fmt.Fprintf(&rows, "step,time,%s,sampler/score_norm\n", metric)
	for i := 1; i <= 8; i++ {
		fmt.Fprintf(&rows, "%d,%d,%g,%g\n", 250*i, i, least*(1+1/float64(i)), float64(i)+float64(seed))
	}
	for name, data := range map[string][]byte{"config.yaml": plan.Text, "run.json": info, "metrics.csv": []byte(rows.String())} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
}

// published are the configurations of Walker2d with a published figure, and what
// their made-up runs come to.
var published = map[string]float64{
	"sac": 4300, "sac-nf": 4000, "p-svgd": 4200, "met-sigma": 4350, "met-sigma-eps-notrace": 1500, "met-sigma-eps": 4500,
	"met-sigma-eps-nobound": 2900, "met-lc-m10": 4600, "met-mh-m10": 4650, "met-mh-greedy-m10": 4700, "met-m64": 4680,
	"met-lc-m64": 4500, "met-mh-m64": 4720, "met-mh-greedy-m64": 4850,
}

// matrix writes 14 configurations × seeds.
func matrix(tb testing.TB, dir string, seeds, points int) {
	tb.Helper()
	for name, top := range published {
		for seed := range seeds {
			synthetic{config: "walker2d/" + name, seed: uint64(seed), points: points, every: 1_000_000 / points, top: top}.
				write(tb, filepath.Join(dir, fmt.Sprintf("walker2d-%s-s%d", name, seed)))
		}
	}
}
