package queue

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// behindFor is how long a stream on an external server may hold less than is
// known of it until that is taken for damage, in TakeoverWait: a server that has
// just begun to lead it is still storing what the others agreed on.
const behindFor = 6

var errBehind = errors.New("its server may still be catching up")

// behind is an error where a stream holds less than is known of it and its server
// may be catching up; nil where that is damage.
func (q *Queue) behind(stream string, known uint64) error {
	if !q.External() || q.resigned {
		return nil
	}
	return fmt.Errorf("%s does not hold %d: %w", stream, known, errBehind)
}

// parkedBehind is an error while RELAY_PARKED on an external server ends before
// what this relay knows to be there.
func (q *Queue) parkedBehind(ctx context.Context) error {
	if !q.External() {
		return nil
	}
	info, err := q.parked.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", ParkedStream, err)
	}
	if known := q.lastPark.load(); info.State.LastSeq < known {
		return fmt.Errorf("%s does not hold %d: %w", ParkedStream, known, errBehind)
	}
	return nil
}

// patience bounds how long a stream may be behind.
type patience struct{ since time.Time }

// over tells whether an error says that a stream is behind, and it has been for too
// long.
func (p *patience) over(q *Queue, err error) bool {
	if !errors.Is(err, errBehind) {
		return false
	}
	if p.since.IsZero() {
		p.since = time.Now()
	}
	return time.Since(p.since) > behindFor*q.opt.TakeoverWait
}

// again tells, after a pause, whether to recover again because a stream is behind.
// The first time it says which, and when all patience is gone the next recovery
// takes what is there.
func (p *patience) again(ctx context.Context, q *Queue, err error) bool {
	if !errors.Is(err, errBehind) {
		return false
	}
	if p.since.IsZero() {
		q.log.Warn("what the streams hold cannot be read yet; trying again", "err", err)
	}
	q.resigned = p.over(q, err)
	return sleep(ctx, min(q.opt.TakeoverWait/5, heartbeat))
}
