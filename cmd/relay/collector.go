package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/queue"
)

// queueCollector reports how full the streams are, when it is asked.
type queueCollector struct{ q *queue.Queue }

var (
	queueBytes = prometheus.NewDesc("relay_queue_bytes", "Bytes that a stream takes.", []string{"stream"}, nil)
	queueLimit = prometheus.NewDesc("relay_queue_limit_bytes", "Bytes that a stream may take.", []string{"stream"}, nil)
	deadNow    = prometheus.NewDesc("relay_dead_letters", "Dead letters that are kept.", nil, nil)
)

func (queueCollector) Describe(c chan<- *prometheus.Desc) {
	c <- queueBytes
	c <- queueLimit
	c <- deadNow
}

func (k queueCollector) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	states, err := k.q.States(ctx)
	if err != nil {
		return // the queue is away; /readyz says so
	}
	for _, s := range states {
		c <- prometheus.MustNewConstMetric(queueBytes, prometheus.GaugeValue, float64(s.Bytes), s.Name)
		c <- prometheus.MustNewConstMetric(queueLimit, prometheus.GaugeValue, float64(s.Limit), s.Name)
		if s.Name == queue.DeadStream {
			c <- prometheus.MustNewConstMetric(deadNow, prometheus.GaugeValue, float64(s.Messages))
		}
	}
}
