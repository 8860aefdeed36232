package queue

import "time"

const (
	// crowded is from how many at once on a write waits for more.
	crowded = 8
	// maxLinger is how long it waits at most.
	maxLinger = 2 * time.Millisecond
)

// crowd decides whether a write waits for more to come along. Under load those
// who were just served are about to come back: half the time that a sync takes is
// enough for them, and saves one. A few are never made to wait.
type crowd struct {
	size int           // how many the last write served, and left waiting
	took time.Duration // the last write
}

// over is when a write that others may still join begins at the latest; nil: it
// waits for nobody.
func (c *crowd) over() <-chan time.Time {
	if c.size <= crowded {
		return nil
	}
	return time.After(min(c.took/2, maxLinger))
}
