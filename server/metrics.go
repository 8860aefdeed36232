package server

import (
	"github.com/prometheus/client_golang/prometheus"
)

type doorMetrics struct {
	received *prometheus.CounterVec
	proofs   *prometheus.CounterVec
	duration prometheus.Histogram
}

func newDoorMetrics(r prometheus.Registerer) *doorMetrics {
	m := &doorMetrics{
		received: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_webhooks_received_total", Help: "Requests at the public listener, by GitLab's hook and by what became of them."}, []string{"source", "hook", "result"}),
		proofs:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_proofs_total", Help: "Requests by how their sender was authenticated."}, []string{"source", "proof"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "relay_webhook_duration_seconds", Help: "How long GitLab waited for an answer.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
	}
	r.MustRegister(m.received, m.proofs, m.duration)
	return m
}

// hooks are the values of X-Gitlab-Event that GitLab sends (app/models/concerns/
// triggerable_hooks.rb). Everything else gets one label, so that a sender cannot
// create labels.
var hooks = map[string]bool{
	"Push Hook": true, "Tag Push Hook": true, "Issue Hook": true, "Confidential Issue Hook": true, "Note Hook": true,
	"Confidential Note Hook": true, "Merge Request Hook": true, "Wiki Page Hook": true, "Pipeline Hook": true, "Job Hook": true,
	"Build Hook": true, "Deployment Hook": true, "Feature Flag Hook": true, "Release Hook": true, "Milestone Hook": true,
	"Emoji Hook": true, "Resource Access Token Hook": true, "Resource Deploy Token Hook": true, "Vulnerability Hook": true,
	"Member Hook": true, "Subgroup Hook": true, "Project Hook": true, "System Hook": true, "Service Hook": true, "Repository Update Hook": true,
}

func knownHeader(v string) string {
	if hooks[v] {
		return v
	}
	return "other"
}
