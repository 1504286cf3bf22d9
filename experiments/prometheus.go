package experiments

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/runs"
)

// A Prometheus shows a training to a Prometheus server; docs/metrics.md lists what.
// All of it carries the run's id as the label run.
type Prometheus struct {
	gather   *prometheus.Registry
	register prometheus.Registerer // adds the run's id
	taken    *prometheus.HistogramVec
	waited   *prometheus.HistogramVec
	step     atomic.Int64
	saved    atomic.Pointer[moment]

	mu      sync.Mutex
	figures agents.Metrics // the last of each name
}

// A moment is when a checkpoint was written, and of what step it is.
type moment struct {
	step int64
	at   time.Time
}

// NewPrometheus shows nothing yet but the process itself.
func NewPrometheus(run string) *Prometheus {
	seconds := prometheus.ExponentialBuckets(50e-6, 2, 20) // 50 µs to 26 s
	of := []string{"for", "bridge"}
	p := &Prometheus{
		gather:  prometheus.NewRegistry(),
		taken:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "stein_bridge_step_seconds", Help: "From an action's sending to the moment that its outcome was at hand, learning in between included.", Buckets: seconds}, of),
		waited:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "stein_bridge_wait_seconds", Help: "The part of a step that the learner stood still for.", Buckets: seconds}, of),
		figures: agents.Metrics{},
	}
	p.register = prometheus.WrapRegistererWith(prometheus.Labels{"run": run}, p.gather)
	p.register.MustRegister(p.taken, p.waited, lastFigures{p},
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "stein_train_steps_total", Help: "Environment steps."}, func() float64 { return float64(p.step.Load()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return p
}

// Handler answers a Prometheus server.
func (p *Prometheus) Handler() http.Handler {
	return promhttp.HandlerFor(p.gather, promhttp.HandlerOpts{})
}

var _ agents.Recorder = (*Prometheus)(nil)

// Record keeps figures until they are asked for.
func (p *Prometheus) Record(_ int64, m agents.Metrics) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(p.figures, m)
	return nil
}

// begin shows what a run is, and how long it is to be.
func (p *Prometheus) begin(c Config, env envbridge.Spec, step int64) {
	p.step.Store(step)
	labels := prometheus.Labels{"env": env.ID, "policy": c.Policy.Name, "version": runs.ThisBuild().Version}
	p.gauge("stein_train_info", "1; its labels say what trains.", labels, func() float64 { return 1 })
	p.gauge("stein_train_target_steps", "Environment steps that the run is to have.", nil, func() float64 { return float64(c.Steps) })
}

// wrote shows a checkpoint, from the first one on.
func (p *Prometheus) wrote(step int64) {
	if p.saved.Swap(&moment{step, time.Now()}) != nil {
		return
	}
	p.gauge("stein_train_checkpoint_step", "Environment steps of the newest checkpoint.", nil, func() float64 { return float64(p.saved.Load().step) })
	p.gauge("stein_train_checkpoint_timestamp_seconds", "When the newest checkpoint was written, Unix time.", nil, func() float64 { return float64(p.saved.Load().at.Unix()) })
}

func (p *Prometheus) gauge(name, help string, labels prometheus.Labels, value func() float64) {
	p.register.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
}

// A bridgeClock times the steps of one bridge.
type bridgeClock struct{ taken, waited prometheus.Observer }

var _ envbridge.Clock = bridgeClock{}

func (c bridgeClock) Stepped(taken, waited time.Duration) {
	c.taken.Observe(taken.Seconds())
	c.waited.Observe(waited.Seconds())
}

// clock is that of a bridge by its number, for training or for evaluation.
func (p *Prometheus) clock(purpose string, number int) envbridge.Clock {
	bridge := strconv.Itoa(number)
	return bridgeClock{p.taken.WithLabelValues(purpose, bridge), p.waited.WithLabelValues(purpose, bridge)}
}

// watch counts the faults of a bridge's workers.
func (p *Prometheus) watch(purpose string, number int, b *envbridge.Bridge) {
	labels := prometheus.Labels{"for": purpose, "bridge": strconv.Itoa(number)}
	for _, c := range []struct {
		name, help string
		value      func(envbridge.Stats) uint64
	}{
		{"stein_bridge_worker_failures_total", "Workers that died or hung.", func(s envbridge.Stats) uint64 { return s.Failures }},
		{"stein_bridge_worker_restarts_total", "Workers started, or sessions opened, in place of such.", func(s envbridge.Stats) uint64 { return s.Restarts }},
		{"stein_bridge_lost_steps_total", "Steps without an outcome.", func(s envbridge.Stats) uint64 { return s.Lost }},
		{"stein_bridge_garbage_total", "Messages dropped because they were no answers.", func(s envbridge.Stats) uint64 { return s.Garbage }},
	} {
		p.register.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help, ConstLabels: labels},
			func() float64 { return float64(c.value(b.Stats())) }))
	}
}

// lastFigures are the last figures under their own names, train/actor_loss as
// stein_train_actor_loss. Which there are depends on the policy, so that none is
// described beforehand.
type lastFigures struct{ p *Prometheus }

var _ prometheus.Collector = lastFigures{}

func (lastFigures) Describe(chan<- *prometheus.Desc) {}

func (l lastFigures) Collect(out chan<- prometheus.Metric) {
	l.p.mu.Lock()
	all := maps.Clone(l.p.figures)
	l.p.mu.Unlock()
	for name, x := range all {
		kind := prometheus.GaugeValue
		shown := "stein_" + strings.ReplaceAll(name, "/", "_")
		switch {
		case name == "train/n_updates":
			kind, shown = prometheus.CounterValue, "stein_train_updates_total"
		case name == "time/episodes":
			kind, shown = prometheus.CounterValue, "stein_train_episodes_total"
		case strings.HasPrefix(name, "env/"): // counted by watch
			continue
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(shown, "The figure "+name+" of the last record.", nil, nil), kind, x)
	}
}
