package broker

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-osb/holdfast/store"
)

// metrics are what operators watch. No label holds an id or a name that users
// choose.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	ended    *prometheus.HistogramVec
	orphans  prometheus.Gauge
}

func newMetrics(s store.Store, log *slog.Logger) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "holdfast_broker_request_seconds", Help: "Service broker API requests by verb and status.",
			Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}}, []string{"verb", "status"}),
		ended: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "holdfast_broker_operation_seconds", Help: "Operations that ended, from request to end.",
			Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600}}, []string{"kind", "state"}),
		orphans: prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_broker_orphaned_deployments", Help: "Deployments that carry our tag and belong to no instance."}),
	}
	m.registry.MustRegister(m.requests, m.ended, m.orphans, &operationCollector{store: s, log: log})
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *metrics) requestAnswered(verb string, status int, took time.Duration) {
	m.requests.WithLabelValues(verb, strconv.Itoa(status)).Observe(took.Seconds())
}

func (m *metrics) operationEnded(op store.Operation) {
	m.ended.WithLabelValues(string(op.Kind), string(op.State)).Observe(time.Since(op.CreatedAt).Seconds())
}

// operationCollector counts the store's rows when it is asked.
type operationCollector struct {
	store store.Store
	log   *slog.Logger
}

var operationsDesc = prometheus.NewDesc("holdfast_broker_operations", "Operations in the store by kind and state.", []string{"kind", "state"}, nil)

func (c *operationCollector) Describe(out chan<- *prometheus.Desc) { out <- operationsDesc }

func (c *operationCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	counts, err := c.store.CountOperations(ctx)
	if err != nil {
		c.log.Warn("counting operations failed", "error", err.Error())
		out <- prometheus.NewInvalidMetric(operationsDesc, err)
		return
	}
	for kind, states := range counts {
		for state, n := range states {
			out <- prometheus.MustNewConstMetric(operationsDesc, prometheus.GaugeValue, float64(n), string(kind), string(state))
		}
	}
}
