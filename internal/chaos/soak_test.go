//go:build linux

package chaos

import (
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stein-rl/stein/serve/client"
)

var (
	soakFor = flag.Duration("soak", 0, "how long TestSoak trains, serves and breaks; 0: not at all (make soak)")
	soakOut = flag.String("soak-out", "", "`FOLDER` for TestSoak's soak.csv and soak.png; empty: none")
)

const (
	soakCycle = 30 * time.Second // a sample is taken at the end of each, in a quiet moment
	soakRow   = 5000             // environment steps between rows of the metrics
	soakBatch = 20_000           // and between checkpoints
)

// A soak is a training and a server of its checkpoints, kept busy and broken for long.
type soak struct {
	place
	*testing.T
	rng            *rand.Rand
	trainer        *process
	trainerMetrics string
	server         server
	began          time.Time
	answers, wrong atomic.Int64
	why            atomic.Value
	kills          int
	samples        []sample
	out            *csv.Writer
}

// TestSoak: make soak. Ensure that a training and a server that are watched, asked and
// broken all the time need no more memory, goroutines and files after long than after
// a while, and no more room on the disk than what is written down for them.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("not asked for: make soak, or -soak 30m")
	}
	patience = 5 * time.Minute
	s := &soak{place: newPlace(t), T: t, rng: dice(t), trainerMetrics: freeAddress(t)}
	s.begin()
	for end := s.began.Add(*soakFor); time.Now().Before(end); {
		s.cycle()
	}
	s.trainer.signal(t, syscall.SIGTERM)
	s.trainer.wantCode(t, 0)
	s.server.end(t)
	if got := s.wantCheckpoints(t); got != due(got.Step) {
		t.Errorf("counters %+v, want %+v", got, due(got.Step))
	}
	s.judge()
	if *soakOut != "" {
		if err := drawSoak(s.samples, filepath.Join(*soakOut, "soak.png")); err != nil {
			t.Error(err)
		}
	}
}

func (s *soak) begin() {
	s.trainer = s.train(s.T, "--steps", "1000000000", "--workers", "2", "--set", "env.timeout=30s", "--metrics", s.trainerMetrics,
		"--backend", "", "--log-level", "info", "--log-freq", number(soakRow), "--save-freq", number(soakBatch),
		"--eval-freq", number(2*soakBatch), "--set", "replay.capacity=20000")
	s.trainer.until(s.T, "a checkpoint", func() bool {
		found, _ := filepath.Glob(s.path("run/checkpoints/step-*"))
		return len(found) > 0
	})
	s.server = s.serve(s.T, "--backend", "")
	s.began = time.Now()
	if *soakOut != "" {
		f := must(os.Create(filepath.Join(*soakOut, "soak.csv")))(s.T)
		s.Cleanup(func() { f.Close() })
		s.out = csv.NewWriter(f)
		s.out.Write(soakColumns())
	}
}

// cycle asks and breaks for a while, and then looks what is left of it.
func (s *soak) cycle() {
	ctx, cancel := context.WithTimeout(context.Background(), soakCycle-5*time.Second)
	defer cancel()
	var clients sync.WaitGroup
	for i := range 4 {
		rng := rand.New(rand.NewPCG(s.rng.Uint64(), uint64(i)))
		clients.Go(func() { s.client(ctx, rng) })
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(2+s.rng.IntN(6)) * time.Second):
			s.accident()
		}
	}
	clients.Wait()
	s.sample()
}

// client asks, in streams and without, on connections that it opens and leaves.
func (s *soak) client(ctx context.Context, rng *rand.Rand) {
	for ctx.Err() == nil {
		c, err := client.Dial(s.server.address, client.Options{})
		if err != nil {
			s.Error(err)
			return
		}
		ask := func() error {
			within, done := context.WithTimeout(context.Background(), patience)
			defer done()
			_, err := c.Act(within, question, client.Ask{Deterministic: rng.IntN(2) == 0})
			return err
		}
		var stream *client.Stream
		if rng.IntN(2) == 0 {
			if stream, err = c.Stream(context.Background()); err == nil {
				ask = func() error { _, err := stream.Act(question, client.Ask{}); return err }
			}
		}
		for n := rng.IntN(500); err == nil && n > 0 && ctx.Err() == nil; n-- {
			if err = ask(); err == nil {
				s.answers.Add(1)
			}
			time.Sleep(time.Duration(rng.IntN(10)) * time.Millisecond) // a control loop's pace
		}
		if err != nil {
			s.wrong.Add(1)
			s.why.Store(err)
			s.Logf("a request failed after %v: %v", time.Since(s.began), err)
		}
		if stream != nil {
			stream.Close()
		}
		c.Close()
	}
}

// accident does one thing to the run or to the server.
func (s *soak) accident() {
	switch s.rng.IntN(4) {
	case 0:
		for range 50 {
			leavings[s.rng.IntN(len(leavings))](s.T, s.server.address)
		}
	case 1: // a worker drags
		pid := s.worker()
		syscall.Kill(pid, syscall.SIGSTOP)
		time.Sleep(time.Duration(s.rng.IntN(1000)) * time.Millisecond)
		syscall.Kill(pid, syscall.SIGCONT)
	default:
		s.replaced()
		time.Sleep(time.Second) // a step between: three failures without one end a run
		syscall.Kill(s.worker(), syscall.SIGKILL)
		s.kills++
	}
}

// replaced waits until the trainer has as many workers as it is to have, at work.
func (s *soak) replaced() {
	s.trainer.until(s.T, "replacements of all workers killed so far", func() bool {
		return len(s.trainer.logs.named("worker ready"))-3 >= len(s.trainer.logs.named("worker failed, restarting it"))
	})
}

// worker is one of the trainer's.
func (s *soak) worker() int {
	var workers []int
	s.trainer.until(s.T, "workers", func() bool {
		workers = slices.DeleteFunc(s.processes(), func(pid int) bool { return pid == s.trainer.pid() || pid == s.server.pid() })
		return len(workers) > 0
	})
	return workers[s.rng.IntN(len(workers))]
}

// A sample is what a soak has in hand at a moment.
type sample struct {
	minutes, step, answers, failures, kills, reloads float64
	trainer, server                                  holds
	workersMB                                        float64
	checkpointsMB, logsKB, metricsKB, rows           float64
}

func soakColumns() []string {
	return strings.Split("minutes,step,answers,failures,kills,reloads,"+
		"trainer_mb,trainer_goroutines,trainer_files,server_mb,server_goroutines,server_files,"+
		"workers_mb,checkpoints_mb,logs_kb,metrics_kb,metrics_rows", ",")
}

func (a sample) row() (cells []string) {
	for _, x := range []float64{
		a.minutes, a.step, a.answers, a.failures, a.kills, a.reloads,
		a.trainer.megabytes, a.trainer.goroutines, a.trainer.files, a.server.megabytes, a.server.goroutines, a.server.files,
		a.workersMB, a.checkpointsMB, a.logsKB, a.metricsKB, a.rows,
	} {
		cells = append(cells, fmt.Sprint(math.Round(x*1000)/1000))
	}
	return cells
}

// sample looks at everything, once the last accident and the last client are over.
func (s *soak) sample() {
	s.trainer.until(s.T, "three workers", func() bool { return len(s.processes()) == 5 })
	s.replaced()
	for end := time.Now().Add(20 * time.Second); s.server.holds(s.T).goroutines > s.fewest(); time.Sleep(time.Second) {
		if time.Now().After(end) {
			s.server.signal(s.T, syscall.SIGQUIT) // says what they are
			<-s.server.done
			s.Fatalf("more than the %g goroutines of the server's first quiet moment:\n%s", s.fewest(), strings.Join(s.server.logs.text, "\n"))
		}
	}
	time.Sleep(time.Second)
	server := must(scrape(s.server.metrics))(s.T)
	trainer := must(scrape(s.trainerMetrics))(s.T)
	a := sample{
		minutes: time.Since(s.began).Minutes(), step: float64(s.step()), answers: float64(s.answers.Load()), failures: float64(s.wrong.Load()),
		kills: float64(s.kills), reloads: server[`stein_serve_reloads_total{policy="run"}`],
		trainer: holds{trainer["go_goroutines"], trainer["process_open_fds"], trainer["process_resident_memory_bytes"] / (1 << 20)},
		server:  s.server.holds(s.T),
	}
	for _, pid := range s.processes() {
		if pid != s.trainer.pid() && pid != s.server.pid() {
			a.workersMB += residentMB(pid)
		}
	}
	a.checkpointsMB = s.bytes("checkpoints/*/*") / (1 << 20)
	a.logsKB, a.metricsKB = s.bytes("log*.jsonl")/1024, (s.bytes("metrics.*")+s.bytes("events.*"))/1024
	a.rows = a.step / soakRow
	s.samples = append(s.samples, a)
	s.Logf("%5.1f min, step %.0f, %.0f answers: trainer %+v, server %+v", a.minutes, a.step, a.answers, a.trainer, a.server)
	if s.out != nil {
		s.out.Write(a.row())
		s.out.Flush()
	}
}

// fewest is how many goroutines the server is to come down to: as many as at first.
func (s *soak) fewest() float64 {
	if len(s.samples) == 0 {
		return math.Inf(1)
	}
	return s.samples[0].server.goroutines
}

func (s *soak) bytes(pattern string) (sum float64) {
	files, _ := filepath.Glob(filepath.Join(s.path("run"), pattern))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			sum += float64(info.Size())
		}
	}
	return sum
}

func residentMB(pid int) float64 {
	statm, err := os.ReadFile(proc(pid, "statm"))
	var size, resident int64
	if _, scanned := fmt.Sscan(string(statm), &size, &resident); errors.Join(err, scanned) != nil {
		return 0
	}
	return float64(resident*int64(os.Getpagesize())) / (1 << 20)
}

// The most that a run's files may take: docs/results/soak.md says why.
const (
	logLimitKB     = 2 * 10 << 10 // log.jsonl and the one before it
	rowLimitKB     = 4            // of a row in metrics.csv, metrics.jsonl and TensorBoard's file
	growthMB       = 16           // that memory may differ after the warm-up, and 5 % besides
	checkpointsMax = 5            // the newest three, the best, and one that is being written
)

// judge compares the second quarter of the time with the last.
func (s *soak) judge() {
	if s.wrong.Load() > 0 {
		s.Errorf("%d requests failed: %v", s.wrong.Load(), s.why.Load())
	}
	n := len(s.samples)
	if n < 4 {
		s.Logf("%d samples are too few to tell growth: soak for longer", n)
		return
	}
	early, late := s.samples[n/4:n/2], s.samples[n-n/4:]
	for name, of := range map[string]func(sample) float64{
		"the trainer": func(a sample) float64 { return a.trainer.megabytes },
		"the server":  func(a sample) float64 { return a.server.megabytes },
		"its workers": func(a sample) float64 { return a.workersMB },
	} {
		before, after := median(early, of), median(late, of)
		s.Logf("%s: %.1f MB, then %.1f MB", name, before, after)
		if after > 1.05*before+growthMB {
			s.Errorf("%s grows: %.0f MB after the warm-up, %.0f MB at the end", name, before, after)
		}
	}
	for name, of := range map[string]func(sample) float64{
		"goroutines of the trainer": func(a sample) float64 { return a.trainer.goroutines },
		"goroutines of the server":  func(a sample) float64 { return a.server.goroutines },
		"files of the trainer":      func(a sample) float64 { return a.trainer.files },
		"files of the server":       func(a sample) float64 { return a.server.files },
	} {
		// One more or less is a file that is being written, or a client that is just leaving.
		if before, after := slices.Min(column(early, of)), slices.Min(column(late, of)); before != after {
			s.Errorf("%s: at least %g after the warm-up, %g at the end", name, before, after)
		}
	}
	last, one := s.samples[n-1], s.samples[0].checkpointsMB // of the first few, before the memory is full
	if most := slices.Max(column(s.samples, func(a sample) float64 { return a.checkpointsMB })); most > checkpointsMax*s.checkpointMB() {
		s.Errorf("checkpoints take %.1f MB, one %.1f MB (at first %.1f MB)", most, s.checkpointMB(), one)
	}
	if last.logsKB > logLimitKB {
		s.Errorf("the log takes %.0f KB, its limit is %d KB", last.logsKB, logLimitKB)
	}
	if last.metricsKB > rowLimitKB*(last.rows+last.step/(2*soakBatch)+2) {
		s.Errorf("metrics take %.0f KB for %.0f rows", last.metricsKB, last.rows)
	}
}

// checkpointMB is the size of the newest checkpoint.
func (s *soak) checkpointMB() float64 {
	return s.bytes(fmt.Sprintf("checkpoints/step-%09d/*", s.newest(s.T).Step)) / (1 << 20)
}

func column(samples []sample, of func(sample) float64) (all []float64) {
	for _, a := range samples {
		all = append(all, of(a))
	}
	return all
}

func median(samples []sample, of func(sample) float64) float64 {
	all := column(samples, of)
	slices.Sort(all)
	return all[len(all)/2]
}
