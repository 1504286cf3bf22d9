package cmd_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/stein-rl/stein/envbridge"
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
	for end := time.Now().Add(90 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 90 s")
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
			_ = c.Wait()
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
	c := exec.Command(must(envbridge.FindPython("")), "-m", "stein_env.worker", "--listen", endpoint)
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

// Ensure that a training tells Prometheus how it goes while it goes, and that one id
// is in all that is told of a run: figures, log lines, those of its workers.
func TestTrainMetrics(t *testing.T) {
	endpoint, workerLog := worker(t)
	dir := filepath.Join(t.TempDir(), "watched")
	c := stein(append(append([]string{"train", "--config", "pendulum/sac", "--run-dir", dir}, small...),
		"--metrics", "127.0.0.1:0", "--envs", endpoint, "--steps", "1000000", "--log-format", "auto")...)
	var out bytes.Buffer
	c.Stdout = &out
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

	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("%v, %s", err, out.String())
	}
	id := ""
	for _, l := range log.all(t) {
		if id = l.Run; id == "" {
			t.Errorf("no run in %+v", l)
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
	if last := workerLog.all(t); !strings.Contains(last[1].Msg, "opened Pendulum-v1 x 1") || last[1].Run != id {
		t.Errorf("the worker says %+v, want run %s", last, id)
	}
	if refused := train(t, filepath.Join(t.TempDir(), "r"), "--metrics", "nowhere"); refused.code != 2 {
		t.Errorf("an address that is none: %+v", refused)
	}
}
