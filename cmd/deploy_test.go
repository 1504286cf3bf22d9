package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/stein-rl/stein/internal/python"
)

// tool is a program of the project's Python environment.
func tool(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(must(python.Find(""))), name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no %s: make test installs it (requirements-dev.txt)", name)
	}
	return path
}

// Ensure that the files that other programs read are well-formed, by the linter or
// schema of each: Dockerfile, compose file, workflow, citation. No Docker is needed.
func TestFilesForOthers(t *testing.T) {
	for _, c := range []*exec.Cmd{
		exec.Command(tool(t, "hadolint"), "--config", "../deploy/hadolint.yaml", "../Dockerfile"),
		exec.Command(tool(t, "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "../compose.yaml"),
		exec.Command(tool(t, "check-jsonschema"), "--builtin-schema", "vendor.github-workflows", "../.github/workflows/ci.yml"),
		exec.Command(tool(t, "check-jsonschema"), "--builtin-schema", "vendor.citation-file-format", "../CITATION.cff"),
		exec.Command("sh", "-n", "../deploy/train.sh"),
		exec.Command("bash", "-n", "../scripts/release.sh"),
		// The board is what the script writes.
		exec.Command(must(python.Find("")), "-c", `
import json, sys
sys.path.insert(0, "../deploy")
import board
assert json.load(open("../deploy/grafana/boards/stein.json")) == board.board(), "python deploy/board.py"
`),
	} {
		c.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
		if text, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", c.Args, err, text)
		}
	}
}

// service is what a compose file says of one, as far as this test looks.
type service struct {
	Image       string
	User        string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	Command     []string
	Entrypoint  []string
	Ports       []string
	Volumes     []string
	Environment map[string]string
	Healthcheck map[string]any
	DependsOn   any `yaml:"depends_on"`
}

// Ensure that every service runs as an ordinary user on a root that it can't write,
// that nothing is open beyond this machine, that both workers have keys, that versions
// are pinned, and that what is mounted is there.
func TestCompose(t *testing.T) {
	var file struct {
		Services map[string]service
		Volumes  map[string]any
	}
	if err := yaml.Unmarshal(must(os.ReadFile("../compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"keys", "worker-1", "worker-2", "trainer", "server", "prometheus", "grafana"} {
		if _, ok := file.Services[name]; !ok {
			t.Errorf("no service %s", name)
		}
	}
	for name, s := range file.Services {
		if !s.ReadOnly || s.User == "" || strings.HasPrefix(s.User, "0:") || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: %+v", name, s)
		}
		if s.Image != "stein" && !regexp.MustCompile(`:v?\d+\.\d+\.\d+$`).MatchString(s.Image) {
			t.Errorf("%s: image %s has no version", name, s.Image)
		}
		if s.Image != "stein" && s.Healthcheck["test"] == nil {
			t.Errorf("%s has no health check", name)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s is open at %s", name, port)
			}
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if path, local := strings.CutPrefix(source, "./"); local {
				if _, err := os.Stat("../" + path); err != nil {
					t.Errorf("%s mounts %s: %v", name, source, err)
				}
			} else if _, ok := file.Volumes[source]; !ok {
				t.Errorf("%s mounts %s, which is no volume", name, source)
			}
		}
		if strings.HasPrefix(name, "worker-") && !slices.Contains(s.Command, "--key") {
			t.Errorf("%s listens without a key", name)
		}
	}
	// What they are asked to do is what these commands take.
	trainer := file.Services["trainer"]
	for _, flag := range trainer.Command[1:] {
		name, _, _ := strings.Cut(flag, "=")
		if o := finish(t, stein("train", "--help")); !strings.Contains(o.stdout, name+" ") {
			t.Errorf("stein train has no flag %s", name)
		}
	}
	for _, flag := range file.Services["server"].Command[2:] {
		name, _, _ := strings.Cut(flag, "=")
		if o := finish(t, stein("serve", "--help")); !strings.Contains(o.stdout, name) {
			t.Errorf("stein serve has no flag %s", name)
		}
	}
	// Prometheus asks where they answer.
	asks := string(must(os.ReadFile("../deploy/prometheus.yml")))
	for _, target := range []string{"trainer:9100", "server:9101"} {
		_, port, _ := strings.Cut(target, ":")
		name, _, _ := strings.Cut(target, ":")
		if !strings.Contains(asks, target) || !slices.Contains(file.Services[name].Command, "--metrics=:"+port) {
			t.Errorf("Prometheus does not ask %s, or it does not answer", target)
		}
	}
}

// Ensure that a container's training begins, goes on after a fault, and ends for good
// when it has had its steps: the very script that the image starts.
func TestTrainScript(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in processes of its own")
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(must(filepath.Abs(os.Args[0])), filepath.Join(bin, "stein")); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "training")
	script := func(args ...string) outcome {
		c := stein()
		c.Path, c.Args = "/bin/sh", append([]string{"sh", "../deploy/train.sh", folder}, args...)
		c.Env = append(c.Env, "STEIN_BACKEND=go:ops_sequential", "PATH="+bin+":"+os.Getenv("PATH"), "STEIN_CONFIG=pendulum/sac")
		return finish(t, c)
	}
	// Something that was begun and never trained.
	if err := os.MkdirAll(filepath.Join(folder, "checkpoints"), 0o700); err != nil {
		t.Fatal(err)
	}
	quick := append(slices.Clone(small), "--steps", "60", "--eval-freq", "0", "--eval-episodes", "1")
	if o := script(append(quick, "--steps", "120", "--set", "env.id=Nowhere-v1")...); o.code == 0 {
		t.Fatalf("%+v", o)
	}
	if o := script(quick...); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	if o := script("--steps", "60"); o.code != 0 || !strings.Contains(o.stderr, "has its 60 steps") {
		t.Errorf("%+v", o)
	}
	config := filepath.Join(folder, "config.yaml")
	more := strings.Replace(string(must(os.ReadFile(config))), "steps: 60\n", "steps: 90\n", 1)
	if err := os.WriteFile(config, []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := script(); o.code != 0 || !strings.Contains(o.stderr, `"from_step":60`) {
		t.Errorf("%+v", o)
	}
	if o := script(); o.code != 0 || !strings.Contains(o.stderr, "has its 90 steps") {
		t.Errorf("%+v", o)
	}
}
