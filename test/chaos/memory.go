package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// idleMemory is the most that a relay with nothing to do may take, in bytes.
const idleMemory = 40_000_000

// memory looks at what the relay takes when it has nothing to do, when it gets
// many of the largest webhooks at once, and when it holds a backlog. The count
// is webhooks of the backlog.
var memory = scenario{
	name: "memory", ci: 5000, full: 100_000,
	what: "memory: at rest, with 200 bodies of 25 MB at once, and with a backlog (the count) for a chat that fails, also after a new start; then the backlog is delivered",
	run: func(ctx context.Context, b *bench) error {
		r, err := b.rig(b.ordinary(10), "--pace", "0.05")
		if err != nil {
			return err
		}
		if r.mustStart(ctx) != nil {
			return nil
		}
		pause(ctx, 2*time.Second)
		idle := r.process.status("VmRSS")
		b.add("kB at rest", int(idle/1000))
		if idle > idleMemory {
			b.violate(growth, "the relay takes %.1f MB at rest, at most %d are allowed", float64(idle)/1e6, idleMemory/1_000_000)
		}
		r.heavy(ctx, 200)
		r.backlog(ctx, b.count)
		r.finish(ctx, rules{}, 120*time.Second)
		return nil
	},
}

// heavy sends webhooks of 25 MB, all at once: each is taken or put off.
func (r *rig) heavy(ctx context.Context, n int) {
	const size = 25 << 20
	k := kinds[2]
	filling := bytes.Repeat([]byte(words), size/len(words)+1) // compresses, as logs and diffs do
	var mu sync.Mutex
	answers := map[int]int{}
	var senders sync.WaitGroup
	for range n {
		senders.Go(func() {
			if ctx.Err() != nil {
				return
			}
			_, status := r.sendBody(0, k, func(w webhookText) body {
				w.prose = "PROSE"
				head, tail, _ := bytes.Cut(k.encode(w), []byte("PROSE"))
				return body{head, filling[:size-len(head)-len(tail)], tail}
			})
			mu.Lock()
			answers[status]++
			mu.Unlock()
		})
	}
	senders.Wait()
	r.expectAlive()
	r.b.add("25 MB: 202", answers[202])
	r.b.add("25 MB: 503", answers[503])
	for status, n := range answers {
		if status != 202 && status != 503 && status != 429 {
			r.b.violate(untrue, "%d of the bodies of 25 MB were answered %d %v", n, status, r.ledger.troubles())
		}
	}
	r.drain(ctx, 60*time.Second)
}

// backlog lets webhooks come in as fast as they go while the chat fails, starts
// the relay anew on top of them, and then lets the chat take them.
func (r *rig) backlog(ctx context.Context, n int) {
	for _, d := range r.plan.dests {
		r.chat.Set(d.hook, chat.Status(503, nil, ""))
	}
	begin := time.Now()
	before := r.ledger.count().accepted
	next := make(chan struct{})
	var senders sync.WaitGroup
	for range 32 {
		senders.Go(func() {
			for range next {
				r.send(r.b.random.IntN(len(r.plan.homes)), pick(r.b.random), ordinarySize(r.b.random))
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil && r.process.alive(); i++ {
		next <- struct{}{}
	}
	close(next)
	senders.Wait()
	held := r.ledger.count().accepted - before
	r.b.add("backlog", held)
	r.b.times = append(r.b.times, fmt.Sprintf("taken at %.0f/s", float64(held)/time.Since(begin).Seconds()))
	if !r.expectAlive() {
		return
	}
	r.kill()
	if r.mustStart(ctx) != nil {
		return
	}
	r.b.time("ready on top of the backlog", r.process.ready, 5*time.Second)
	pause(ctx, 2*time.Second)
	r.soothe()
	begin = time.Now()
	r.drain(ctx, 60*time.Second)
	r.b.times = append(r.b.times, fmt.Sprintf("delivered in %s", round(time.Since(begin))))
}
