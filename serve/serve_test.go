package serve_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/runs"

	"github.com/gomlx/gomlx/core/tensors"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/stein-rl/stein/serve"
	"github.com/stein-rl/stein/serve/client"
	"github.com/stein-rl/stein/serve/servepb"
)

var (
	requests = flag.Int("requests", 3000, "requests of TestLoad")
	reloads  = flag.Int("reloads", 20, "checkpoints that TestReload takes over")
)

func observations(rng *rand.Rand, rows int) []float32 {
	obs := make([]float32, rows*obsDim)
	for i := range obs {
		obs[i] = float32(rng.NormFloat64())
	}
	return obs
}

func near(a, b []float32, tolerance float64) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Abs(float64(x-y)) <= tolerance })
}

// Ensure that the server answers as the agent does in process: greedy actions, values,
// and random actions with their density.
func TestAnswers(t *testing.T) {
	r := newRun(t, "pendulum/sac", small...)
	agent := r.learner(t, 7)
	r.save(t, 100, agent)
	c := dial(t, start(t, config(t, r)), client.Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	for _, rows := range []int{1, 2, 8, 9, 30} { // also more than a batch
		obs := observations(rng, rows)
		best, err := c.Act(t.Context(), obs, client.Ask{Deterministic: true})
		if err != nil {
			t.Fatal(err)
		}
		want, err := agent.Act(obs, true)
		if err != nil {
			t.Fatal(err)
		}
		if !near(best.Actions, want, 1e-5) || len(best.LogProbs) != 0 || len(best.Entropies) != rows || best.Step != 100 {
			t.Errorf("%d rows: %+v, want actions %v", rows, best, want)
		}
		drawn, err := c.Act(t.Context(), obs, client.Ask{})
		if err != nil {
			t.Fatal(err)
		}
		if len(drawn.Actions) != rows*actDim || len(drawn.LogProbs) != rows || near(drawn.Actions, want, 1e-3) {
			t.Errorf("%d rows: %+v", rows, drawn)
		}
		for i := range rows {
			if drawn.Entropies[i] != -drawn.LogProbs[i] { // the estimate of a single draw
				t.Errorf("row %d: entropy %g, log π %g", i, drawn.Entropies[i], drawn.LogProbs[i])
			}
		}
		for _, answer := range []client.Answer{best, drawn} {
			last := rows - 1
			p, err := agent.(portrayer).Portrait(obs[last*obsDim:], 1, answer.Actions[last*actDim:])
			if err != nil {
				t.Fatal(err)
			}
			if !near(answer.QValues[last:], p.Value, 1e-4) {
				t.Errorf("row %d: value %g, want %g", last, answer.QValues[last], p.Value)
			}
		}
	}
}

// Ensure that equal seeds give equal draws regardless of other requests, that requests
// without a seed differ, and that greedy actions of particles repeat.
func TestSeeds(t *testing.T) {
	gaussian := newRun(t, "pendulum/sac", small...)
	gaussian.save(t, 1, gaussian.learner(t, 1))
	particles := newRun(t, "walker2d/p-svgd", append(small, "agent.particles=4")...)
	particles.save(t, 1, particles.learner(t, 1))
	address := start(t, config(t, gaussian, particles))
	obs := observations(rand.New(rand.NewPCG(3, 4)), 3)
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	for range 4 {
		c := dial(t, address, client.Options{})
		others.Go(func() {
			for ctx.Err() == nil {
				c.Act(ctx, obs, client.Ask{Policy: "a"})
				c.Act(ctx, obs, client.Ask{Policy: "b", Deterministic: true})
			}
		})
	}
	defer others.Wait()
	defer cancel()
	c := dial(t, address, client.Options{})
	ask := func(a client.Ask) string {
		answer, err := c.Act(t.Context(), obs, a)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(answer)
	}
	for _, policy := range []string{"a", "b"} {
		one, two, none := client.Ask{Policy: policy, Seed: ptr(uint64(1))}, client.Ask{Policy: policy, Seed: ptr(uint64(2))}, client.Ask{Policy: policy}
		best := client.Ask{Policy: policy, Deterministic: true}
		for range 5 {
			first, other, free := ask(one), ask(two), ask(none)
			if ask(one) != first || first == other || ask(none) == free {
				t.Errorf("%s: draws don't follow from the seed", policy)
			}
		}
		first, err := c.Act(t.Context(), obs, best)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			again, err := c.Act(t.Context(), obs, best)
			if err != nil || !near(first.Actions, again.Actions, 1e-5) {
				t.Errorf("%s: best actions %v, then %v, %v", policy, first.Actions, again.Actions, err)
			}
		}
	}
}

// Ensure that with concurrent mixed requests each client gets its own answer and none
// fails.
func TestLoad(t *testing.T) {
	r := newRun(t, "pendulum/sac", small...)
	agent := r.learner(t, 7)
	r.save(t, 1, agent)
	c := config(t, r)
	c.Limits.Batch = 64
	address := start(t, c)
	const clients = 64
	var failed, done atomic.Int64
	var all sync.WaitGroup
	rng := rand.New(rand.NewPCG(5, 6))
	for range clients {
		obs := observations(rng, 1+rng.IntN(5))
		want, err := agent.Act(obs, true)
		if err != nil {
			t.Fatal(err)
		}
		want = slices.Clone(want)
		c := dial(t, address, client.Options{})
		all.Go(func() {
			for i := 0; done.Add(1) <= int64(*requests); i++ {
				answer, err := c.Act(t.Context(), obs, client.Ask{Deterministic: i%2 == 0})
				if err != nil || i%2 == 0 && !near(answer.Actions, want, 1e-5) || len(answer.Actions) != len(want) {
					if failed.Add(1) == 1 {
						t.Errorf("%v, %v, want %v", err, answer.Actions, want)
					}
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d requests of %d clients, %d wrong", *requests, clients, failed.Load())
}

// Ensure that newer checkpoints are loaded while clients send requests, that no request
// is lost, that each answer comes from the checkpoint it names, and that a damaged
// checkpoint is ignored.
func TestReload(t *testing.T) {
	r := newRun(t, "pendulum/sac", small...)
	learners := []agents.Learner{r.learner(t, 1), r.learner(t, 2)} // for even and odd steps
	r.save(t, 0, learners[0])
	c := config(t, r)
	c.Reload = 10 * time.Millisecond
	address := start(t, c)
	obs := observations(rand.New(rand.NewPCG(1, 1)), 2)
	var want [2][]float32
	for i, l := range learners {
		action, err := l.Act(obs, true)
		if err != nil {
			t.Fatal(err)
		}
		want[i] = slices.Clone(action)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var asked, dropped atomic.Int64
	var step atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		c := dial(t, address, client.Options{})
		clients.Go(func() {
			for ctx.Err() == nil {
				answer, err := c.Act(context.Background(), obs, client.Ask{Deterministic: true})
				asked.Add(1)
				if err != nil || !near(answer.Actions, want[answer.Step%2], 1e-5) {
					dropped.Add(1)
					continue
				}
				step.Store(answer.Step)
			}
		})
	}
	for i := 1; i <= *reloads; i++ {
		r.save(t, int64(i), learners[i%2])
		waitFor(t, func() bool { return step.Load() == int64(i) })
	}
	// The server must never see this checkpoint undamaged, so it is moved into place damaged.
	elsewhere, name := r, fmt.Sprintf("step-%09d", *reloads+1)
	elsewhere.dir = t.TempDir()
	elsewhere.save(t, int64(*reloads+1), learners[0])
	damaged := filepath.Join(runs.Checkpoints(elsewhere.dir), name)
	if err := os.Truncate(filepath.Join(damaged, "agent.safetensors"), 50); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(damaged, filepath.Join(runs.Checkpoints(r.dir), name)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	cancel()
	clients.Wait()
	if dropped.Load() != 0 || step.Load() != int64(*reloads) {
		t.Errorf("%d of %d requests dropped or answered wrongly; at step %d", dropped.Load(), asked.Load(), step.Load())
	}
	t.Logf("%d reloads, %d requests, %d dropped", *reloads, asked.Load(), dropped.Load())
}

func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 20 s")
		}
	}
}

// Ensure that a full queue is reported, and that accepted requests are answered.
func TestBackPressure(t *testing.T) {
	r := newRun(t, "walker2d/p-svgd", append(small, "agent.particles=4")...)
	r.save(t, 1, r.learner(t, 1))
	c := config(t, r)
	c.Limits = serve.Limits{Batch: 1, Queue: 4, Wait: -1}
	cl := dial(t, start(t, c), client.Options{})
	obs := observations(rand.New(rand.NewPCG(1, 1)), 1)
	var full, fine atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 10 {
				switch _, err := cl.Act(t.Context(), obs, client.Ask{}); status.Code(err) {
				case codes.OK:
					fine.Add(1)
				case codes.ResourceExhausted:
					full.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if full.Load() == 0 || fine.Load() == 0 {
		t.Errorf("%d answered, %d refused", fine.Load(), full.Load())
	}
	if _, err := cl.Act(t.Context(), obs, client.Ask{}); err != nil {
		t.Errorf("after the rush: %v", err)
	}
}

// Ensure that invalid, late and overflowing requests get a specific error and do not
// affect other requests.
func TestRefusals(t *testing.T) {
	r := newRun(t, "pendulum/sac", small...)
	steep := r.learner(t, 1) // so that a large number overflows
	tensors.MustMutableFlatData(steep.Store().GetVariable("/policy/gaussian/hidden_0/weights").MustValue(), func(flat []float32) {
		for i := range flat {
			flat[i] *= 1e5
		}
	})
	r.save(t, 1, steep)
	c := config(t, r)
	c.Limits.Queue = 10
	cl := dial(t, start(t, c), client.Options{})
	nan := float32(math.NaN())
	for _, x := range []struct {
		obs  []float32
		ask  client.Ask
		code codes.Code
		want string
	}{
		{nil, client.Ask{}, codes.InvalidArgument, "got no observation"},
		{make([]float32, 4), client.Ask{}, codes.InvalidArgument, "got 4 numbers, not a multiple of the observation size 3"},
		{make([]float32, 33), client.Ask{}, codes.InvalidArgument, "got 11 observations in one request, the limit is 10"},
		{[]float32{0, 0, 0, 0, nan, 0}, client.Ask{}, codes.InvalidArgument, "number 1 of observation 1 is NaN"},
		{[]float32{0, 3e38, 0}, client.Ask{Seed: ptr(uint64(1))}, codes.InvalidArgument, "outside the range that the networks can process"},
		{make([]float32, 3), client.Ask{Policy: "z"}, codes.NotFound, `unknown policy "z"; this server has a`},
	} {
		_, err := cl.Act(t.Context(), x.obs, x.ask)
		if status.Code(err) != x.code || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%v: %v, want %v: %s", x.obs, err, x.code, x.want)
		}
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(50*time.Microsecond))
	defer cancel()
	if _, err := cl.Act(late, make([]float32, 3), client.Ask{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("late: %v", err)
	}
}

// Ensure that streams answer in order, and that a client that never reads does not delay
// other clients.
func TestStream(t *testing.T) {
	r := newRun(t, "pendulum/sac", small...)
	r.save(t, 1, r.learner(t, 1))
	address := start(t, config(t, r))
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	deaf, err := servepb.NewPoliciesClient(conn).Stream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	go func() { // until the windows of both sides are full
		for deaf.Send(&servepb.ActRequest{Observations: make([]float32, 8*obsDim)}) == nil {
		}
	}()
	ordered, err := servepb.NewPoliciesClient(conn).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const n = 50
	for i := range uint64(n) {
		if err := ordered.Send(&servepb.ActRequest{Observations: make([]float32, obsDim), Id: i}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(n) {
		answer, err := ordered.Recv()
		if err != nil || answer.Id != i {
			t.Fatalf("answer %d: %v, %v", i, answer, err)
		}
	}
	if err := ordered.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := ordered.Recv(); err == nil || err.Error() != "EOF" {
		t.Errorf("after the end: %v", err)
	}
	loop, err := dial(t, address, client.Options{}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := loop.Act(make([]float32, obsDim), client.Ask{Deterministic: true}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := loop.Act(nil, client.Ask{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("an empty question: %v", err)
	}
}

// removing is a log handler that removes a folder at the first message.
type removing struct {
	slog.Handler
	dir string
}

func (r removing) Enabled(context.Context, slog.Level) bool      { return true }
func (r removing) Handle(_ context.Context, _ slog.Record) error { return os.RemoveAll(r.dir) }

// Ensure that a checkpoint which a training removes while it is read is no error: another
// one is there.
func TestCheckpointRemovedMeanwhile(t *testing.T) {
	r := newRun(t, "pendulum/sac", small...)
	for step := range int64(3) {
		r.save(t, 1+step, r.learner(t, 1))
	}
	step := func(n int) string { return filepath.Join(runs.Checkpoints(r.dir), fmt.Sprintf("step-%09d", n)) }
	// The newest is damaged, which is logged once the one before it was opened.
	if err := os.Truncate(filepath.Join(step(3), "agent.safetensors"), 10); err != nil {
		t.Fatal(err)
	}
	a, err := experiments.Builtin().OpenActor(enginetest.Backend(t), r.dir, "last", slog.New(removing{slog.DiscardHandler, step(2)}))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.At.Step != 1 {
		t.Errorf("step %d, want that of the checkpoint that is left", a.At.Step)
	}
}

// Ensure that a server reports its policies by name, its health and its schema.
func TestSpec(t *testing.T) {
	one, two := newRun(t, "pendulum/sac", small...), newRun(t, "walker2d/sac", small...)
	two.spec.Bounds = &envbridge.Bounds{Low: []float64{-2, 0}, High: []float64{2, 1}}
	two.spec.ObsShape, two.spec.ActShape = []int{1, obsDim}, []int{actDim}
	one.save(t, 10, one.learner(t, 1))
	two.save(t, 20, two.learner(t, 1))
	address := start(t, config(t, one, two))
	specs, err := dial(t, address, client.Options{}).Specs(t.Context(), "")
	if err != nil || len(specs) != 2 {
		t.Fatal(specs, err)
	}
	if s := specs[1]; s.Name != "b" || s.Env != two.cfg.Env.ID || s.ObsDim != obsDim || s.ActDim != actDim || s.Kind != "gaussian" || s.Step != 20 || s.Batch != 8 {
		t.Errorf("%v", s)
	}
	if s := specs[1]; !slices.Equal(s.ActLow, []float64{-2, 0}) || !slices.Equal(s.ActHigh, []float64{2, 1}) || !slices.Equal(s.ObsShape, []uint32{1, obsDim}) || !slices.Equal(s.ActShape, []uint32{actDim}) {
		t.Errorf("bounds and shapes: %v", s)
	}
	if scaled, err := client.Scale([]float32{-1, 1, 0, -2}, specs[1]); err != nil || !slices.Equal(scaled, []float64{-2, 1, 0, 0}) {
		t.Errorf("scaled to %v, %v", scaled, err)
	}
	if scaled, err := client.Scale([]float32{0, 0, 0}, specs[1]); err == nil {
		t.Errorf("three numbers for two bounds: %v", scaled)
	}
	// However long a name, the answer is an error of the server's own.
	if _, err := dial(t, address, client.Options{}).Specs(t.Context(), strings.Repeat("x", 1e5)); status.Code(err) != codes.NotFound {
		t.Errorf("a long name: %v", err)
	}
	// A checkpoint of an older version or an imported model has no bounds.
	if scaled, err := client.Scale([]float32{0, 0}, specs[0]); err == nil || len(specs[0].ActLow)+len(specs[0].ActHigh)+len(specs[0].ObsShape) != 0 {
		t.Errorf("%v, scaled to %v", specs[0], scaled)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, service := range []string{"", servepb.Policies_ServiceDesc.ServiceName} {
		h, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || h.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v, %v", service, h, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "stein.serve.v1.Policies"}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	if answer, err := stream.Recv(); err != nil || len(answer.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("reflection: %v, %v", answer, err)
	}
}

// A portrayer computes the values and densities of actions.
type portrayer interface {
	Portrait(obs []float32, times int, actions []float32) (agents.Portrait, error)
}

// Ensure that a deterministic agent is served: the same action for both kinds of request,
// its value, and neither log-probability nor entropy.
func TestDeterministicAgent(t *testing.T) {
	r := newRun(t, "pendulum/td3", "agent={actor: {hidden: [16]}, critic: {hidden: [16]}}")
	r.save(t, 1, r.learner(t, 1))
	c := dial(t, start(t, config(t, r)), client.Options{})
	specs, err := c.Specs(t.Context(), "")
	if err != nil || len(specs) != 1 || specs[0].Algorithm != "td3" || specs[0].Particles != 1 {
		t.Fatalf("%+v, %v", specs, err)
	}
	obs := observations(rand.New(rand.NewPCG(1, 1)), 3)
	best, err := c.Act(t.Context(), obs, client.Ask{Deterministic: true})
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := c.Act(t.Context(), obs, client.Ask{})
	if err != nil {
		t.Fatal(err)
	}
	if !near(best.Actions, drawn.Actions, 1e-6) || len(drawn.Actions) != 3*actDim || len(drawn.QValues) != 3 || len(drawn.LogProbs)+len(drawn.Entropies) != 0 {
		t.Errorf("%+v, %+v", best, drawn)
	}
}
