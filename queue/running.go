package queue

import (
	"context"
	"sync"
	"time"
)

// slice is how long at most a timer of [WithTimeout] runs at a time.
const slice = 100 * time.Millisecond

// WithTimeout is context.WithTimeout by the time in which this process runs. A
// virtual machine that is moved, or a process that is stopped, stands still for
// seconds: then every timer has run out at once, and nobody had the time to answer.
// So the time is counted in slices, each of which counts as one however late it ends.
func WithTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	// Clients of NATS give a context without a deadline one of their own.
	ctx, stop := context.WithTimeoutCause(ctx, d+time.Hour, context.DeadlineExceeded)
	var mu sync.Mutex
	var t *time.Timer
	left := d
	tick := func() {
		mu.Lock()
		defer mu.Unlock()
		if left -= slice; left <= 0 {
			cancel(context.DeadlineExceeded)
			return
		}
		t.Reset(min(left, slice))
	}
	mu.Lock()
	t = time.AfterFunc(min(left, slice), tick)
	mu.Unlock()
	return ctx, func() {
		mu.Lock()
		left = 0
		t.Stop()
		mu.Unlock()
		stop()
		cancel(context.Canceled)
	}
}
