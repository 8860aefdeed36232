package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Tight tells whether history is to be dropped before its time.
func (q *Queue) Tight(ctx context.Context) bool {
	for _, s := range []stream{q.events, q.journalStream} {
		if info, err := s.Info(ctx); err == nil && q.tight(info) {
			return true
		}
	}
	return false
}

// tight tells whether a stream is three quarters full, or its disk nearly.
func (q *Queue) tight(s *jetstream.StreamInfo) bool {
	return s.State.Bytes > uint64(s.Config.MaxBytes)/4*3 || q.disk.low()
}

// Tidy drops what is settled and older than history, up to the checkpoint and
// never beyond it. Where room is short, settled history goes before its time.
func (q *Queue) Tidy(ctx context.Context, c Checkpoint, history time.Duration) error {
	q.recent.forget(c.Cursor)
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
func (q *Queue) tidyStream(ctx context.Context, s stream, settled uint64, history time.Duration) error {
	info, err := s.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at stream: %w", err)
	}
	state := info.State
	settled = min(settled, state.LastSeq)
	if settled == 0 || state.Msgs == 0 || settled < state.FirstSeq {
		return nil
	}
	upTo, early := settled, q.tight(info)
	if !early {
		upTo, err = lastBefore(ctx, s, state.FirstSeq, settled, q.now().Add(-history))
		if err != nil || upTo == 0 {
			return err
		}
	}
	if !q.disk.purgeable() {
		return nil // later
	}
	Failpoint(FailPurging)
	// Purge takes the first sequence to keep; 0 would drop everything.
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(upTo+1)); err != nil {
		return fmt.Errorf("purge %s: %w", info.Config.Name, err)
	}
	Failpoint(FailPurged)
	if early {
		q.log.Warn("history went before its time for want of room", "stream", info.Config.Name, "messages", upTo+1-state.FirstSeq)
	}
	return nil
}

// purgeJournal drops everything up to the floor, and tells whether there was
// anything.
func (q *Queue) purgeJournal(ctx context.Context, floor uint64) (bool, error) {
	info, err := q.journalStream.Info(ctx)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", JournalStream, err)
	}
	if floor == 0 || info.State.Msgs == 0 || floor < info.State.FirstSeq {
		return false, nil
	}
	if err := q.journalStream.Purge(ctx, jetstream.WithPurgeSequence(floor+1)); err != nil {
		return false, fmt.Errorf("purge %s: %w", JournalStream, err)
	}
	if info.Config.MaxBytes > q.opt.JournalSize {
		return true, q.limit(ctx, JournalStream, q.opt.JournalSize)
	}
	return true, nil
}

// limit sets how many bytes a stream may take. One that holds more keeps them.
func (q *Queue) limit(ctx context.Context, name string, most int64) error {
	set := func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, name)
		if err != nil {
			return err
		}
		c := s.CachedInfo().Config
		c.MaxBytes = most
		_, err = js.UpdateStream(ctx, c)
		return err
	}
	var err error
	if q.External() {
		err = q.ask(ctx, "limit of "+name, func(ctx context.Context) error { return set(ctx, q.js) })
	} else if g, e := q.health.writable(ctx); e != nil {
		err = e
	} else {
		err = g.while(ctx, func(ctx context.Context) error { return set(ctx, g.js) })
	}
	if err != nil {
		return fmt.Errorf("set the limit of %s: %w", name, err)
	}
	return nil
}
