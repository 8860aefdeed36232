package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// longEvents is how many events a long run may send.
const longEvents = 1 << 23

// slice is one part of a long run.
type slice struct {
	perSecond float64 // events that arrived at both addresses
	cpu       float64 // of the relay, µs an event
	rss       int64   // at its end, bytes
	garbage   float64 // share of the processor time that the collector took
	window    float64 // of repeats, s
}

// moment is what a long run has come to at a moment.
type moment struct {
	at        time.Time
	events    int64
	cpu       time.Duration
	collector float64 // s
}

// steady loads the relay for long. What an event costs must not grow with what the
// relay remembers of the earlier ones.
func (b *bench) steady(ctx context.Context) error {
	all, most, err := b.slicesOf(ctx)
	if err != nil {
		return err
	}
	first, last := all[0], all[len(all)-1]
	kept, cost := last.perSecond/first.perSecond, first.cpu/last.cpu
	judged := []target{
		{what: "events/s of the last slice, of those of the first", must: b.least, stretch: 1, got: kept, low: kept, high: kept, least: true, unit: "×"},
		{what: "CPU per event of the first slice, of that of the last", must: b.least, stretch: 1, got: cost, low: cost, high: cost, least: true, unit: "×"},
		atMost("RSS at most", " MB", 256, 230, float64(most)/(1<<20)),
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n\n`go run ./test/load steady%s`: %d slices of %s, one after the other.\n\n%s\n", machine(b.dir), b.steadyFlags(), b.slices, b.slice, strings.TrimPrefix(targetTable(judged), "### Targets\n\n"))
	out.WriteString("| slice | events/s | messages/s | CPU µs per event | share of the collector | RSS MB | window of repeats |\n|---|---|---|---|---|---|---|\n")
	for i, s := range all {
		fmt.Fprintf(&out, "| %d | %.0f | %.0f | %.0f | %.1f %% | %d | %.0f s |\n", i+1, s.perSecond, 2*s.perSecond, s.cpu, 100*s.garbage, s.rss>>20, s.window)
	}
	if err := b.print("steady", out.String()); err != nil {
		return err
	}
	if b.repeats != "" && last.window >= 600 {
		return errors.New("the window of repeats was not full at the end: make -repeats-size smaller, or the slices longer")
	}
	if kept < b.least && cost < b.least {
		return fmt.Errorf("the last slice brings %s of the first, and its events cost %s times as much; want %s", figure(kept), figure(1/cost), figure(b.least))
	}
	return nil
}

// steadyFlags are those that a short run was given.
func (b *bench) steadyFlags() string {
	if b.repeats == "" {
		return ""
	}
	return fmt.Sprintf(" -slices %d -slice %s -repeats-size %s", b.slices, b.slice, b.repeats)
}

// slicesOf runs the relay and measures its slices; most is its largest RSS, in bytes.
func (b *bench) slicesOf(ctx context.Context) (all []slice, most int64, err error) {
	dir, err := os.MkdirTemp(b.dir, "steady-")
	if err != nil {
		return nil, 0, err
	}
	defer os.RemoveAll(dir)
	run := b.sink.begin(longEvents, outstanding)
	run.twice = make([]atomic.Bool, longEvents)
	p, err := b.startRelay(ctx, b.binary, dir, setup{addresses: addresses, twice: true}.yaml(b.sink.url()))
	if err != nil {
		return nil, 0, err
	}
	defer p.kill()
	bodies, err := newPost(onlyMergeRequests, addresses)
	if err != nil {
		return nil, 0, err
	}
	from := &sender{address: p.address, post: bodies, sink: b.sink, run: run, sent: make([]int64, longEvents)}
	load, stop := context.WithCancel(ctx)
	defer stop()
	sent := make(chan error, 1)
	go func() {
		_, err := from.closed(load)
		sent <- err
	}()
	if all, err = b.watchSlices(ctx, p, run, sent); err == nil {
		stop()
		err = <-sent
	}
	if err == nil {
		err = from.drained(ctx)
	}
	if err == nil && b.profile != "" {
		err = b.fetch("heap", "steady.heap")
	}
	if repeats := run.repeats.Load(); err == nil && repeats > 0 {
		err = fmt.Errorf("%d messages arrived twice", repeats)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("steady: %w\n%s", err, tailOf(p.log))
	}
	_, most, err = p.memory()
	p.stop()
	return all, most, err
}

// watchSlices looks at the relay after each slice. A quarter of one goes before the first.
func (b *bench) watchSlices(ctx context.Context, p *process, run *arrivals, sent <-chan error) (all []slice, err error) {
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return os.Truncate(p.log, 0) // it grows by megabytes a second, and is appended to
		case err := <-sent:
			return fmt.Errorf("the load ended early: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := wait(b.slice / warm); err != nil {
		return nil, err
	}
	before, err := p.moment(run)
	for err == nil && len(all) < b.slices {
		if err = wait(b.slice); err != nil {
			break
		}
		var now moment
		if now, err = p.moment(run); err != nil {
			break
		}
		s := slice{
			perSecond: float64(now.events-before.events) / now.at.Sub(before.at).Seconds(),
			cpu:       float64((now.cpu - before.cpu).Microseconds()) / float64(now.events-before.events),
			garbage:   (now.collector - before.collector) / (now.cpu - before.cpu).Seconds(),
		}
		if s.rss, _, err = p.memory(); err == nil {
			s.window, err = p.metric("relay_repeat_window_seconds")
		}
		before, all = now, append(all, s)
		fmt.Fprintf(os.Stderr, "slice %d: %.0f events/s, %.0f µs CPU, %d MB, %.1f %% in the collector, window %.0f s\n", len(all), s.perSecond, s.cpu, s.rss>>20, 100*s.garbage, s.window)
	}
	return all, err
}

// moment is how far a run is.
func (p *process) moment(run *arrivals) (m moment, err error) {
	if m.collector, err = p.metric("go_cpu_classes_gc_total_cpu_seconds_total"); err != nil {
		return m, err
	}
	m.at, m.events = time.Now(), run.count.Load()
	m.cpu, err = p.cpu()
	return m, err
}
