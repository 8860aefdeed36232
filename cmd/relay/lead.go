package main

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/dispatch"
	"github.com/gitlab-mattermost/relay/queue"
)

// dispatch delivers whenever this relay is the one that may: always, or with a
// queue that others share, after having taken over.
func (r *relay) dispatch(ctx context.Context) error {
	for {
		journal, state, err := r.queue.Lead(ctx)
		if err != nil {
			return unlessDone(ctx, err)
		}
		err = r.lead(ctx, journal, state)
		if !errors.Is(err, queue.ErrFenced) || !r.queue.External() {
			return unlessDone(ctx, err)
		}
	}
}

func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// lead dispatches until ctx ends or another relay has taken over.
func (r *relay) lead(ctx context.Context, journal *queue.Journal, state *queue.State) error {
	registry := prometheus.NewRegistry()
	r.term.Store(registry)
	r.dispatching.Set(1)
	defer r.dispatching.Set(0)
	if r.queue.External() {
		r.log.Info("this relay dispatches now")
	}
	watchdog := dispatch.NewWatchdog(journal, r.log, registry, r.endNow)
	r.watchdog.Store(watchdog)
	defer r.watchdog.Store(nil)
	repeats := dispatch.NewRepeats(int64(r.f.repeats), r.allow)
	registry.MustRegister(repeats)
	r.swap.Lock()
	lanes := delivery.New(delivery.Options{
		Destinations: r.destinations, Formatter: &r.live, Journal: journal, Parking: r.queue, People: r.live.People, Calls: r.live.Calls, Trouble: r.reports.trouble, Relief: r.reports.relief, Rendering: watchdog.Rendering,
		Dead: repeats.Forget, Stdout: r.stdout, Log: r.log, Registerer: registry, Pace: r.f.pace,
	})
	r.lanes = lanes
	r.swap.Unlock()
	defer r.retire(registry, lanes, repeats)
	opt := dispatch.Options{
		Queue: r.queue, Journal: journal, State: state, Routes: &r.live, Direct: r.live.Direct, Lanes: lanes, Repeats: repeats, Title: r.title, Watchdog: watchdog,
		History: time.Duration(r.f.history), Log: r.log, Registerer: registry,
	}
	if r.sandbox != nil {
		opt.Sandbox = r.sandbox
	}
	d := dispatch.New(opt)
	behind := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "relay_events_undispatched", Help: "Messages of RELAY_EVENTS that dispatch has not read yet; one can hold several webhooks.",
	}, func() float64 { return float64(d.Undispatched()) })
	registry.MustRegister(behind)
	defer registry.Unregister(behind)
	term, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-journal.Lost():
			cancel()
		case <-term.Done():
		}
	}()
	go watchdog.Run(term)
	err := d.Vet(term)
	if r.sandbox != nil {
		r.sandbox.close()
	}
	if err == nil {
		err = lanes.Resume(term, state.Lanes)
	}
	if err == nil {
		silent := r.answering(lanes)
		err = d.Run(term)
		silent()
	}
	select {
	case <-journal.Lost():
		lanes.Halt()
		return queue.ErrFenced
	default:
	}
	grace, done := context.WithTimeout(context.Background(), flightGrace)
	defer done()
	lanes.Close(grace)
	journal.Close()
	return err
}

// allow sets the memory limit, with so many bytes on top for the window of repeats.
func (r *relay) allow(repeats int64) {
	if r.limited {
		debug.SetMemoryLimit(memoryLimit + repeats)
	}
}

// retire lets go of a term's lanes, which are another relay's now: of the term
// only its counters are exported on.
func (r *relay) retire(registry *prometheus.Registry, lanes *delivery.Lanes, repeats *dispatch.Repeats) {
	registry.Unregister(lanes)
	registry.Unregister(repeats)
	r.swap.Lock()
	defer r.swap.Unlock()
	r.lanes = nil
}
