package serve

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"
)

// metrics are the Prometheus metrics; docs/serving.md explains each.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	rows     *prometheus.HistogramVec
	compute  *prometheus.HistogramVec
	expired  *prometheus.CounterVec
	reloads  *prometheus.CounterVec
}

func newMetrics() *metrics {
	seconds := prometheus.ExponentialBuckets(100e-6, 2, 16) // 0.1 ms to 3.3 s
	of := []string{"policy"}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stein_serve_requests_total", Help: "Requests answered, by gRPC code."}, []string{"policy", "code"}),
		latency:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "stein_serve_request_seconds", Help: "Time from a request's arrival to its answer.", Buckets: seconds}, of),
		rows:     prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "stein_serve_batch_rows", Help: "Observations in a batch.", Buckets: prometheus.ExponentialBuckets(1, 2, 10)}, of),
		compute:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "stein_serve_compute_seconds", Help: "Time of one batch in the engine.", Buckets: seconds}, of),
		expired:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stein_serve_expired_total", Help: "Requests whose client had left before they were started."}, of),
		reloads:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stein_serve_reloads_total", Help: "Newer checkpoints loaded."}, of),
	}
	m.registry.MustRegister(m.requests, m.latency, m.rows, m.compute, m.expired, m.reloads,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch adds the gauges that are read from a policy or an energy at each scrape.
func (m *metrics) watch(name string, queued, step *atomic.Int64) {
	gauge := func(figure, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: figure, Help: help, ConstLabels: prometheus.Labels{"policy": name},
		}, value))
	}
	gauge("stein_serve_queue_rows", "Waiting observations or images.", func() float64 { return float64(queued.Load()) })
	gauge("stein_serve_checkpoint_step", "Environment steps, or updates, of the checkpoint in use.", func() float64 { return float64(step.Load()) })
}

func (m *metrics) of(name string) gauges {
	return gauges{
		expired: m.expired.WithLabelValues(name), reloads: m.reloads.WithLabelValues(name),
		rows: m.rows.WithLabelValues(name), compute: m.compute.WithLabelValues(name),
		answered: m.requests.WithLabelValues(name, codes.OK.String()), latency: m.latency.WithLabelValues(name),
	}
}

func (m *metrics) failed(policy, code string) { m.requests.WithLabelValues(policy, code).Inc() }

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// gauges are the metrics of one policy or image model.
type gauges struct {
	expired, reloads, answered prometheus.Counter
	rows, compute, latency     prometheus.Observer
}

func (g gauges) batch(rows int, took time.Duration) {
	g.rows.Observe(float64(rows))
	g.compute.Observe(took.Seconds())
}
