package experiments

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/agents/sac"
	"github.com/stein-rl/stein/images/ebm"
	"github.com/stein-rl/stein/internal/settings"
	"github.com/stein-rl/stein/policies"
)

// Ensure that every embedded configuration resolves, has a line about it, and that
// what is saved in a run folder reads back to the same.
func TestEmbeddedConfigs(t *testing.T) {
	names := Names()
	if len(names) < 3 {
		t.Fatalf("only %v", names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			catalog := Builtin()
			catalog.Warn = func(text string) { t.Error(text) }
			cfg, err := catalog.Resolve(name, nil)
			if err != nil {
				t.Fatal(err)
			}
			if cfg.About == "" {
				t.Error("no line about it")
			}
			dir := t.TempDir()
			out, err := settings.Encode(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "config.yaml"), out, 0o644); err != nil {
				t.Fatal(err)
			}
			again, err := Builtin().Reread(dir, nil)
			if err != nil {
				t.Fatalf("%v in\n%s", err, out)
			}
			cfg.Policy.Of, again.Policy.Of, cfg.Agent.Of, again.Agent.Of = nil, nil, nil, nil
			if !reflect.DeepEqual(cfg, again) {
				t.Errorf("read back\n%+v, want\n%+v", again, cfg)
			}
		})
	}
}

// Ensure that parts/defaults.yaml shows every key, and the learner's own defaults.
func TestDefaultsAreComplete(t *testing.T) {
	cfg, err := Builtin().Resolve("walker2d/sac-sb3", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := sac.Defaults(); !reflect.DeepEqual(cfg.Agent.Value, want) {
		t.Errorf("agent\n%+v, but sac.Defaults() has\n%+v", cfg.Agent.Value, want)
	}
	if want := agents.DefaultSchedule(); cfg.Schedule != want {
		t.Errorf("schedule\n%+v, but agents.DefaultSchedule() has\n%+v", cfg.Schedule, want)
	}
	text, err := embedded.ReadFile("configs/" + defaults + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Policy = settings.Kind[policies.Policy]{} // a kind brings its own keys
	all, err := settings.Encode(cfg)
	if err != nil {
		t.Fatal(err)
	}
	explained := keyPaths(t, text)
	for path := range keyPaths(t, all) {
		if !explained[path] {
			t.Errorf("no key %s", path)
		}
	}
}

// keyPaths are the keys of a YAML text, with the keys that they are under.
func keyPaths(t *testing.T, text []byte) map[string]bool {
	t.Helper()
	var root any
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	var walk func(under string, v any)
	walk = func(under string, v any) {
		m, _ := v.(map[string]any)
		for key, value := range m {
			paths[under+key] = true
			walk(under+key+".", value)
		}
	}
	walk("", root)
	return paths
}

func TestResolveErrors(t *testing.T) {
	dir := t.TempDir()
	for file, text := range map[string]string{
		"loop.yaml":    "extends: [loop.yaml]",
		"above.yaml":   "extends: [typo.yaml]",
		"typo.yaml":    "env: {id: X}\nstpes: 4\nagent: {gama: 1}",
		"missing.yaml": "extends: [walker2d/sax]",
		"old.yaml":     "version: 0\nenv: {id: X}",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		sets []string
		want []string
	}{
		{"walker2d/sax", nil, []string{"did you mean walker2d/sac?", "stein configs"}},
		{filepath.Join(dir, "none.yaml"), nil, []string{"no such file"}},
		{filepath.Join(dir, "loop.yaml"), nil, []string{"extends itself"}},
		{filepath.Join(dir, "above.yaml"), nil, []string{
			"typo.yaml:2: stpes: unknown key; did you mean steps?", "typo.yaml:3: agent.gama: unknown key; did you mean gamma?"}},
		{filepath.Join(dir, "missing.yaml"), nil, []string{"extends walker2d/sax", "did you mean walker2d/sac?"}},
		{filepath.Join(dir, "old.yaml"), nil, []string{"version: 0 is older"}},
		{"walker2d/sac", []string{"agent.gamma=2", "env.id="}, []string{"--set agent.gamma=2: agent.gamma: 2: want > 0, <= 1"}},
		{"walker2d/sac", []string{"env.id=''"}, []string{"env.id is missing"}},
		{"walker2d/sac-sb3", []string{"replay.capacity=100"}, []string{"replay.capacity: 100 is smaller than a batch of 256"}},
		{"walker2d/sac", []string{"policy.hidden=[1000000]"}, []string{"policy.hidden: 1000000: want > 0, <= 16384"}},
		{"walker2d/sac", []string{"env.timeout=-1s"}, []string{"env.timeout: -1s: want >= 0"}},
		{"walker2d/sac", []string{"env.max_steps=4294967297"}, []string{"env.max_steps: 4294967297: want >= 0, <= 2147483647"}},
		{"walker2d/sac", []string{"engine.threads=100000"}, []string{"engine.threads: 100000: want >= 0, <= 1024"}},
		{"walker2d/sac", []string{"env.workers=100000"}, []string{"env.workers: 100000: want >= 1, <= 1024"}},
		{"walker2d/sac", []string{"policy.kind=gausian"}, []string{"did you mean gaussian?"}},
	} {
		_, err := Builtin().Resolve(c.name, c.sets)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %v: error\n%v, want\n%s", c.name, c.sets, err, want)
			}
		}
	}
}

// Ensure that each kind refuses the keys of the others by name, and says what it takes.
func TestKeysOfAnotherKind(t *testing.T) {
	for _, c := range []struct {
		images bool
		config string
		set    string
		want   string // empty: valid
	}{
		{false, "walker2d/sac", "replay.exponent=0.5", "replay.exponent: kind uniform has no exponent (prioritized has); it takes capacity"},
		{false, "walker2d/sac", "replay={kind: uniform, weight: 0.5}", "replay.weight: kind uniform has no weight (prioritized has); it takes capacity"},
		{false, "walker2d/sac", "replay={kind: prioritized, exponent: 0.5, weight: 0.5}", ""},
		{false, "walker2d/sac", "replay={kind: prioritised}", "did you mean prioritized?"},
		{false, "walker2d/p-svgd", "policy.sampler.bound.alpha=0.5", "policy.sampler.bound.alpha: kind off has no alpha (spectral, frobenius have); it takes no other key"},
		{false, "walker2d/p-svgd", "policy.sampler.bound={kind: frobenius, alpha: 0.5}", ""},
		{false, "walker2d/p-svgd", "policy.sampler.bound.kind=spektral", "did you mean spectral?"},
		{false, "walker2d/p-svgd", "policy.sampler.step_size.rate=0.5", "policy.sampler.step_size.rate: kind fixed has no rate (decaying has); it takes value"},
		{false, "walker2d/p-svgd", "policy.sampler.bandwidth.value=0.5", "policy.sampler.bandwidth.value: kind median has no value (fixed, learned, per-step, network, decaying have); it takes no other key"},
		{false, "walker2d/p-svgd", "policy.log_std_min=1", "policy.log_std_min: unknown key"},
		{false, "walker2d/td3", "agent.alpha=1", "agent.alpha: unknown key"},
		{true, "ebm/langevin", "model.initial.levels=3", "model.initial.levels: kind gaussian has no levels (glow has); it takes start, std, std_min, std_max"},
		{true, "ebm/langevin", "model.initial.components=3", "model.initial.components: kind gaussian has no components (mixture has); it takes start, std, std_min, std_max"},
		{true, "ebm/glow", "model.initial.std=3", "model.initial.std: kind glow has no std (gaussian, mixture have); it takes levels, steps, hidden"},
		{true, "ebm/met-sigma-eps-far", "model.initial.components=3", ""},
		{true, "ebm/glow", "model.initial.levels=1", ""},
		{true, "ebm/p-svgd", "model.sampler.bound.clamp=leaky", "model.sampler.bound.clamp: kind off has no clamp (spectral, frobenius have); it takes no other key"},
	} {
		resolve := func() error { _, err := Builtin().Resolve(c.config, []string{c.set}); return err }
		if c.images {
			resolve = func() error { _, err := ResolveImages(c.config, "", []string{c.set}); return err }
		}
		err := resolve()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), "--set "+c.set) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s --set %s: error %v, want %q", c.config, c.set, err, c.want)
		}
	}
}

// Ensure that a change of kind brings the defaults of the new one, and that a size applies
// to the kind that a configuration selects.
func TestDefaultsOfKinds(t *testing.T) {
	cfg, err := Builtin().Resolve("walker2d/sac", []string{"replay.kind=prioritized"})
	if want := (Replay{Kind: "prioritized", Capacity: 1_000_000, Exponent: 0.6, Weight: 0.4}); err != nil || cfg.Replay != want {
		t.Errorf("%+v, want %+v; error %v", cfg.Replay, want, err)
	}
	for name, want := range map[string]ebm.Initial{
		"ebm/glow":              {Kind: "glow", Levels: 3, Steps: 16, Hidden: 256},
		"ebm/met-sigma-eps":     {Kind: "gaussian", Start: "data", Std: 0.5, StdMin: 0.01, StdMax: 2},
		"ebm/met-sigma-eps-far": {Kind: "mixture", Start: "data", Std: 0.5, StdMin: 0.01, StdMax: 2, Components: 32},
	} {
		cfg, err := ResolveImages(name, "paper", nil)
		if err != nil || cfg.Model.Initial != want {
			t.Errorf("%s: %+v, want %+v; error %v", name, cfg.Model.Initial, want, err)
		}
	}
}

// Ensure that the line beats the file, and the file what it extends.
func TestPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(path, []byte("extends: [pendulum/sac]\nsteps: 5\nagent: {gamma: 0.9}"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := Builtin().Resolve(path, []string{"agent.tau=0.5", "agent.gamma=0.8", "policy={hidden: [8]}", "env.kwargs={g: 9.81}"})
	if err != nil {
		t.Fatal(err)
	}
	g := cfg.Policy.Value.(policies.Gaussian)
	agent := cfg.Agent.Value.(sac.Config)
	if cfg.Steps != 5 || agent.Gamma != 0.8 || *agent.Tau != 0.5 || cfg.Env.ID != "Pendulum-v1" || cfg.Schedule.RandomSteps != 100 {
		t.Errorf("%+v", cfg)
	}
	if !reflect.DeepEqual(g.Hidden, []int{8}) || g.LogStdMax != 2 || cfg.Env.Kwargs["g"] != 9.81 {
		t.Errorf("%+v, %v", g, cfg.Env.Kwargs)
	}
}
