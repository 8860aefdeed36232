package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// condition is what the queue can do at the moment.
type condition int

const (
	// available: it reads and writes.
	available condition = iota
	// down: the server in this process has given up writing. It may still read.
	// Webhooks are refused at once; everything else that is to be written waits.
	down
	// recovering: the server is being restarted, which takes a moment.
	// Everything waits, webhooks too.
	recovering
)

// health knows the present generation and whether it can write.
type health struct {
	log     *slog.Logger
	restart func(*generation) // starts the next generation; in its own goroutine

	mu            sync.Mutex
	state         condition
	reason        string        // unless it is available
	since         time.Time     // when it last went down
	lastUp        time.Time     // when a generation last began, after the first
	gen           *generation   // nil while none is there to read from
	changed       chan struct{} // closed at the next change
	outages       uint64
	ended         bool
	running       sync.WaitGroup
	subscriptions []*subscription
}

func (h *health) look() (condition, *generation, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state, h.gen, h.changed
}

// set changes the state. The lock is held.
func (h *health) set(c condition, g *generation) {
	if h.state = c; c == available {
		h.reason = ""
	}
	h.gen = g
	if h.changed != nil {
		close(h.changed)
	}
	h.changed = make(chan struct{})
}

// wedged records that a generation cannot write any more, and has the next one
// started, once. It ignores a generation that was replaced.
func (h *health) wedged(g *generation, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended || h.gen != g || h.state != available {
		return
	}
	h.reason, h.since = reason, time.Now()
	h.outages++
	h.set(down, g)
	h.log.Error("the queue cannot write: webhooks are refused until it can", "err", reason)
	h.running.Go(func() { h.restart(g) })
}

// writable returns the generation to write to, once there is one that can.
func (h *health) writable(ctx context.Context) (*generation, error) {
	for {
		state, g, changed := h.look()
		if state == available && g != nil {
			return g, nil
		}
		if err := wait(ctx, changed); err != nil {
			return nil, err
		}
	}
}

// readable returns the generation to read from, once there is one.
func (h *health) readable(ctx context.Context) (*generation, error) {
	for {
		state, g, changed := h.look()
		if state != recovering && g != nil {
			return g, nil
		}
		if err := wait(ctx, changed); err != nil {
			return nil, err
		}
	}
}

// failing tells whether what a generation did not answer may be answered by the
// next one.
func (h *health) failing(g *generation) bool {
	state, now, _ := h.look()
	return state != available || now != g
}

// moved waits until the generation is another one.
func (h *health) moved(ctx context.Context, g *generation) error {
	for {
		_, now, changed := h.look()
		if now != g { // it may be none: who asks waits for the next
			return nil
		}
		if err := wait(ctx, changed); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// refuses returns an error while webhooks are refused, and a channel that is
// closed when that may have changed.
func (h *health) refuses() (<-chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == down {
		return h.changed, fmt.Errorf("%w: %s", ErrDown, h.reason)
	}
	return h.changed, nil
}

// restartDelay is how long to wait before a generation is replaced: one that has just
// begun is no better than its successor would be.
func (h *health) restartDelay() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.Sub(h.lastUp) < 10*time.Second {
		return time.Second
	}
	return 0
}

// markRecovering records that the present generation ends, and returns since when
// it was down.
func (h *health) markRecovering() (since time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.set(recovering, nil)
	return h.since
}

// markDown records that there is no generation for now.
func (h *health) markDown() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.set(down, nil)
}

// markUp makes a generation the present one.
func (h *health) markUp(g *generation) {
	h.mu.Lock()
	h.setAvailable(g)
	h.mu.Unlock()
	if what := g.critical.Load(); what != nil {
		h.wedged(g, *what)
	}
}

// setAvailable makes a generation the present one. The lock is held.
func (h *health) setAvailable(g *generation) {
	for _, s := range h.subscriptions {
		if sub, err := g.nc.Subscribe(s.subject, s.call); err == nil {
			s.now = sub
		} else {
			h.log.Error("what other relays ask is not heard", "err", err)
		}
	}
	h.lastUp = time.Now()
	h.set(available, g)
}

// end waits until nothing is restarted any more, and returns the last
// generation, if there is one. The queue's context has ended.
func (h *health) end() *generation {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.running.Wait()
	_, g, _ := h.look()
	return g
}

// Outage tells whether the queue stores nothing at the moment, because of its
// disk or of its server, and how often that has been so since Open.
func (q *Queue) Outage() (now bool, count uint64) {
	q.health.mu.Lock()
	defer q.health.mu.Unlock()
	return q.health.state != available || q.disk.short.Load(), q.health.outages
}
