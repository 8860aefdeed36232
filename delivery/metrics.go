package delivery

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/queue"
)

type metrics struct {
	deliveries *prometheus.CounterVec
	attempts   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	age        *prometheus.HistogramVec
	templates  *prometheus.CounterVec
	spilled    *prometheus.CounterVec
	names      labels
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_deliveries_total", Help: "Settled deliveries."}, []string{"destination", "outcome"}),
		attempts:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_delivery_attempts_total", Help: "Attempts to deliver, by their result."}, []string{"destination", "reason"}),
		duration:   byDestination("relay_delivery_duration_seconds", "How long attempts took.", .01, .05, .1, .25, .5, 1, 5, 10),
		age:        byDestination("relay_event_age_at_delivery_seconds", "From the arrival of a webhook to its delivery.", .01, .05, .1, .5, 1, 5, 30, 60, 300, 3600),
		templates:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_template_errors_total", Help: "Messages sent without their template because it failed, by the template."}, []string{"template"}),
		spilled:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_deliveries_parked_total", Help: "Deliveries that were parked."}, []string{"destination"}),
		names:      labels{known: map[string]bool{}},
	}
	r.MustRegister(m.deliveries, m.attempts, m.duration, m.age, m.templates, m.spilled)
	return m
}

// byDestination makes a histogram for each destination. A Prometheus that asks for
// native histograms gets finer ones.
func byDestination(name, help string, buckets ...float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, []string{"destination"})
}

// begin makes the counters of a destination begin at zero: an increase from nothing
// to one is none for an alert.
func (m *metrics) begin(dest string) {
	m.deliveries.WithLabelValues(dest, queue.OutcomeDelivered)
	m.deliveries.WithLabelValues(dest, queue.OutcomeDead)
	m.attempts.WithLabelValues(dest, ReasonOK)
}

// maxLabels is how many destinations have histograms of their own.
const maxLabels = 100

// labels are the destinations that have histograms of their own.
type labels struct {
	mu    sync.RWMutex
	known map[string]bool
}

// of is the label of a destination: its name, or "other" once there are too many.
func (n *labels) of(dest string) string {
	n.mu.RLock()
	known := n.known[dest]
	n.mu.RUnlock()
	if known {
		return dest
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.known) >= maxLabels {
		return "other"
	}
	n.known[dest] = true
	return dest
}

var (
	waitingNow = prometheus.NewDesc("relay_waiting_deliveries", "Deliveries in memory, in all lanes of a destination.", []string{"destination"}, nil)
	parkedNow  = prometheus.NewDesc("relay_parked_deliveries", "Deliveries that wait on disk because their address cannot take them now.", []string{"destination"}, nil)
	lanesNow   = prometheus.NewDesc("relay_parked_lanes", "Lanes of a destination whose deliveries wait on disk.", []string{"destination"}, nil)
	brokenNow  = prometheus.NewDesc("relay_broken_addresses", "Addresses of a destination that were refused three times in a row and are still refused.", []string{"destination"}, nil)
	oldestNow  = prometheus.NewDesc("relay_oldest_waiting_timestamp_seconds", "When the oldest webhook came that is not delivered yet, or when its lane was parked; absent while nothing waits.", []string{"destination"}, nil)
)

// Describe and Collect make the lanes a [prometheus.Collector].
func (s *Lanes) Describe(c chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{waitingNow, parkedNow, lanesNow, brokenNow, oldestNow} {
		c <- desc
	}
}

// gauges are what Collect reports of a destination.
type gauges struct {
	waiting, held, parked, broken int
	oldest                        time.Time
}

// Collect reports on all destinations of relay.yaml, and on those that are gone
// and still hold something, when it is asked.
func (s *Lanes) Collect(c chan<- prometheus.Metric) {
	all := map[string]gauges{}
	s.mu.Lock()
	for name, d := range s.dests {
		if d.config.Load() != nil {
			all[name] = gauges{}
		}
	}
	s.mu.Unlock()
	for _, l := range s.all() {
		l.mu.Lock()
		n, known := all[l.name.Destination]
		if memory := len(l.waiting) + len(l.flying) + len(l.spill); known || memory > 0 || l.parked {
			n.add(l, memory)
			all[l.name.Destination] = n
		}
		l.mu.Unlock()
	}
	for name, n := range all {
		for desc, v := range map[*prometheus.Desc]int{waitingNow: n.waiting, parkedNow: n.held, lanesNow: n.parked, brokenNow: n.broken} {
			c <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(v), name)
		}
		if !n.oldest.IsZero() {
			c <- prometheus.MustNewConstMetric(oldestNow, prometheus.GaugeValue, float64(n.oldest.UnixMilli())/1000, name)
		}
	}
}

// add counts a lane, which holds so many deliveries in memory. The lane's lock is
// held.
func (g *gauges) add(l *lane, memory int) {
	g.waiting += memory
	if l.parked {
		g.held += l.held()
		g.parked++
	}
	if !l.standing.broken.IsZero() {
		g.broken++
	}
	if at := l.oldest(); !at.IsZero() && (g.oldest.IsZero() || at.Before(g.oldest)) {
		g.oldest = at
	}
}

// oldest is when the oldest webhook came that the lane has not delivered; of a lane
// that is parked and holds nothing in memory, when it was parked. It is zero if
// nothing waits. The lock is held.
func (l *lane) oldest() (at time.Time) {
	earlier := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, j := range l.flying {
		earlier(j.item.Webhook.Received)
	}
	for _, j := range l.again {
		earlier(j.item.Webhook.Received)
	}
	for _, queued := range [][]*Item{l.waiting, l.spill} {
		if len(queued) > 0 {
			earlier(queued[0].Webhook.Received)
		}
	}
	if b := &l.line; b.next < len(b.batch) {
		earlier(b.batch[b.next].Webhook.Received)
	}
	if at.IsZero() && l.parked {
		at = l.standing.since
	}
	return at
}

func (m *metrics) attempt(dest string, r result) {
	m.attempts.WithLabelValues(dest, r.reason).Inc()
	m.duration.WithLabelValues(m.names.of(dest)).Observe(r.duration.Seconds())
}

func (m *metrics) settled(dest, outcome string, received time.Time) {
	m.deliveries.WithLabelValues(dest, outcome).Inc()
	if outcome == queue.OutcomeDelivered {
		m.age.WithLabelValues(m.names.of(dest)).Observe(time.Since(received).Seconds())
	}
}

func (m *metrics) parked(dest string, n int) { m.spilled.WithLabelValues(dest).Add(float64(n)) }
