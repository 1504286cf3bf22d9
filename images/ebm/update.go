package ebm

import (
	"maps"
	"math"
	"slices"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/random"
	"github.com/stein-rl/stein/sampler"
)

// The inputs of an update: M particles and N images. The last two exist only with
// persistent chains.
const (
	inProgress = iota // scalar
	inKey             // uint64 [3]
	inData            // [N, H, W, C]
	inChains          // [M, D]
	inFresh           // bool [M], which chains start anew
	inCount
)

// updateGraph is one update. It returns whether all numbers were finite, bool; the
// figures, [F] in the order of m.figures; and the samples, [M, D].
func (m *Model) updateGraph(scope *model.Scope, in []*Node) []*Node {
	figures, ok, x := m.step(scope, in)
	stacked := make([]*Node, len(m.figures))
	for i, name := range m.figures {
		stacked[i] = ConvertDType(figures[name], dtypes.Float32)
	}
	return []*Node{ok, Stack(stacked, 0), x}
}

// step builds both losses and takes a gradient step of both parts.
func (m *Model) step(scope *model.Scope, in []*Node) (figures map[string]*Node, ok, x *Node) {
	if !m.contrastive() {
		return m.likelihoodStep(scope, in)
	}
	g := in[inData].Graph()
	key := random.NewKey(in[inKey])
	net := m.cfg.Energy.build(scope.At(energyScope), g, m.shape)
	run := m.run(scope, net, key.Fold(0), in)
	x = StopGradient(run.X) // [1, M, D]

	data := in[inData]
	if m.cfg.DataNoise > 0 {
		data = Add(data, Mul(key.Fold(1).Normal(data.Shape()), m.dataNoise(in[inProgress])))
	}
	figures = m.runFigures(run)
	energyLoss := m.energyLoss(net, data, x, figures)
	samplerLoss := m.samplerLoss(scope, run, figures)

	ok = m.descend(scope, figures, func() { m.follow(net, g) },
		nn.Part{Scope: energyScope, Loss: energyLoss, Rate: m.cfg.EnergyLR, Clip: m.cfg.GradClip},
		nn.Part{Scope: samplerScope, Loss: samplerLoss, Rate: m.cfg.SamplerLR, Clip: m.cfg.GradClip})
	return figures, ok, Reshape(x, m.cfg.Particles, -1)
}

// descend takes a gradient step of every part with a loss, then calls after. If a loss or
// a gradient is not finite, no variable changes and ok is false.
func (m *Model) descend(scope *model.Scope, figures map[string]*Node, after func(), parts ...nn.Part) (ok *Node) {
	g := parts[0].Loss.Graph()
	before := nn.Remember(m.store, g)
	for _, part := range parts {
		if part.Loss == nil {
			continue
		}
		norm := nn.Adam{Epsilon: m.cfg.AdamEps, Beta1: m.cfg.Beta1}.Step(scope, part)
		figures["train/grad_norm_"+part.Scope] = norm
		sound := And(IsFinite(part.Loss), IsFinite(norm))
		if ok == nil {
			ok = sound
		} else {
			ok = And(ok, sound)
		}
	}
	if after != nil {
		after()
	}
	before.Unless(ok)
	return ok
}

// dataNoise is the standard deviation of the noise on the data, scalar. It decreases
// geometrically with progress.
func (m *Model) dataNoise(progress *Node) *Node {
	end := Const(progress.Graph(), float32(m.cfg.DataNoise))
	if m.cfg.DataNoiseStart == 0 {
		return end
	}
	return Mul(end, Exp(MulScalar(OneMinus(progress), math.Log(m.cfg.DataNoiseStart/m.cfg.DataNoise))))
}

// energyLoss is E_q[f] − E_data[f] plus the regularisers, scalar: data [N, H, W, C], x
// [1, M, D].
func (m *Model) energyLoss(net *network, data, x *Node, figures map[string]*Node) *Node {
	real, drawn := net.f(data), net.particles(x)
	fReal, fDrawn := ReduceAllMean(real), ReduceAllMean(drawn)
	loss := Sub(fDrawn, fReal)
	figures["energy/data"], figures["energy/samples"] = StopGradient(fReal), StopGradient(fDrawn)
	figures[gapFigure] = StopGradient(Neg(loss))
	if m.cfg.Magnitude > 0 {
		square := Add(ReduceAllMean(Square(real)), ReduceAllMean(Square(drawn)))
		loss = Add(loss, MulScalar(square, m.cfg.Magnitude))
	}
	if m.cfg.GradientPenalty > 0 {
		slope := Gradient(ReduceAllSum(real), data)[0]
		penalty := MulScalar(ReduceAllSum(Square(slope)), 1/float64(data.Shape().Dim(0)))
		figures["energy/slope"] = StopGradient(penalty)
		loss = Add(loss, MulScalar(penalty, m.cfg.GradientPenalty))
	}
	figures["train/energy_loss"] = StopGradient(loss)
	return loss
}

// samplerLoss is E[log q − f/τ], the divergence of q from p up to log Z, scalar; nil if
// the sampler has no density or nothing to learn.
func (m *Model) samplerLoss(scope *model.Scope, run sampler.Result, figures map[string]*Node) *Node {
	if run.LogQ == nil || m.cfg.SamplerLR == 0 {
		return nil
	}
	loss := m.meanAlive(run, Sub(run.LogQ, run.LogP))
	figures["train/sampler_loss"] = StopGradient(loss)
	return loss
}

// meanAlive is the mean of x [1, M] over the living particles.
func (m *Model) meanAlive(run sampler.Result, x *Node) *Node {
	if run.Alive == nil {
		return ReduceAllMean(x)
	}
	alive := StopGradient(run.Alive)
	count := MaxScalar(ReduceAllSum(ConvertDType(alive, x.DType())), 1)
	return Div(ReduceAllSum(Where(alive, x, ZerosLike(x))), count)
}

// follow updates the average of the weights and runs the power iterations.
func (m *Model) follow(net *network, g *Graph) {
	for _, step := range net.follow {
		step()
	}
	for v := range m.store.Scope(averageScope).IterVariables() {
		now, old := m.store.GetVariable(averaged(v)).NodeValue(g), v.NodeValue(g)
		v.SetNodeValue(Add(MulScalar(old, m.cfg.Average), MulScalar(now, 1-m.cfg.Average)))
	}
}

// likelihoodStep fits only the initial distribution, by the likelihood of the data.
func (m *Model) likelihoodStep(scope *model.Scope, in []*Node) (figures map[string]*Node, ok, x *Node) {
	g := in[inData].Graph()
	initial := scope.At(samplerScope).At(initialScope)
	logP := m.cfg.Initial.glow(m.shape).LogProb(initial, in[inData]) // [N]
	loss := MulScalar(ReduceAllMean(logP), -1/float64(m.shape.Size()))
	figures = map[string]*Node{likelihoodFigure: StopGradient(loss)}
	q := m.cfg.Initial.build(initial, g, m.shape)
	drawn, _ := q.Draw(sampler.KeyNoise{Key: random.NewKey(in[inKey])}, m.cfg.Particles)
	drawn = StopGradient(drawn)
	figures[spreadFigure] = Sqrt(ReduceAllMean(Square(drawn)))
	ok = m.descend(scope, figures, nil, nn.Part{Scope: samplerScope, Loss: loss, Rate: m.cfg.SamplerLR, Clip: m.cfg.GradClip})
	return figures, ok, Reshape(drawn, m.cfg.Particles, -1)
}

func names(figures map[string]*Node) []string { return slices.Sorted(maps.Keys(figures)) }
