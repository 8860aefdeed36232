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
	spilled    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_deliveries_total", Help: "Settled deliveries."}, []string{"destination", "outcome"}),
		attempts:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_delivery_attempts_total", Help: "Attempts to deliver, by what came of them."}, []string{"destination", "reason"}),
		duration:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "relay_delivery_duration_seconds", Help: "How long attempts took.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
		age:        prometheus.NewHistogram(prometheus.HistogramOpts{Name: "relay_event_age_at_delivery_seconds", Help: "From the webhook's arrival to its delivery.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400}}),
		templates:  prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_template_errors_total", Help: "Messages sent without their template because it failed."}),
		spilled:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_deliveries_parked_total", Help: "Deliveries that were parked."}, []string{"destination"}),
	}
	r.MustRegister(m.deliveries, m.attempts, m.duration, m.age, m.templates, m.spilled)
	return m
}

var (
	depthNow  = prometheus.NewDesc("relay_lane_depth", "Deliveries in memory, in all lanes of a destination.", []string{"destination"}, nil)
	parkedNow = prometheus.NewDesc("relay_parked", "Deliveries that wait on disk because their address cannot take them now.", []string{"destination"}, nil)
	lanesNow  = prometheus.NewDesc("relay_lanes_parked", "Lanes of a destination whose deliveries wait on disk.", []string{"destination"}, nil)
	brokenNow = prometheus.NewDesc("relay_address_broken", "Addresses of a destination that were refused three times in a row and are still refused.", []string{"destination"}, nil)
)

// Describe and Collect make the lanes a [prometheus.Collector].
func (s *Lanes) Describe(c chan<- *prometheus.Desc) {
	c <- depthNow
	c <- parkedNow
	c <- lanesNow
	c <- brokenNow
}

// Collect reports on all destinations of relay.yaml, and on those that are gone
// and still hold something, when it is asked.
func (s *Lanes) Collect(c chan<- prometheus.Metric) {
	type counts struct{ depth, held, parked, broken int }
	all := map[string]counts{}
	s.mu.Lock()
	for name, d := range s.dests {
		if d.config.Load() != nil {
			all[name] = counts{}
		}
	}
	s.mu.Unlock()
	for _, l := range s.all() {
		l.mu.Lock()
		memory := len(l.waiting) + len(l.flying) + len(l.spill)
		n, known := all[l.name.Destination]
		if known || memory > 0 || l.parked {
			n.depth += memory
			if l.parked {
				n.held += l.held()
				n.parked++
			}
			if !l.standing.broken.IsZero() {
				n.broken++
			}
			all[l.name.Destination] = n
		}
		l.mu.Unlock()
	}
	for name, n := range all {
		for desc, v := range map[*prometheus.Desc]int{depthNow: n.depth, parkedNow: n.held, lanesNow: n.parked, brokenNow: n.broken} {
			c <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(v), name)
		}
	}
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

func (m *metrics) parked(dest string, n int) { m.spilled.WithLabelValues(dest).Add(float64(n)) }
