package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// EventsSince returns the sequence of RELAY_EVENTS above which everything was
// stored at that time or later.
func (q *Queue) EventsSince(ctx context.Context, t time.Time) (uint64, error) {
	return storedSince(ctx, q.events, t)
}

// EntriesSince is EventsSince for the journal.
func (q *Queue) EntriesSince(ctx context.Context, t time.Time) (uint64, error) {
	return storedSince(ctx, q.journalStream, t)
}

func storedSince(ctx context.Context, s stream, t time.Time) (uint64, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("look at stream: %w", err)
	}
	if info.State.Msgs == 0 {
		return info.State.LastSeq, nil
	}
	last, err := lastBefore(ctx, s, info.State.FirstSeq, info.State.LastSeq, t)
	if err != nil {
		return 0, err
	}
	return max(last, info.State.FirstSeq-1), nil
}

// lastBefore finds the last message in [first, last] stored before the time,
// or 0. Sequences and times grow together.
func lastBefore(ctx context.Context, s stream, first, last uint64, before time.Time) (uint64, error) {
	lo, hi := first, last+1 // everything below lo is older, everything from hi on is younger
	for lo < hi {
		mid := lo + (hi-lo)/2
		msg, err := s.GetMsg(ctx, mid)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			hi = mid // a gap: leave it and what follows alone
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read stream: %w", err)
		}
		if msg.Time.Before(before) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == first {
		return 0, nil
	}
	return lo - 1, nil
}
