package sampler_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/sampler"
)

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func floorUpdate(in []*Node, m, steps int) []*Node {
	state, obs, mean, logStd := in[0], in[1], in[2], in[3]
	q1, q2 := critic(in[6:13], obs), critic(in[13:20], obs)
	target := sampler.LogDensity(func(x *Node) *Node { return MulScalar(Min(q1(x), q2(x)), 1/benchAlpha) })
	x, lq := sampler.DiagonalGaussian{Mean: mean, Std: Exp(logStd)}.Draw(sampler.KeyNoise{Key: sampler.NewKey(state)}, m)
	for l := range steps {
		p := sampler.KeyNoise{Key: sampler.NewKey(state)}.Sign(sampler.ForProbe, l, x.Shape())
		s := sampler.Evaluate(target, x, []*Node{p})
		x = Add(x, MulScalar(s.Score, 0.1))
		lq = Sub(lq, ReduceSum(Mul(p, s.HessV[0]), -1))
	}
	lp, _ := target.Score(x)
	loss := ReduceAllMean(Sub(lq, lp))
	return append([]*Node{loss}, Gradient(loss, mean, logStd)...)
}

func TestZZProf(t *testing.T) {
	m, _ := strconv.Atoi(os.Getenv("M"))
	if m == 0 {
		m = 10
	}
	variants := map[string]func(in []*Node) []*Node{
		"met": policyUpdate(met, m),
		"floor": func(in []*Node) []*Node { return floorUpdate(in, m, benchSteps) },
		"nobound": policyUpdate(func(a, b sampler.Scale) sampler.Sampler {
			v := met(a, b).(sampler.SVGD)
			v.Bound.Kind = 0
			return v
		}, m),
		"psvgd": policyUpdate(func(a, b sampler.Scale) sampler.Sampler {
			v := met(a, b).(sampler.SVGD)
			v.Bound.Kind = 0
			v.Trace.HessianTrace = false
			return v
		}, m),
	}
	for name, f := range variants {
		if w := os.Getenv("V"); w != "" && w != name {
			continue
		}
		rng := rand.New(rand.NewPCG(1, 2))
		exec := MustNewExec(enginetest.Backend(t), f)
		state, _ := RNGStateFromSeed(1)
		logStd := tensors.FromScalarAndDimensions(float32(-1), benchStates, benchActions)
		args := append([]any{
			state, uniform(rng, 1.7, benchStates, benchObs), uniform(rng, 1e-9, benchStates, benchActions), logStd,
			tensors.FromScalar(float32(0)), tensors.FromScalar(float32(math.Log(0.1))),
		}, twinCritics(rng)...)
		t0 := time.Now()
		loss := exec.MustExec(args...)[0].Value()
		compile := time.Since(t0)
		exec.MustExec(args...)
		n := 0
		best := time.Hour
		c0, t0 := cpu(), time.Now()
		for time.Since(t0) < 4*time.Second {
			t1 := time.Now()
			exec.MustExec(args...)
			best = min(best, time.Since(t1))
			n++
		}
		fmt.Printf("%-10s M=%d loss %v compile %v  best %v  cpu/op %v\n", name, m, loss, compile, best, (cpu()-c0)/time.Duration(n))
	}
}
