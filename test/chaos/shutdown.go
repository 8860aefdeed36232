package main

import (
	"context"
	"syscall"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// shutdown ends the relay in good order under load.
var shutdown = scenario{
	name: "shutdown", ci: 6, full: 60,
	what: "The relay is stopped with INT and TERM at 200 webhooks a second, while the chat server answers.",
	run: func(ctx context.Context, b *bench) error {
		r, err := b.rig(b.ordinary(12))
		if err != nil {
			return err
		}
		for _, d := range r.plan.dests {
			r.chat.Set(d.hook, chat.Delay(5*time.Millisecond))
		}
		if err := r.mustStart(ctx); err != nil {
			return nil
		}
		l := r.load(ctx, 200)
		var ends []time.Duration
		for n := range b.count {
			pause(ctx, b.random.between(time.Second, 2*time.Second))
			if ctx.Err() != nil || !r.expectAlive() {
				break
			}
			signal := syscall.SIGTERM
			if n%2 == 1 {
				signal = syscall.SIGINT
			}
			took := r.terminate(signal)
			if took > 10*time.Second {
				b.violate(untrue, "the relay took %s to end", round(took))
			}
			ends = append(ends, took)
			if r.mustStart(ctx) != nil {
				break
			}
		}
		l.stop()
		r.finish(ctx, rules{}, 60*time.Second)
		cut := r.ledger.count().cut
		b.add("stops", len(ends))
		b.add("requests cut", cut)
		if cut > len(ends) { // a connection that is not accepted yet may be reset
			b.violate(untrue, "%d requests were cut off without an answer by %d stops: %v", cut, len(ends), r.ledger.troubles())
		}
		b.spread("ended after", ends, 10*time.Second)
		return nil
	},
}
