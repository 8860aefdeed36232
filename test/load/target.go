package main

import (
	"fmt"
	"math"
)

// target is one figure that the relay has to reach.
type target struct {
	what          string
	must, stretch float64
	got           float64
	low, high     float64 // over the rounds; equal when there is one figure
	least         bool    // at least; else at most
	unit          string
}

func (t target) reached(limit float64) bool {
	if t.least {
		return t.got >= limit
	}
	return t.got <= limit
}

// verdict says what was reached.
func (t target) verdict() string {
	switch {
	case math.IsNaN(t.got):
		return "not measured"
	case t.reached(t.stretch):
		return "**met**, stretch too"
	case t.reached(t.must):
		return "**met**"
	}
	return "**missed**"
}

func (t target) limit(v float64) string {
	sign := "≤"
	if t.least {
		sign = "≥"
	}
	return sign + " " + figure(v) + t.unit
}

func (t target) measured() string {
	if t.low == t.high {
		return figure(t.got) + t.unit
	}
	return fmt.Sprintf("%s%s (%s–%s)", figure(t.got), t.unit, figure(t.low), figure(t.high))
}

// figure prints a number with the digits that mean something.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func atLeast(what string, must, stretch float64, got []float64) target {
	s := spreadOf(got)
	return target{what: what, must: must, stretch: stretch, got: s.mid, low: s.low, high: s.high, least: true, unit: "×"}
}

func atMost(what, unit string, must, stretch, got float64) target {
	return target{what: what, must: must, stretch: stretch, got: got, low: got, high: got, unit: unit}
}

// saturation are the targets judged with the load closed and a chat that
// answers at once.
func saturation(r *results) []target {
	cpu := spreadOf(r.each(relayMany, func(s sample) float64 { return s.cpu }))
	pass, sync := r.quantileOf(passThrough, 0.99, accepts), r.disk(0.99)
	return []target{
		atLeast("delivered/s, against the pass-through", 0.45, 0.60, r.ratios(relayMany, passThrough)),
		atLeast("the same with one address", 0.45, 0.60, r.ratios(relayOne, passThrough)),
		atLeast("against the raw POST ceiling", 0.20, 0.28, r.ratios(relayMany, ceiling)),
		atLeast("against the naive relay, synced, tuned alike", 4, 6, r.ratios(relayMany, naiveSynced)),
		atLeast("against the naive relay without any sync, tuned alike", 1.0, 1.2, r.ratios(relayMany, naiveLoose)),
		atLeast("against the same, plain", 1.2, 1.7, r.ratios(relayMany, plainLoose)),
		{what: "CPU per delivered event", must: 130, stretch: 100, got: cpu.mid, low: cpu.low, high: cpu.high, unit: " µs"},
		atMost("accept p99 at saturation", " ms", max(2*pass, 3*sync), max(1.5*pass, 2*sync), r.quantileOf(relayMany, 0.99, accepts)),
		atMost("RSS idle", " MB", 40, 30, megabytes(r, func(s sample) int64 { return s.idle })),
		atMost("RSS under load", " MB", 180, 150, megabytes(r, func(s sample) int64 { return s.most })),
	}
}

func megabytes(r *results, f func(sample) int64) float64 {
	return median(r.each(relayMany, func(s sample) float64 { return float64(f(s)) / (1 << 20) }))
}

// atRate are the targets judged at 100 events a second.
func atRate(r *results) []target {
	return []target{
		atMost("event to chat at 100/s, p50, in p50 of a raw fsync", "×", 3, 2, r.quantileOf(relayMany, 0.50, deliveries)/r.disk(0.50)),
		atMost("event to chat at 100/s, p99, in p99 of a raw fsync", "×", 2, 1.5, r.quantileOf(relayMany, 0.99, deliveries)/r.disk(0.99)),
	}
}
