package serve_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stein-rl/stein/agents"

	"google.golang.org/grpc"

	"github.com/stein-rl/stein/serve/servepb"
)

// The measurements in docs/serving.md: go test ./serve -run '^$' -bench . -benchtime 20000x
var benchConfig = flag.String("config", "walker2d/sac", "configuration of the benchmarks' policy, at its full size")

// BenchmarkInProcess calls the agent in the same program, without a server.
func BenchmarkInProcess(b *testing.B) {
	agent := newRun(b, *benchConfig).learner(b, 1)
	obs := observations(rand.New(rand.NewPCG(1, 1)), 1)
	took := make([]float64, 0, b.N)
	for b.Loop() {
		started := time.Now()
		if _, err := agent.Act(obs, false); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(started).Seconds())
	}
	slices.Sort(took)
	b.ReportMetric(1e6*took[len(took)/2], "p50-µs")
	b.ReportMetric(1e6*took[len(took)*99/100], "p99-µs")
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "answers/s")
}

// BenchmarkBatch measures the engine's time for each batch size.
func BenchmarkBatch(b *testing.B) {
	agent := newRun(b, *benchConfig).learner(b, 1)
	for _, rows := range []int{1, 8, 16, 32, 64} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			oracle, err := agent.(agents.Answerer).Oracle([]int{rows})
			if err != nil {
				b.Fatal(err)
			}
			defer oracle.Close()
			obs := observations(rand.New(rand.NewPCG(1, 1)), rows)
			used, call := processorTime(), uint64(0)
			for b.Loop() {
				call++
				if _, err := oracle.Ask(obs, false, 1, call); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(1e6*(processorTime()-used)/float64(b.N*rows), "cpu-µs/row")
		})
	}
}

// BenchmarkServe measures the server with clients in a separate process, one observation
// per request. BenchmarkEcho is the same with a gRPC server that computes nothing.
func BenchmarkServe(b *testing.B) {
	benchmarkCrowds(b, func(b *testing.B) string {
		r := newRun(b, *benchConfig)
		r.save(b, 1, r.learner(b, 1))
		c := config(b, r)
		c.Limits.Batch = 64
		return start(b, c)
	})
}

func BenchmarkEcho(b *testing.B) {
	benchmarkCrowds(b, func(b *testing.B) string {
		at, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		server := grpc.NewServer()
		servepb.RegisterPoliciesServer(server, echo{})
		go server.Serve(at)
		b.Cleanup(server.Stop)
		return at.Addr().String()
	})
}

// An echo answers at once, with an answer of the same size as a policy's.
type echo struct {
	servepb.UnimplementedPoliciesServer
}

func (echo) Act(context.Context, *servepb.ActRequest) (*servepb.ActResponse, error) {
	return &servepb.ActResponse{Actions: make([]float32, actDim), LogProbs: make([]float32, 1), Entropies: make([]float32, 1), QValues: make([]float32, 1)}, nil
}

func (e echo) Stream(s servepb.Policies_StreamServer) error {
	for {
		r, err := s.Recv()
		if err != nil {
			return nil
		}
		answer, _ := e.Act(s.Context(), r)
		if err := s.Send(answer); err != nil {
			return err
		}
	}
}

func benchmarkCrowds(b *testing.B, open func(*testing.B) (address string)) {
	for _, stream := range []bool{false, true} {
		for _, c := range []crowd{{Clients: 1}, {Clients: 64}, {Clients: 64, Connections: 4}} {
			name := fmt.Sprintf("clients=%d", c.Clients)
			if c.Connections > 0 {
				name += fmt.Sprintf(",connections=%d", c.Connections)
			}
			if c.Stream = stream; stream {
				name = "Stream/" + name
			} else {
				name = "Act/" + name
			}
			b.Run(name, func(b *testing.B) {
				c.Address, c.Requests = open(b), b.N
				used := processorTime()
				b.ResetTimer()
				t := c.run(b)
				b.StopTimer()
				n := float64(t.Answers)
				b.ReportMetric(1e6*t.P50, "p50-µs")
				b.ReportMetric(1e6*t.P99, "p99-µs")
				b.ReportMetric(n/t.Seconds, "answers/s")
				b.ReportMetric(1e6*(processorTime()-used)/n, "server-cpu-µs")
				b.ReportMetric(1e6*t.CPU/n, "clients-cpu-µs")
			})
		}
	}
}
