package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// idleMemory is the most that a relay with nothing to do may take, in bytes. Three
// quarters of what it takes are pages of its program, which the system can drop.
const idleMemory = 48_000_000

// memory looks at what the relay takes when it has nothing to do, when it gets
// many of the largest webhooks at once, and when it holds a backlog. The count
// is webhooks of the backlog.
var memory = scenario{
	name: "memory", ci: 5000, full: 100_000, memory: largeMemory,
	what: "Memory is measured at rest, with 200 bodies of 25 MB at the same time, with 200 that do not compress, and with a backlog for a chat server that fails, also after a restart. Then the backlog is delivered. The full run adds 8 bodies of 25 MB for 20 channels that fail.",
	run: func(ctx context.Context, b *bench) error {
		r, err := b.rig(b.ordinary(10), "--pace", "0.05")
		if err != nil {
			return err
		}
		if r.mustStart(ctx) != nil {
			return nil
		}
		idle := r.process.status("VmRSS")
		for range 5 { // what the start needed is given back meanwhile
			pause(ctx, 2*time.Second)
			idle = min(idle, r.process.status("VmRSS"))
		}
		b.add("memory at rest, kB", int(idle/1000))
		if idle > idleMemory {
			b.violate(growth, "the relay takes %.1f MB at rest, at most %d are allowed", float64(idle)/1e6, idleMemory/1_000_000)
		}
		r.heavy(ctx, 200)
		r.heavyOf(ctx, "25 MB of noise", 200, noise(largest))
		b.add("most memory so far, MiB", int(r.process.status("VmHWM")>>20))
		r.backlog(ctx, b.count)
		r.finish(ctx, rules{}, 120*time.Second)
		if b.settings.full {
			return b.heavyForTheDead(ctx, 8, 20)
		}
		return nil
	},
}

// largest is the size of the largest webhooks, in bytes.
const largest = 25 << 20

// noise does not compress, as pictures in a description do not.
func noise(size int) []byte {
	raw := make([]byte, size*3/4+3)
	if _, err := rand.Read(raw); err != nil {
		panic(err) // never fails
	}
	return []byte(base64.StdEncoding.EncodeToString(raw))
}

// heavy sends webhooks of 25 MB, all at once. They compress, as logs and diffs
// do.
func (r *rig) heavy(ctx context.Context, n int) {
	r.heavyOf(ctx, "25 MB", n, bytes.Repeat([]byte(words), largest/len(words)+1))
}

// heavyOf sends webhooks of 25 MB, all at once: each is taken or put off.
func (r *rig) heavyOf(ctx context.Context, name string, n int, filling []byte) {
	answers := r.sendHeavy(ctx, n, kinds[2], filling)
	r.expectAlive()
	r.b.add(name+": 202", answers[202])
	r.b.add(name+": 503", answers[503])
	for status, n := range answers {
		if status != 202 && status != 503 && status != 429 {
			r.b.violate(untrue, "%d of the bodies of %s were answered %d %v", n, name, status, r.ledger.troubles())
		}
	}
	r.drain(ctx, 60*time.Second)
}

// sendHeavy sends so many at once, and returns how often each status came.
func (r *rig) sendHeavy(ctx context.Context, n int, k kind, filling []byte) map[int]int {
	var mu sync.Mutex
	answers := map[int]int{}
	var senders sync.WaitGroup
	for i := range n {
		senders.Go(func() {
			if ctx.Err() != nil {
				return
			}
			_, status := r.sendBody(i%len(r.plan.homes), k, func(w webhookText) body {
				w.prose = "PROSE"
				head, tail, _ := bytes.Cut(k.encode(w), []byte("PROSE"))
				return body{head, filling[:largest-len(head)-len(tail)], tail}
			})
			mu.Lock()
			answers[status]++
			mu.Unlock()
		})
	}
	senders.Wait()
	return answers
}

// heavyForTheDead has so many of the largest webhooks stored for so many channels
// each, none of which takes anything.
func (b *bench) heavyForTheDead(ctx context.Context, n, channels int) error {
	p := &plan{dests: []destination{{hook: b.secret("dead")}}, homes: []target{{0, "home"}}}
	for i := range channels - 1 {
		p.shared = append(p.shared, target{0, fmt.Sprintf("s%d", i)})
	}
	r, err := b.rig(p, "--pace", "0.05", "--parked-size", "9GiB")
	if err != nil {
		return err
	}
	if r.mustStart(ctx) != nil {
		return nil
	}
	r.chat.Set(p.dests[0].hook, chat.Status(503, nil, ""))
	filling := noise(largest)
	stored := 0
	for begin := time.Now(); stored < n && ctx.Err() == nil && r.process.alive() && time.Since(begin) < 2*time.Minute; {
		stored += r.sendHeavy(ctx, 1, kinds[1], filling)[202]
	}
	if stored < n {
		b.violate(untrue, "only %d of %d bodies of 25 MB were taken within 2 minutes", stored, n)
	}
	r.settleParking(ctx, time.Minute)
	r.expectAlive()
	b.add("memory with 25 MB for failing channels, MiB", int(r.process.status("VmHWM")>>20))
	r.soothe()
	r.finish(ctx, rules{}, 120*time.Second)
	return nil
}

// settleParking waits until nothing more is being parked.
func (r *rig) settleParking(ctx context.Context, most time.Duration) {
	last, quiet := "", 0
	for begin := time.Now(); ctx.Err() == nil && quiet < 10 && time.Since(begin) < most; pause(ctx, 500*time.Millisecond) {
		_, page, _ := r.get(ctx, "/metrics")
		now := ""
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "relay_deliveries_parked_total") {
				now += line
			}
		}
		if quiet++; now != last {
			last, quiet = now, 0
		}
	}
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
	r.b.measure("backlog taken at", "%.0f/s", float64(held)/time.Since(begin).Seconds())
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
	r.b.time("backlog delivered in", time.Since(begin), 0)
}
