package main

import (
	"context"
	"time"
)

// killRandom ends the relay at any moment, again and again, while webhooks keep
// coming.
var killRandom = scenario{
	name: "kill-random", ci: 40, full: 1000,
	what: "kill -9 at random times under load, and a new start on the same directory",
	run: func(ctx context.Context, b *bench) error {
		r, err := b.rig(b.ordinary(12))
		if err != nil {
			return err
		}
		if err := r.mustStart(ctx); err != nil {
			return err
		}
		l := r.load(ctx, 150)
		var ready []time.Duration
		for range b.count {
			if !pause(ctx, b.random.between(0, 1500*time.Millisecond)) || !r.expectAlive() {
				break
			}
			r.kill()
			b.add("kills", 1)
			if err := r.mustStart(ctx); err != nil {
				break
			}
			ready = append(ready, r.process.ready)
		}
		l.stop()
		r.finish(ctx, rules{}, 60*time.Second)
		b.spread("ready again", ready, 2*time.Second)
		return nil
	},
}
