package delivery

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// destination is what the lanes of one destination share: whether it takes
// messages now, and when to try again.
type destination struct {
	config atomic.Pointer[Destination] // nil once it is gone from relay.yaml
	pauses []time.Duration
	pace   *rate.Limiter // shared by all lanes, whatever channel they post to

	mu      sync.Mutex
	failed  int       // failures running; 0: it takes messages
	until   time.Time // nobody tries before
	probing bool      // one lane is trying
	lastOK  time.Time // last message that got through
	changed chan struct{}
}

func newDestination(d Destination, pauses []time.Duration) *destination {
	dest := &destination{pauses: pauses, pace: rate.NewLimiter(limitOf(&d)), changed: make(chan struct{})}
	dest.config.Store(&d)
	return dest
}

// limitOf is the pace of a destination, for a [rate.Limiter].
func limitOf(c *Destination) (rate.Limit, int) {
	if c.RateLimit.IsZero() {
		return rate.Inf, 1
	}
	return rate.Limit(c.RateLimit.PerSecond()), max(c.RateLimit.Burst, 1)
}

// update takes a new configuration, or nil when the destination is gone. What
// is paused is tried at once if it may work now.
func (d *destination) update(c *Destination) (elsewhere bool) {
	if c != nil {
		limit, burst := limitOf(c)
		d.pace.SetLimit(limit)
		d.pace.SetBurst(burst)
	}
	old := d.config.Swap(c)
	elsewhere = c == nil || old == nil || old.URL != c.URL || old.Channel != c.Channel || old.Kind != c.Kind || old.client != c.client
	if elsewhere {
		d.answered()
	}
	return elsewhere
}

// paused tells whether the destination is being left alone.
func (d *destination) paused() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed > 0
}

// succeeded: a message got through. It tells whether the destination had been
// paused.
func (d *destination) succeeded(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastOK = now
	if d.failed == 0 {
		return false
	}
	d.failed, d.probing = 0, false
	d.wake()
	return true
}

// failedAgain lengthens the pause, at least to what the receiver asked for,
// and returns it.
func (d *destination) failedAgain(now time.Time, atLeast time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	pause := jitter(d.pauses[min(d.failed, len(d.pauses)-1)])
	if !d.probing && d.failed > 0 {
		// Another lane found out at the same time: once is enough.
		pause = max(time.Until(d.until), atLeast)
	} else {
		d.failed++
		pause = max(pause, atLeast)
	}
	d.until, d.probing = now.Add(pause), false
	d.wake()
	return pause
}

// answered: the destination is there, though it refused this message or this
// channel.
func (d *destination) answered() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed > 0 {
		d.failed, d.probing = 0, false
		d.wake()
	}
}

// probed: the probe ended without saying anything about the destination.
func (d *destination) probed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.probing {
		d.probing = false
		d.wake()
	}
}

// since tells whether a message got through after the time.
func (d *destination) since(t time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lastOK.After(t)
}

// admit waits until the destination may be tried: at once while it takes
// messages, else when its pause is over, one lane at a time. It returns false
// when ctx ends first.
func (d *destination) admit(ctx context.Context) bool {
	for {
		d.mu.Lock()
		if d.failed == 0 {
			d.mu.Unlock()
			return ctx.Err() == nil
		}
		wait := time.Until(d.until)
		if wait <= 0 && !d.probing {
			d.probing = true
			d.mu.Unlock()
			return ctx.Err() == nil
		}
		changed := d.changed
		probing := d.probing
		d.mu.Unlock()
		var over <-chan time.Time
		if !probing {
			t := time.NewTimer(wait)
			defer t.Stop()
			over = t.C
		}
		select {
		case <-over:
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

func (d *destination) wake() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// jitter spreads a pause by a fifth either way, so that relays and lanes do
// not come back in step.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1)
}
