package experiments

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/runs"
)

// bars writes a folder of grey pictures of 8×8, a bright column in each.
func bars(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 40 {
		img := image.NewGray(image.Rect(0, 0, 8, 8))
		column := rng.IntN(8)
		for y := range 8 {
			for x := range 8 {
				v := uint8(20 + rng.IntN(20))
				if x == column {
					v = 230
				}
				img.SetGray(x, y, color.Gray{Y: v})
			}
		}
		var data bytes.Buffer
		if err := png.Encode(&data, img); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i/26))+string(rune('a'+i%26))+".png"), data.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// small makes a configuration one that runs in seconds, on those pictures.
func small(t *testing.T, name, pictures string, more ...string) ImageConfig {
	t.Helper()
	if strings.Contains(name, "glow") {
		more = append([]string{"model.initial={levels: 1, steps: 1, hidden: 4}"}, more...)
	}
	cfg, err := ResolveImages(name, "", append([]string{
		"seed=1", "data={name: folder, path: " + pictures + ", size: 8, grey: true}",
		"model={particles: 6, batch_size: 6, energy: {channels: [4]}}",
		"eval={extractor: none, every: 0, samples: 6, pictures: 0}", "log.every=1", "updates=20",
	}, more...))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// train trains an image model in a folder that it makes, or goes on in.
func train(ctx context.Context, t *testing.T, cfg ImageConfig, dir string, resume bool, watch runs.Watcher) (ImageResult, error) {
	t.Helper()
	folder, err := runs.Create(dir, "", "small", cfg)
	if resume {
		folder, err = runs.Open(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	return ImageTraining{
		Config: cfg, Folder: folder, Resume: resume, Watch: watch, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}.Train(ctx)
}

// Ensure that all nine configurations, and Glow by likelihood, take twenty updates from
// end to end, with the figures that each is there for.
func TestNine(t *testing.T) {
	if testing.Short() {
		t.Skip("trains nine image models")
	}
	always := []string{"energy/data", "energy/samples", "energy/gap", "sampler/score_norm", "samples/spread", "train/energy_loss"}
	density := []string{"sampler/entropy", "train/sampler_loss"}
	svgd := append([]string{"sampler/sigma", "sampler/sigma_median", "sampler/epsilon", "sampler/epsilon_used", "sampler/acceptance", "sampler/stein_identity"}, density...)
	bound := append([]string{"sampler/epsilon_bound", "sampler/bound_share"}, svgd...)
	figures := map[string][]string{
		"ebm/glow": density, "ebm/langevin": {"sampler/epsilon"}, "ebm/p-svgd": svgd, "ebm/met-sigma": bound,
		"ebm/met-sigma-eps": bound, "ebm/met-sigma-eps-notrace": bound, "ebm/met-sigma-eps-nobound": svgd,
		"ebm/met-lc": append([]string{"sampler/steps_taken"}, bound...), "ebm/met-mh": append([]string{"sampler/rejection"}, bound...),
		"ebm/met-sigma-eps-far": bound, "ebm/met-lc-far": append([]string{"sampler/steps_taken"}, bound...),
	}
	pictures := bars(t)
	for _, name := range ImageNames() {
		t.Run(name, func(t *testing.T) {
			steps := 1 // what takes the time is compiling each of them
			switch name {
			case "ebm/glow", "ebm/glow-likelihood":
				steps = 0
			case "ebm/met-lc", "ebm/met-lc-far":
				steps = 2
			}
			dir := t.TempDir()
			cfg := small(t, name, pictures, fmt.Sprintf("model.sampler.steps=%d", steps))
			res, err := train(t.Context(), t, cfg, dir, false, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.Update != 20 || res.Diverged != nil {
				t.Fatalf("ended after update %d, %+v", res.Update, res.Diverged)
			}
			table, err := runs.ReadTable(dir)
			if err != nil {
				t.Fatal(err)
			}
			wanted := append(figures[name], always...)
			if name == "ebm/glow-likelihood" {
				wanted = []string{"train/bits_per_dim", "train/likelihood_loss"}
			}
			for _, figure := range wanted {
				_, values := table.Series(figure)
				if len(values) != 20 {
					t.Errorf("%s has %d values of 20", figure, len(values))
				}
				for _, x := range values {
					if math.IsInf(x, 0) {
						t.Errorf("%s is %v", figure, x)
					}
				}
			}
			if _, err := os.Stat(filepath.Join(dir, resultName)); err != nil {
				t.Error(err)
			}
		})
	}
}

// stopper ends a training at an update.
type stopper struct {
	at   int64
	stop func()
}

func (stopper) Record(int64, agents.Metrics) error { return nil }
func (stopper) Start(_, _ int64)                   {}
func (s stopper) Stepped(update int64) {
	if update == s.at {
		s.stop()
	}
}

// Ensure that a training that was interrupted and resumed ends in the very weights, chains
// included, of one that was not.
func TestImagesResumeExactly(t *testing.T) {
	if testing.Short() {
		t.Skip("trains image models")
	}
	pictures, more := bars(t), []string{"model.sampler.steps=2", "model.chains.size=10", "updates=8"}
	cfg := small(t, "langevin", pictures, more...)
	whole, parted := t.TempDir(), t.TempDir()
	if _, err := train(t.Context(), t, cfg, whole, false, nil); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	res, err := train(ctx, t, cfg, parted, false, stopper{3, stop})
	if err != nil || !res.Interrupted || res.Update != 3 {
		t.Fatalf("stopped in update 3: %+v, %v", res, err)
	}
	if res, err = train(t.Context(), t, cfg, parted, true, nil); err != nil || res.Update != 8 {
		t.Fatalf("resumed: %+v, %v", res, err)
	}
	for _, name := range []string{"model.safetensors", "model.json", chainsFile} {
		a, errA := os.ReadFile(filepath.Join(runs.Checkpoints(whole), "step-000000008", name))
		b, errB := os.ReadFile(filepath.Join(runs.Checkpoints(parted), "step-000000008", name))
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from that of a training in one go", name)
		}
	}
	table, err := runs.ReadTable(parted)
	if err != nil {
		t.Fatal(err)
	}
	if steps, _ := table.Series("energy/gap"); len(steps) != 8 {
		t.Errorf("records at %v, want one of each of 8 updates", steps)
	}
}

// Ensure that a divergence is a result: where and why, in the folder too.
func TestImagesDivergence(t *testing.T) {
	if testing.Short() {
		t.Skip("trains an image model")
	}
	dir := t.TempDir()
	cfg := small(t, "langevin", bars(t), "model.sampler.steps=1", "model.chains.size=10", "model.diverged.spread=0.01")
	res, err := train(t.Context(), t, cfg, dir, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.Diverged == nil || res.Diverged.Update != 1 {
		t.Fatalf("ended as %+v", res)
	}
	text, err := os.ReadFile(filepath.Join(dir, resultName))
	if err != nil || !bytes.Contains(text, []byte(res.Diverged.Cause)) {
		t.Errorf("%s: %s, %v", resultName, text, err)
	}
}
