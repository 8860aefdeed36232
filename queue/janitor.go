package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Tidy drops what is settled and older than history, up to the checkpoint and
// never beyond it. A stream that is three quarters full gives up settled
// history before its time.
func (q *Queue) Tidy(ctx context.Context, c Checkpoint, history time.Duration) error {
	if err := q.tidyStream(ctx, q.events, c.Cursor, history); err != nil {
		return err
	}
	info, err := q.journalStream.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", JournalStream, err)
	}
	// A start recovers from the last message: it stays, however old.
	return q.tidyStream(ctx, q.journalStream, min(c.Journal, max(info.State.LastSeq, 1)-1), history)
}

// tidyStream purges up to and including the sequence settled, as far as age or
// want of room asks for it.
func (q *Queue) tidyStream(ctx context.Context, s jetstream.Stream, settled uint64, history time.Duration) error {
	info, err := s.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at stream: %w", err)
	}
	state := info.State
	settled = min(settled, state.LastSeq)
	if settled == 0 || state.Msgs == 0 || settled < state.FirstSeq {
		return nil
	}
	upTo := settled
	tight := state.Bytes > uint64(info.Config.MaxBytes)/4*3
	if !tight {
		upTo, err = lastBefore(ctx, s, state.FirstSeq, settled, time.Now().Add(-history))
		if err != nil || upTo == 0 {
			return err
		}
	}
	// Purge takes the first sequence to keep; 0 would drop everything.
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(upTo+1)); err != nil {
		return fmt.Errorf("purge %s: %w", info.Config.Name, err)
	}
	return nil
}

// purgeJournal makes room in a full journal: everything below the floor goes.
func (q *Queue) purgeJournal(ctx context.Context, floor uint64) {
	if floor == 0 {
		return
	}
	if err := q.journalStream.Purge(ctx, jetstream.WithPurgeSequence(floor+1)); err != nil {
		q.log.Error("the journal cannot be purged", "err", err)
	}
}
