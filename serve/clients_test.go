package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stein-rl/stein/serve/client"
)

// A crowd is a process with clients that each send one observation after the other.
type crowd struct {
	Address     string
	Clients     int
	Connections int  // shared by the clients; 0: one per client
	Stream      bool // else Act
	Requests    int  // of all clients together
}

// A tally holds the measurements of a crowd.
type tally struct {
	Answers  int
	Seconds  float64 // from the first request to the last answer
	P50, P99 float64 // latency in seconds
	CPU      float64 // processor seconds of the crowd's process
}

const crowdVariable = "STEIN_TEST_CROWD"

// TestMain lets the test binary run as a crowd, so that the clients' processor time is
// not counted as the server's.
func TestMain(m *testing.M) {
	text := os.Getenv(crowdVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var c crowd
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		panic(err)
	}
	t, err := c.ask()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(t)
}

// run runs the crowd in a separate process.
func (c crowd) run(t testing.TB) (got tally) {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), crowdVariable+"="+string(text))
	process.Stderr = os.Stderr
	out, err := process.Output()
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	if err != nil {
		t.Fatalf("clients: %v", err)
	}
	return got
}

func (c crowd) ask() (tally, error) {
	ctx := context.Background()
	conns := make([]*client.Client, max(c.Connections, 1))
	if c.Connections == 0 {
		conns = make([]*client.Client, c.Clients)
	}
	for i := range conns {
		var err error
		if conns[i], err = client.Dial(c.Address, client.Options{}); err != nil {
			return tally{}, err
		}
		defer conns[i].Close()
	}
	asks := make([]func() error, c.Clients)
	for i := range asks {
		conn, obs := conns[i%len(conns)], observations(rand.New(rand.NewPCG(1, uint64(i))), 1)
		asks[i] = func() error { _, err := conn.Act(ctx, obs, client.Ask{}); return err }
		if c.Stream {
			s, err := conn.Stream(ctx)
			if err != nil {
				return tally{}, err
			}
			asks[i] = func() error { _, err := s.Act(obs, client.Ask{}); return err }
		}
		if err := asks[i](); err != nil { // the connection is there
			return tally{}, err
		}
	}
	took, failed := make([][]float64, c.Clients), make([]error, c.Clients)
	var left atomic.Int64
	left.Store(int64(c.Requests))
	var all sync.WaitGroup
	began, used := time.Now(), processorTime()
	for i, ask := range asks {
		all.Go(func() {
			for failed[i] == nil && left.Add(-1) >= 0 {
				started := time.Now()
				failed[i] = ask()
				took[i] = append(took[i], time.Since(started).Seconds())
			}
		})
	}
	all.Wait()
	t := tally{Seconds: time.Since(began).Seconds(), CPU: processorTime() - used}
	each := slices.Concat(took...)
	slices.Sort(each)
	t.Answers, t.P50, t.P99 = len(each), each[len(each)/2], each[len(each)*99/100]
	return t, errors.Join(failed...)
}

// processorTime returns the processor seconds that this process has used so far.
func processorTime() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}
