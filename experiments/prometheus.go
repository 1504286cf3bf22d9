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

// A Prometheus exposes a training's metrics to a Prometheus server; docs/metrics.md lists
// them. All carry the run's id as the label run.
type Prometheus struct {
	gather   *prometheus.Registry
	register prometheus.Registerer // adds the run's id
	taken    *prometheus.HistogramVec
	waited   *prometheus.HistogramVec
	step     atomic.Int64
	saved    atomic.Pointer[moment]

	mu      sync.Mutex
	figures agents.Metrics // latest value by name
}

// A moment is the time and step of a checkpoint.
type moment struct {
	step int64
	at   time.Time
}

// NewPrometheus returns a Prometheus that exposes only process metrics at first.
func NewPrometheus(run string) *Prometheus {
	seconds := prometheus.ExponentialBuckets(50e-6, 2, 20) // 50 µs to 26 s
	of := []string{"for", "bridge"}
	p := &Prometheus{
		gather:  prometheus.NewRegistry(),
		taken:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "stein_bridge_step_seconds", Help: "Time from sending an action to receiving its outcome, including learning in between.", Buckets: seconds}, of),
		waited:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "stein_bridge_wait_seconds", Help: "Time per step that the learner spent waiting.", Buckets: seconds}, of),
		figures: agents.Metrics{},
	}
	p.register = prometheus.WrapRegistererWith(prometheus.Labels{"run": run}, p.gather)
	p.register.MustRegister(p.taken, p.waited, lastFigures{p},
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "stein_train_steps_total", Help: "Environment steps."}, func() float64 { return float64(p.step.Load()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return p
}

// Handler serves the metrics.
func (p *Prometheus) Handler() http.Handler {
	return promhttp.HandlerFor(p.gather, promhttp.HandlerOpts{})
}

var _ agents.Recorder = (*Prometheus)(nil)

// Record stores figures for the next scrape.
func (p *Prometheus) Record(_ int64, m agents.Metrics) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(p.figures, m)
	return nil
}

// begin exposes the run's labels and its planned length.
func (p *Prometheus) begin(c Config, env envbridge.Spec, step int64) {
	p.step.Store(step)
	labels := prometheus.Labels{"env": env.ID, "policy": c.Policy.Name, "version": runs.ThisBuild().Version}
	p.gauge("stein_train_info", "Always 1; the labels describe the training.", labels, func() float64 { return 1 })
	p.gauge("stein_train_target_steps", "Planned environment steps of the run.", nil, func() float64 { return float64(c.Steps) })
}

// wrote exposes a checkpoint, from the first one on.
func (p *Prometheus) wrote(step int64) {
	if p.saved.Swap(&moment{step, time.Now()}) != nil {
		return
	}
	p.gauge("stein_train_checkpoint_timestamp_seconds", "Unix time at which the newest checkpoint was written.", nil, func() float64 { return float64(p.saved.Load().at.Unix()) })
	// Last: who sees the step sees the time too.
	p.gauge("stein_train_checkpoint_step", "Environment steps of the newest checkpoint.", nil, func() float64 { return float64(p.saved.Load().step) })
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

// clock is the clock of a numbered bridge, for training or evaluation.
func (p *Prometheus) clock(purpose envbridge.Purpose, number int) envbridge.Clock {
	bridge := strconv.Itoa(number)
	return bridgeClock{p.taken.WithLabelValues(string(purpose), bridge), p.waited.WithLabelValues(string(purpose), bridge)}
}

// watch exposes the fault counts of a bridge's workers.
func (p *Prometheus) watch(purpose envbridge.Purpose, number int, b *envbridge.Bridge) {
	labels := prometheus.Labels{"for": string(purpose), "bridge": strconv.Itoa(number)}
	for _, c := range []struct {
		name, help string
		value      func(envbridge.Stats) uint64
	}{
		{"stein_bridge_worker_failures_total", "Workers that died or hung.", func(s envbridge.Stats) uint64 { return s.Failures }},
		{"stein_bridge_worker_restarts_total", "Workers started, or sessions opened, to replace failed ones.", func(s envbridge.Stats) uint64 { return s.Restarts }},
		{"stein_bridge_lost_steps_total", "Steps without an outcome.", func(s envbridge.Stats) uint64 { return s.Lost }},
		{"stein_bridge_garbage_total", "Messages dropped because they were not valid answers.", func(s envbridge.Stats) uint64 { return s.Garbage }},
	} {
		p.register.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help, ConstLabels: labels},
			func() float64 { return float64(c.value(b.Stats())) }))
	}
}

// lastFigures exposes the latest figures under their own names, such as train/actor_loss
// as stein_train_actor_loss. The set depends on the policy, so no metric is described in
// advance.
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
		case strings.HasPrefix(name, "env/"): // exported by watch
			continue
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(shown, "Latest value of "+name+".", nil, nil), kind, x)
	}
}
