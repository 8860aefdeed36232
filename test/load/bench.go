package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/gitlab-mattermost/relay/test/progress"
)

// bench is one run of this program.
type bench struct {
	settings
	dir    string // of this run
	binary string // the relay's
	pprof  string // where a relay with profiles listens for them
	sink   *sink
	room   string // for RELAY_EVENTS, where the default does not hold what is measured
	series int    // the last one of events; see post
}

// next is the series of events for a store that has got others: a relay takes
// what it has delivered for a repeat.
func (b *bench) next() int {
	b.series++
	return b.series
}

func newBench(ctx context.Context, s settings) (*bench, error) {
	b := &bench{settings: s}
	var err error
	if b.dir, err = os.MkdirTemp(s.dir, "relay-load-"); err != nil {
		return nil, fmt.Errorf("make a directory for the stores: %w", err)
	}
	if b.sink, err = newSink(); err != nil {
		b.close()
		return nil, err
	}
	if err := b.buildRelay(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	if b.sink != nil {
		b.sink.close()
	}
	os.RemoveAll(b.dir)
}

// results are the samples of one scenario, by contender, one for each round.
type results struct {
	scenario
	contenders []contender
	samples    map[string][]sample
	fsync      [][]int64 // by round
}

// interleaved measures the contenders in turn, so that whatever disturbs the machine
// disturbs them alike.
func (b *bench) interleaved(ctx context.Context, load scenario, all []contender) (*results, error) {
	r := &results{scenario: load, samples: map[string][]sample{}}
	for _, c := range all {
		if b.only == "" || c.name == relayMany.name || c.name == b.only {
			r.contenders = append(r.contenders, c)
		}
	}
	bar := progress.New(os.Stderr, b.rounds*len(r.contenders), load.name)
	for round := range b.rounds {
		took, err := probe(b.dir, 300*time.Millisecond)
		if err != nil {
			return nil, err
		}
		r.fsync = append(r.fsync, took)
		turn := slices.Concat(r.contenders[round%len(r.contenders):], r.contenders[:round%len(r.contenders)])
		for _, c := range turn {
			own := load
			own.answers = c.name == relayOne.name && load.rate == 0
			s, err := b.measure(ctx, c, own)
			if ctx.Err() != nil {
				return nil, fmt.Errorf("interrupted in round %d of %d of %q; nothing was written", round+1, b.rounds, load.name)
			}
			if err != nil {
				return nil, err
			}
			bar.Step()
			fmt.Fprintf(bar.Above(os.Stderr), "%s · round %d · %-18s %7.0f/s %5.0f µs CPU\n", load.name, round+1, c.name, s.perSecond, s.cpu)
			r.samples[c.name] = append(r.samples[c.name], s)
		}
	}
	return r, nil
}

// each gives one figure of every round of a contender.
func (r *results) each(c contender, f func(sample) float64) []float64 {
	var all []float64
	for _, s := range r.samples[c.name] {
		all = append(all, f(s))
	}
	return all
}

func perSecond(s sample) float64 { return s.perSecond }

// ratios is how many times as many events the one delivered as the other, round
// by round.
func (r *results) ratios(one, other contender) []float64 {
	var all []float64
	for i, s := range r.samples[one.name] {
		if i < len(r.samples[other.name]) {
			all = append(all, s.perSecond/r.samples[other.name][i].perSecond)
		}
	}
	return all
}

// quantileOf is the median over the rounds of a quantile, in ms.
func (r *results) quantileOf(c contender, q float64, f func(sample) []int64) float64 {
	return median(r.each(c, func(s sample) float64 { return float64(quantile(f(s), q)) / 1e6 }))
}

func accepts(s sample) []int64    { return s.accept }
func deliveries(s sample) []int64 { return s.delivery }

// disk is a quantile of the raw syncs of all rounds, in ms.
func (r *results) disk(q float64) float64 {
	return float64(quantile(slices.Concat(r.fsync...), q)) / 1e6
}
