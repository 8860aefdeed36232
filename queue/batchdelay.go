package queue

import "time"

const (
	// worthDelay is from how many at once on a write waits for more.
	worthDelay = 8
	// maxDelay is how long it waits at most.
	maxDelay = 2 * time.Millisecond
)

// batchDelay decides whether a write waits for more to come along. Under load those
// who were just served are about to come back: half the time that a sync takes is
// enough for them, and saves one. A few are never made to wait.
type batchDelay struct {
	size int           // how many the last write served, and left waiting
	took time.Duration // the last write
}

// over is when a write that others may still join begins at the latest; nil: it
// waits for nobody.
func (c *batchDelay) over() <-chan time.Time {
	if c.size <= worthDelay {
		return nil
	}
	return time.After(min(c.took/2, maxDelay))
}
