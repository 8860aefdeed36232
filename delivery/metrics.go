package delivery

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/queue"
)

type metrics struct {
	deliveries *prometheus.CounterVec
	attempts   *prometheus.CounterVec
	duration   prometheus.Histogram
	age        prometheus.Histogram
	templates  prometheus.Counter
	parkedNow  *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_deliveries_total", Help: "Settled deliveries."}, []string{"destination", "outcome"}),
		attempts:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_delivery_attempts_total", Help: "Attempts to deliver, by what came of them."}, []string{"destination", "reason"}),
		duration:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "relay_delivery_duration_seconds", Help: "How long attempts took.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
		age:        prometheus.NewHistogram(prometheus.HistogramOpts{Name: "relay_event_age_at_delivery_seconds", Help: "From the webhook's arrival to its delivery.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400}}),
		templates:  prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_template_errors_total", Help: "Messages sent without their template because it failed."}),
		parkedNow:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_parked_total", Help: "Deliveries that were parked."}, []string{"destination"}),
	}
	r.MustRegister(m.deliveries, m.attempts, m.duration, m.age, m.templates, m.parkedNow)
	return m
}

func (m *metrics) attempt(dest string, r result) {
	m.attempts.WithLabelValues(dest, r.reason).Inc()
	m.duration.Observe(r.duration.Seconds())
}

func (m *metrics) settled(dest, outcome string, received time.Time) {
	m.deliveries.WithLabelValues(dest, outcome).Inc()
	if outcome == queue.OutcomeDelivered {
		m.age.Observe(time.Since(received).Seconds())
	}
}

func (m *metrics) parked(dest string, n int) { m.parkedNow.WithLabelValues(dest).Add(float64(n)) }
