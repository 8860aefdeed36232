package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// pollInterval is how often a reader looks by itself on an external server,
// where the hint of another relay's door may be lost.
const pollInterval = time.Second

// Next returns the first envelope above the sequence, waiting for one to be
// stored. Envelopes come in the order of their sequences; one is in memory at
// a time. In the place of one that cannot be read it returns a [DamageError].
func (q *Queue) Next(ctx context.Context, after uint64) (Envelope, error) {
	for {
		if err := q.awaitTail(ctx, after); err != nil {
			return Envelope{}, err
		}
		if e, ok := q.recent.take(after + 1); ok {
			return e, nil
		}
		tail := q.tail.load() // before the look: what is stored meanwhile stands above it
		msg, err := get(ctx, q.events, after+1, subjectEvents)
		switch {
		case err == nil:
			if err := q.gap(ctx, after, msg.Sequence); err != nil {
				return Envelope{}, err
			}
			q.tail.advance(msg.Sequence)
			return decodeEnvelope(msg.Sequence, msg.Data, q.opt.maxContent())
		case ctx.Err() != nil:
			return Envelope{}, ctx.Err()
		case errors.Is(err, jetstream.ErrMsgNotFound) && !q.External():
			if err := q.gap(ctx, after, tail+1); err != nil {
				return Envelope{}, err
			}
			// Everything up to the tail was purged: nothing to read until it moves.
			after = max(after, tail)
		default:
			if err := q.pause(ctx, err); err != nil {
				return Envelope{}, err
			}
		}
	}
}

// awaitTail waits until something above the sequence is known, or, with an
// external server, until it is time to look.
func (q *Queue) awaitTail(ctx context.Context, after uint64) error {
	more := q.tail.above(after)
	if more == nil {
		return nil
	}
	var look <-chan time.Time
	if q.External() {
		t := time.NewTimer(pollInterval)
		defer t.Stop()
		look = t.C
	}
	select {
	case <-more:
	case <-look:
	case <-ctx.Done():
		return ctx.Err()
	case <-q.ctx.Done():
		return ErrClosed
	}
	return nil
}

// pause waits a moment after a read that failed. A message that is not there
// yet (a replica may lag) and a server that is away are no reason to give up.
func (q *Queue) pause(ctx context.Context, err error) error {
	if !errors.Is(err, jetstream.ErrMsgNotFound) {
		q.log.Warn("the queue did not answer a read; repeating it", "err", err)
	}
	t := time.NewTimer(q.opt.FirstRetry)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-q.ctx.Done():
		return ErrClosed
	}
}

// envelope returns the envelope of that sequence.
func (q *Queue) envelope(ctx context.Context, seq uint64) (Envelope, error) {
	msg, err := q.events.GetMsg(ctx, seq)
	if err != nil {
		return Envelope{}, fmt.Errorf("read event %d: %w", seq, err)
	}
	return decodeEnvelope(seq, msg.Data, q.opt.maxContent())
}

// Envelopes calls f for the envelopes above the sequence, up to and including
// the other, until it returns false.
func (q *Queue) Envelopes(ctx context.Context, after, upTo uint64, f func(Envelope) bool) error {
	return walk(ctx, q.events, subjectEvents, after, func(msg *jetstream.RawStreamMsg) (bool, error) {
		if msg.Sequence > upTo {
			return false, nil
		}
		e, err := decodeEnvelope(msg.Sequence, msg.Data, q.opt.maxContent())
		if q.passOver(err) {
			return true, nil
		}
		return err == nil && f(e), err
	})
}

// LastEvent is the sequence of the newest message in RELAY_EVENTS that this
// relay knows of.
func (q *Queue) LastEvent() uint64 { return q.tail.load() }

// walk calls f for the messages of a stream above the sequence that are there
// now, in order, until it returns false.
func walk(ctx context.Context, s stream, subject string, after uint64, f func(*jetstream.RawStreamMsg) (bool, error)) error {
	info, err := s.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at stream: %w", err)
	}
	failed := 0
	for last := info.State.LastSeq; after < last; {
		var msgs []*jetstream.RawStreamMsg
		if failed < batchTries && last-after >= worthBatch {
			if msgs, err = s.batch(ctx, subject, after); err != nil && len(msgs) == 0 {
				failed++
			}
		}
		if len(msgs) == 0 {
			msg, err := get(ctx, s, after+1, subject)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("read %s: %w", info.Config.Name, err)
			}
			msgs = append(msgs, msg)
		}
		for _, msg := range msgs {
			if after = msg.Sequence; after > last {
				return nil
			}
			more, err := f(msg)
			if err != nil || !more {
				return err
			}
		}
	}
	return nil
}
