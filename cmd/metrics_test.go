package cmd_test

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/stein-rl/stein/internal/python"
	"github.com/stein-rl/stein/serve/client"
)

// scrape asks as a Prometheus server does.
func scrape(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, answer.Status, err)
	}
	return all
}

// steinInGo is stein computing in pure Go: for tests of everything but speed, whose
// graphs XLA would take longer to compile than to run.
func steinInGo(args ...string) *exec.Cmd {
	c := stein(args...)
	c.Env = append(c.Env, "STEIN_BACKEND=go:ops_sequential")
	return c
}

// A logged line has what every line of a log has, and what only some have.
type logged struct{ Time, Level, Msg, Run, URL string }

// logLines collect what a process logs, line by line.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

// follow reads until the process closes its end.
func (j *logLines) follow(from io.Reader) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		j.mu.Lock()
		j.lines = append(j.lines, lines.Text())
		j.mu.Unlock()
	}
}

// all decodes every line, each of which must be an object.
func (j *logLines) all(t *testing.T) (found []logged) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		var l logged
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Time == "" || l.Level == "" || l.Msg == "" {
			t.Fatalf("%v in %q", err, line)
		}
		found = append(found, l)
	}
	return found
}

// url is the address of the line that tells where metrics are.
func (j *logLines) url(t *testing.T) (url string) {
	t.Helper()
	eventually(t, func() bool {
		for _, l := range j.all(t) {
			if l.Msg == "metrics" {
				url = l.URL
			}
		}
		return url != ""
	})
	return url
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not happen within %v", patience)
		}
	}
}

// background starts a command whose standard error is collected, and interrupts
// it where the test ends earlier than it.
func background(t *testing.T, c *exec.Cmd) *logLines {
	t.Helper()
	j := &logLines{}
	from, to := io.Pipe()
	c.Stderr = to
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var read sync.WaitGroup
	read.Go(func() { j.follow(from) })
	t.Cleanup(func() {
		if c.ProcessState == nil {
			_ = c.Process.Signal(syscall.SIGTERM)
			_ = ended(t, c)
		}
		to.Close()
		read.Wait()
	})
	return j
}

// worker starts a simulator worker as one on another machine is started.
func worker(t *testing.T) (endpoint string, log *logLines) {
	t.Helper()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint = "tcp://" + at.Addr().String()
	at.Close()
	c := exec.Command(must(python.Find("")), "-m", "stein_env.worker", "--listen", endpoint)
	c.Env = append(os.Environ(), "PYTHONPATH="+must(filepath.Abs("../python_env")))
	return endpoint, background(t, c)
}

// value sums a counter's or gauge's values, or a histogram's counts.
func value(f *dto.MetricFamily) (sum float64) {
	for _, m := range f.GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return sum
}

// Ensure that a training tells Prometheus how it goes while it goes, that one id is in
// all that is told of a run, by it, its workers and its server, and that the board and
// the documents know these figures by their names.
func TestMetrics(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in a process of its own")
	}
	endpoint, workerLog := worker(t)
	dir := filepath.Join(t.TempDir(), "watched")
	c := steinInGo("train", "--config", "multigoal/met-sigma-eps", "--run-dir", dir, "--metrics", "127.0.0.1:0", "--envs", endpoint,
		"--steps", "1000000", "--eval-freq", "100", "--eval-episodes", "1", "--save-freq", "100", "--log-freq", "20", "--set", "policy={hidden: [8], sampler: {steps: 1}}",
		"--set", "agent={particles: 2, critic: {hidden: [8]}}", "--set", "schedule={batch_size: 8, random_steps: 20, learning_starts: 20, train_every: 2, fused_updates: 2}")
	log := background(t, c)
	url := log.url(t)
	var found map[string]*dto.MetricFamily
	eventually(t, func() bool {
		found = scrape(t, url)
		return value(found["stein_train_updates_total"]) > 0 && found["stein_eval_mean_reward"] != nil && found["stein_train_checkpoint_step"] != nil
	})
	steps := value(found["stein_train_steps_total"])
	// A step is counted when its outcome is in the memory; the next is under way.
	if waits := value(found["stein_bridge_wait_seconds"]); steps < 100 || waits < steps-1 {
		t.Errorf("%g steps, %g waits for the bridge", steps, waits)
	}
	eventually(t, func() bool { return value(scrape(t, url)["stein_train_steps_total"]) > steps })
	healthy(t, url)
	healthy(t, endpoint)
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, c); err != nil {
		t.Fatal(err)
	}

	id := log.all(t)[0].Run
	for _, l := range log.all(t) {
		if l.Run != id || id == "" {
			t.Errorf("%+v, want run %s", l, id)
		}
	}
	for name, f := range found {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["run"] != id {
				t.Errorf("%s has the labels %v, want run %s", name, labels, id)
			}
		}
	}
	if last := workerLog.all(t); !strings.Contains(last[1].Msg, "opened stein/MultiGoal-v0 x 1") || last[1].Run != id {
		t.Errorf("the worker says %+v, want run %s", last, id)
	}

	maps.Copy(found, served(t, dir, id))
	known := map[string]bool{}
	for name := range found {
		known[name] = true
	}
	board := string(must(os.ReadFile("../deploy/grafana/boards/stein.json")))
	asked := regexp.MustCompile(`\b(stein|go|process)_[a-z0-9_]+`).FindAllString(board, -1)
	if len(asked) < 30 {
		t.Errorf("the board asks for %v", asked)
	}
	for _, name := range asked {
		if !known[name] && !known[strings.TrimSuffix(name, "_bucket")] && !known[strings.TrimSuffix(name, "_sum")] && !known[strings.TrimSuffix(name, "_count")] {
			t.Errorf("the board asks for %s, which nobody tells", name)
		}
	}
	documents := string(must(os.ReadFile("../docs/metrics.md"))) + string(must(os.ReadFile("../docs/serving.md")))
	figure := regexp.MustCompile(`^stein_(train|rollout|eval|policy|time|replay)_(.*)$`)
	for name := range known {
		if f := figure.FindStringSubmatch(name); f != nil && (strings.Contains(documents, "`"+f[1]+"/"+f[2]+"`") || strings.Contains(documents, "`"+f[2]+"`")) {
			continue
		}
		if strings.HasPrefix(name, "stein_") && !strings.Contains(documents, "`"+name+"`") {
			t.Errorf("no document explains %s", name)
		}
	}
}

// served is what a server of a run tells Prometheus after a request.
func served(t *testing.T, dir, id string) map[string]*dto.MetricFamily {
	t.Helper()
	c := steinInGo("serve", "walk="+dir, "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--batch", "1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log := background(t, c)
	line, err := bufio.NewReader(out).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "serving at ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	healthy(t, "grpc://"+address)
	policies, err := client.Dial(address, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer policies.Close()
	if _, err := policies.Act(t.Context(), make([]float32, 2), client.Ask{}); err != nil {
		t.Fatal(err)
	}
	found := scrape(t, log.url(t))
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, c); err != nil {
		t.Error(err)
	}
	if _, code := stein("health", "grpc://"+address).CombinedOutput(); code == nil {
		t.Error("a server that has ended is healthy")
	}
	ready := false
	for _, l := range log.all(t) {
		ready = ready || l.Msg == "policy ready" && l.Run == id
	}
	if !ready {
		t.Errorf("no line of the policy with run %s", id)
	}
	return found
}

// healthy asks as the health check of a container does.
func healthy(t *testing.T, url string) {
	t.Helper()
	c := stein("health")
	c.Env = append(c.Env, "STEIN_HEALTH="+url)
	if text, err := c.CombinedOutput(); err != nil {
		t.Errorf("health of %s: %v, %s", url, err, text)
	}
}

// Ensure that addresses that make no sense are told at once.
func TestMetricsRefusals(t *testing.T) {
	for _, args := range [][]string{
		{"health", "nowhere"}, {"health", "ftp://127.0.0.1:1"}, {"health"},
		append([]string{"train", "--config", "pendulum/sac", "--metrics", "nowhere", "--run-dir", filepath.Join(t.TempDir(), "r")}, small...),
	} {
		if o := finish(t, stein(args...)); o.code != 2 {
			t.Errorf("%v: %+v", args, o)
		}
	}
	if o := finish(t, stein("health", "tcp://127.0.0.1:1")); o.code != 1 {
		t.Errorf("a port that nobody listens at: %+v", o)
	}
}
