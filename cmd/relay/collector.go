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
	deadLost   = prometheus.NewDesc("relay_dead_letters_dropped_total", "Dead letters that were dropped because there was no room for newer ones.", nil, nil)
	queueDown  = prometheus.NewDesc("relay_queue_down", "1 while webhooks are refused because the queue cannot be written.", nil, nil)
	outages    = prometheus.NewDesc("relay_queue_outages_total", "How often the embedded queue was restarted because it could not be written.", nil, nil)
	diskFree   = prometheus.NewDesc("relay_disk_free_bytes", "Bytes that are free on the disk of the embedded queue.", nil, nil)
	diskKept   = prometheus.NewDesc("relay_disk_reserve_bytes", "Bytes of that disk that stay free: with less webhooks are refused.", nil, nil)
	damages    = prometheus.NewDesc("relay_queue_damaged_total", "Stored messages that were found damaged or gone.", nil, nil)
)

func (queueCollector) Describe(c chan<- *prometheus.Desc) {
	c <- queueBytes
	c <- queueLimit
	c <- deadNow
	c <- deadLost
	c <- queueDown
	c <- outages
	c <- damages
	c <- diskFree
	c <- diskKept
}

func (k queueCollector) Collect(c chan<- prometheus.Metric) {
	down, count := k.q.Outage()
	now := 0.0
	if down {
		now = 1
	}
	c <- prometheus.MustNewConstMetric(queueDown, prometheus.GaugeValue, now)
	c <- prometheus.MustNewConstMetric(outages, prometheus.CounterValue, float64(count))
	c <- prometheus.MustNewConstMetric(deadLost, prometheus.CounterValue, float64(k.q.DeadDropped()))
	c <- prometheus.MustNewConstMetric(damages, prometheus.CounterValue, float64(k.q.Damage()))
	if free, reserve, ok := k.q.DiskRoom(); ok {
		c <- prometheus.MustNewConstMetric(diskFree, prometheus.GaugeValue, float64(free))
		c <- prometheus.MustNewConstMetric(diskKept, prometheus.GaugeValue, float64(reserve))
	}
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
