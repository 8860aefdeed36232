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
	// standing: it reads and writes.
	standing condition = iota
	// down: the server in this process has given up writing. It may still read.
	// Webhooks are refused at once; everything else that is to be written waits.
	down
	// mending: the server is being started anew, which takes a moment.
	// Everything waits, webhooks too.
	mending
)

// health knows the present generation and whether it can write.
type health struct {
	log  *slog.Logger
	mend func(*generation) // starts the next generation; in its own goroutine

	mu            sync.Mutex
	state         condition
	reason        string        // unless it stands
	since         time.Time     // when it last went down
	stood         time.Time     // when a generation last began, after the first
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
	if h.state = c; c == standing {
		h.reason = ""
	}
	h.gen = g
	if h.changed != nil {
		close(h.changed)
	}
	h.changed = make(chan struct{})
}

// wedged says that a generation cannot write any more; the first one to say so
// starts the next. Of a generation that is not the present one it says nothing.
func (h *health) wedged(g *generation, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended || h.gen != g || h.state != standing {
		return
	}
	h.reason, h.since = reason, time.Now()
	h.outages++
	h.set(down, g)
	h.log.Error("the queue cannot write: webhooks are refused until it can", "err", reason)
	h.running.Go(func() { h.mend(g) })
}

// writable returns the generation to write to, once there is one that can.
func (h *health) writable(ctx context.Context) (*generation, error) {
	for {
		state, g, changed := h.look()
		if state == standing && g != nil {
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
		if state != mending && g != nil {
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
	return state != standing || now != g
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

// rest is how long to wait before a generation is replaced: one that has just
// begun is no better than its successor would be.
func (h *health) rest() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.Sub(h.stood) < 10*time.Second {
		return time.Second
	}
	return 0
}

// mending says that the present generation ends, and since when it was down.
func (h *health) mending() (since time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.set(mending, nil)
	return h.since
}

// lie says that there is no generation for now.
func (h *health) lie() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.set(down, nil)
}

// stand makes a generation the present one.
func (h *health) stand(g *generation) {
	h.mu.Lock()
	h.present(g)
	h.mu.Unlock()
	if what := g.critical.Load(); what != nil {
		h.wedged(g, *what)
	}
}

// present makes a generation the present one. The lock is held.
func (h *health) present(g *generation) {
	for _, s := range h.subscriptions {
		if sub, err := g.nc.Subscribe(s.subject, s.call); err == nil {
			s.now = sub
		} else {
			h.log.Error("what other relays ask is not heard", "err", err)
		}
	}
	h.stood = time.Now()
	h.set(standing, g)
}

// end waits until nothing is started anew any more, and returns the last
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
	return q.health.state != standing || q.disk.short.Load(), q.health.outages
}
