package main

import (
	"context"
	"net/http"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// streamsFull brings each stream to the limit of its flag, which is small here.
var streamsFull = scenario{
	name: "streams-full", ci: 1, full: 10,
	what: "Each stream reaches the limit of its flag. RELAY_PARKED: the oldest messages of the largest lane are given up. RELAY_DEAD: the oldest dead letters are dropped. RELAY_JOURNAL: dispatch stops. RELAY_EVENTS: webhooks get 503. Each must be reported.",
	run: func(ctx context.Context, b *bench) error {
		for range b.count {
			for _, fill := range []func(*bench, context.Context) error{(*bench).fullParked, (*bench).fullDead, (*bench).fullJournal, (*bench).fullEvents} {
				if err := fill(b, ctx); err != nil || ctx.Err() != nil {
					return err
				}
			}
		}
		return nil
	},
}

// large makes each webhook so large, in text that does not compress to nothing.
func large(bytes int) func(*load) {
	return func(l *load) { l.size = func(dicer) int { return -bytes } }
}

// fullParked lets one destination fail until its deliveries fill what they may
// of PARKED, and another one that holds little beside it.
func (b *bench) fullParked(ctx context.Context) error {
	p := b.apart(3)
	r, err := b.rig(p, "--pace", "0.2", "--max-body", "256KiB", "--parked-size", "1MiB", "--events-size", "64MiB")
	if err != nil {
		return err
	}
	if r.mustStart(ctx) != nil {
		return nil
	}
	for _, d := range p.dests[:2] {
		r.chat.Set(d.hook, chat.Status(http.StatusInternalServerError, nil, ""))
	}
	most := p.address(p.homes[0])
	for range 5 {
		r.send(1, kinds[0], -2000)
	}
	l := r.load(ctx, 60, large(8000), func(l *load) { l.project = func(dicer) int { return 0 }; l.limit = 300 })
	l.wait()
	pause(ctx, 2*time.Second)
	for range 5 {
		r.send(2, kinds[0], -2000)
	}
	r.soothe()
	v := r.finish(ctx, rules{mayDie: func(_ int, to address) bool { return to == most }}, 30*time.Second)
	b.add("parked full: given up", v.dead)
	if v.dead == 0 {
		b.violate(untrue, "300 webhooks of 8 KB do not fill 1 MiB of parked deliveries")
	}
	r.close()
	return nil
}

// fullDead buries more than DEAD can keep: a destination that fails is given up
// after a second.
func (b *bench) fullDead(ctx context.Context) error {
	p := b.apart(3)
	p.dests[0].yaml = "give_up_after: 1s"
	r, err := b.rig(p, "--pace", "0.01", "--max-body", "256KiB", "--dead-size", "512KiB", "--events-size", "64MiB")
	if err != nil {
		return err
	}
	if r.mustStart(ctx) != nil {
		return nil
	}
	r.chat.Set(p.dests[0].hook, chat.Status(http.StatusInternalServerError, nil, ""))
	l := r.load(ctx, 60, large(8000), func(l *load) { l.limit = 400 })
	l.wait()
	r.drain(ctx, 30*time.Second)
	kept := int(r.metric(ctx, "relay_dead_letters"))
	v := r.finish(ctx, rules{mayDie: func(_ int, to address) bool { return to.hook == p.dests[0].hook }}, 30*time.Second)
	b.add("dead full: given up", v.dead)
	b.add("dead full: kept", kept)
	if kept >= v.dead {
		b.violate(untrue, "%d dead letters of 8 KB fit into 512 KiB", v.dead)
	} else if r.logged("dead letters are full") == 0 {
		b.violate(untrue, "%d of %d dead letters are gone, and the log says nothing of it", v.dead-kept, v.dead)
	}
	r.close()
	return nil
}

// fullJournal keeps the journal from being tidied, by an address that hangs,
// until it is full.
func (b *bench) fullJournal(ctx context.Context) error {
	p := b.apart(4)
	r, err := b.rig(p, "--pace", "0.05", "--max-body", "256KiB", "--journal-size", "1MiB", "--events-size", "64MiB")
	if err != nil {
		return err
	}
	if r.mustStart(ctx) != nil {
		return nil
	}
	r.chat.Set(p.dests[0].hook, chat.Hang())
	// Few are for the address that hangs: it may hold the journal for half a
	// minute, and a thousand of them would be parked before.
	l := r.load(ctx, 350, func(l *load) {
		l.limit, l.size = 7000, func(dicer) int { return 10 }
		l.project = func(d dicer) int { return min(d.IntN(100), 1) * (1 + d.IntN(3)) }
	})
	// How full it gets, in percent: history is dropped before it would be full.
	most, watch := 0.0, make(chan struct{})
	watching, stop := context.WithCancel(ctx)
	go func() {
		defer close(watch)
		for pause(watching, 20*time.Millisecond) {
			if limit := r.metric(watching, "relay_queue_limit_bytes", "JOURNAL"); limit > 0 {
				most = max(most, 100*r.metric(watching, "relay_queue_bytes", "JOURNAL")/limit)
			}
		}
	}()
	l.wait()
	stop()
	<-watch
	r.soothe()
	r.finish(ctx, rules{}, 60*time.Second)
	b.peak("journal full: percent of its limit", int(most))
	waited := r.logged("the journal is full")
	b.add("journal full: dispatch waited", waited)
	if waited == 0 {
		b.violate(untrue, "the journal was never full, %.0f %% of its limit at most, or the log says nothing of it", most)
	}
	r.close()
	return nil
}

// fullEvents lets everything hang until EVENTS holds no more.
func (b *bench) fullEvents(ctx context.Context) error {
	p := b.apart(2)
	r, err := b.rig(p, "--pace", "0.05", "--max-body", "256KiB", "--events-size", "1MiB", "--parked-size", "16MiB")
	if err != nil {
		return err
	}
	if r.mustStart(ctx) != nil {
		return nil
	}
	for _, d := range p.dests {
		r.chat.Set(d.hook, chat.Hang())
	}
	l := r.load(ctx, 60, large(8000), func(l *load) { l.limit = 300 })
	l.wait()
	t := r.ledger.count()
	b.add("events full: 503", t.deferred)
	if t.unanswered > 0 {
		b.violate(untrue, "%d webhooks got no answer while the queue was full", t.unanswered)
	}
	r.soothe()
	r.finish(ctx, rules{}, 60*time.Second)
	r.close()
	return nil
}
