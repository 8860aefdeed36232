package delivery

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/gitlab-mattermost/relay/queue"
)

// destination is what the lanes of one destination share: whether it takes
// messages now, and when to try again.
type destination struct {
	config atomic.Pointer[Destination] // nil once it is gone from relay.yaml
	moves  atomic.Uint64               // how often it went elsewhere
	pauses []time.Duration
	pace   *rate.Limiter // shared by all lanes, whatever channel they post to
	front  chan struct{} // holds whoever is the next to post when the pace allows it
	told   atomic.Bool   // it was reported that it is paused or broken

	mu      sync.Mutex
	failed  int       // failures running; 0: it takes messages
	fell    time.Time // when the last of them ended
	reason  string    // of the last one
	text    string    // what it said then, for people
	until   time.Time // nobody tries before
	due     time.Time // when the next try would be if nobody had asked for one before; zero: nobody has
	probing bool      // one lane is trying
	began   time.Time // when the last message that got through was sent
	changed chan struct{}

	refused []queue.ID // messages refused since one got through, at most inARow
	broken  time.Time  // since when it is broken as a whole; zero: it is not
}

func newDestination(d Destination, pauses []time.Duration) *destination {
	dest := &destination{pauses: pauses, pace: rate.NewLimiter(limitOf(&d)), front: make(chan struct{}, 1), changed: make(chan struct{})}
	dest.config.Store(&d)
	return dest
}

// ReasonPaced is why a lane is parked whose destination takes no more than its
// rate_limit now.
const ReasonPaced = "waits for its rate limit"

// paced tells whether the rate limit holds messages back now.
func (d *destination) paced() bool {
	return d.pace.Limit() != rate.Inf && d.pace.Tokens() < 1
}

// limitOf is the pace of a destination, for a [rate.Limiter].
func limitOf(c *Destination) (rate.Limit, int) {
	if c == nil || c.RateLimit.IsZero() {
		return rate.Inf, 1
	}
	return rate.Limit(c.RateLimit.PerSecond()), max(c.RateLimit.Burst, 1)
}

// update takes a new configuration, or nil when the destination is gone. One
// that is where it was keeps its connections, its pace and its pause; one that
// went elsewhere is tried at once.
func (d *destination) update(c *Destination) (elsewhere bool) {
	old := d.config.Load()
	elsewhere = old.elsewhere(c)
	d.config.Store(c)
	if c == nil || old == nil || old.RateLimit != c.RateLimit {
		d.paceBy(limitOf(c))
	}
	if elsewhere {
		d.moves.Add(1)
		d.anew()
	}
	return elsewhere
}

// elsewhere tells whether o is another place than d. Either may be nil.
func (d *Destination) elsewhere(o *Destination) bool {
	return d == nil || o == nil || d.URL != o.URL || d.Channel != o.Channel || d.Kind != o.Kind || d.transport != o.transport
}

// paceBy changes the pace, also for those who wait already.
func (d *destination) paceBy(limit rate.Limit, burst int) {
	d.pace.SetLimit(limit)
	d.pace.SetBurst(burst)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wake()
}

// turn waits until the pace allows one more message, first come, first served. It
// returns [errBarred], having used up nothing, when the destination must be left
// alone meanwhile, and an error when ctx ends.
func (d *destination) turn(ctx context.Context) error {
	if d.pace.Limit() != rate.Inf {
		select {
		case d.front <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		defer func() { <-d.front }()
	}
	for ctx.Err() == nil {
		barred, changed := d.barred(time.Now())
		switch {
		case barred:
			return errBarred
		case d.pace.Allow():
			return nil
		}
		missing := (1 - d.pace.Tokens()) / float64(d.pace.Limit())
		wait := min(time.Duration(min(missing, time.Hour.Seconds())*float64(time.Second)), time.Hour)
		awaken(ctx, max(wait, time.Millisecond), time.Time{}, changed)
	}
	return ctx.Err()
}

// errBarred: the destination was admitted to, and must be left alone since.
var errBarred = errors.New("left alone")

// barred tells whether the destination is being left alone and its pause is not
// over, so that not even who probes it may post; and what is closed when that may
// have changed.
func (d *destination) barred(now time.Time) (bool, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed > 0 && now.Before(d.until), d.changed
}

// paused tells whether the destination is being left alone.
func (d *destination) paused() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed > 0
}

// succeeded: a message that was sent then got through. That ends the pause only if
// it was sent since the last failure: what was under way at that time says nothing
// about it. It tells whether the destination had been paused, and is no longer, and
// whether it had been broken.
func (d *destination) succeeded(sent time.Time) (paused, broken bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if sent.After(d.began) {
		d.began = sent
	}
	paused, broken = d.failed > 0 && !sent.Before(d.fell), !d.broken.IsZero()
	d.refused, d.broken = nil, time.Time{}
	if paused {
		d.failed, d.probing, d.due = 0, false, time.Time{}
		d.wake()
	}
	return paused, broken
}

// anew forgets all that was known of how it answers.
func (d *destination) anew() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed, d.probing, d.due, d.refused, d.broken = 0, false, time.Time{}, nil, time.Time{}
	d.wake()
}

// failedAgain lengthens the pause, at least to what the receiver asked for,
// and returns it. A try that somebody asked for does not lengthen it.
func (d *destination) failedAgain(now time.Time, r result) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	pause := jitter(d.pauses[min(d.failed, len(d.pauses)-1)])
	switch {
	case !d.probing && d.failed > 0 && now.Before(d.until):
		// Another lane found out at the same time: once is enough.
		pause = max(d.until.Sub(now), r.retryAfter)
	case now.Before(d.due):
		pause = max(d.due.Sub(now), r.retryAfter)
	default:
		d.failed++
		pause = max(pause, r.retryAfter)
	}
	d.due = time.Time{}
	d.fell, d.until, d.probing, d.reason, d.text = now, now.Add(pause), false, r.reason, r.text
	d.wake()
	return pause
}

// probed: the probe ended without saying anything about the destination, or
// with an answer about this message or this channel alone, which a destination
// that is down may give as well.
func (d *destination) probed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.probing {
		d.probing = false
		d.wake()
	}
}

// tookSince tells whether a message got through that was sent after the time.
func (d *destination) tookSince(t time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.began.After(t)
}

// lastTaken is when the last message that has got through so far was sent.
func (d *destination) lastTaken() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.began
}

// refuses notes that a message was refused, and tells whether that makes
// different ones in a row, nothing having got through between.
func (d *destination) refuses(id queue.ID) (row bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.refused) < inARow && !slices.Contains(d.refused, id) {
		d.refused = append(d.refused, id)
	}
	return len(d.refused) == inARow
}

// breaks notes that it is broken as a whole, and tells whether that is news.
func (d *destination) breaks(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.broken.IsZero() {
		return false
	}
	d.broken = now
	return true
}

// status is why the destination is being left alone, with an empty reason when
// it is not, until when, and whether it is broken as a whole.
func (d *destination) status() (why struct{ reason, text string }, broken bool, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed > 0 {
		why.reason, why.text, until = d.reason, d.text, d.until
	}
	return why, !d.broken.IsZero(), until
}

// lastFailure is what the last failure said, and when it ended, while the destination
// is being left alone.
func (d *destination) lastFailure() (text string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == 0 {
		return "", time.Time{}
	}
	return d.text, d.fell
}

// admit waits until the destination may be tried: at once while it takes
// messages, else when its pause is over, one lane at a time. It returns an
// error when ctx ends first, or [errExpired] when the time comes at which the
// delivery is given up and the destination still takes nothing.
func (d *destination) admit(ctx context.Context, expires time.Time) error {
	for ctx.Err() == nil {
		d.mu.Lock()
		if d.failed == 0 {
			d.mu.Unlock()
			return nil
		}
		now := time.Now()
		if !expires.IsZero() && !now.Before(expires) {
			d.mu.Unlock()
			return errExpired
		}
		if !now.Before(d.until) && !d.probing {
			d.probing = true
			d.mu.Unlock()
			return nil
		}
		wait := d.until.Sub(now)
		if d.probing {
			wait = time.Hour // until it changes
		}
		changed := d.changed
		d.mu.Unlock()
		awaken(ctx, wait, expires, changed)
	}
	return ctx.Err()
}

// awaken returns after a while, at a time unless it is zero, or when something
// is closed.
func awaken(ctx context.Context, wait time.Duration, at time.Time, changed <-chan struct{}) {
	if !at.IsZero() {
		wait = min(wait, max(time.Until(at), 0))
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	case <-ctx.Done():
	}
}

func (d *destination) wake() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// hurry ends the pause: the next one to ask may try.
func (d *destination) hurry() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed > 0 && d.due.IsZero() {
		d.due = d.until
	}
	d.until = time.Time{}
	d.wake()
}

// jitter spreads a pause by a fifth either way, so that relays and lanes do
// not come back in step.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1)
}
