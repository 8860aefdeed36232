package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// pollInterval is how often a reader looks by itself on an external server,
// where the hint of another relay's door may be lost.
const pollInterval = time.Second

// Next returns the first envelope above the sequence, waiting for one to be
// stored. Envelopes come in the order of their sequences; one is in memory at
// a time.
func (q *Queue) Next(ctx context.Context, after uint64) (Envelope, error) {
	for {
		if err := q.awaitTail(ctx, after); err != nil {
			return Envelope{}, err
		}
		tail := q.tail.load() // before the look: what is stored meanwhile stands above it
		msg, err := get(ctx, q.events, after+1, subjectEvents)
		switch {
		case err == nil:
			q.tail.advance(msg.Sequence)
			return decodeEnvelope(msg.Sequence, msg.Data, q.opt.maxContent())
		case ctx.Err() != nil:
			return Envelope{}, ctx.Err()
		case errors.Is(err, jetstream.ErrMsgNotFound) && q.embedded != nil:
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
	if q.embedded == nil {
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

// Envelope returns the envelope of that sequence.
func (q *Queue) Envelope(ctx context.Context, seq uint64) (Envelope, error) {
	msg, err := q.events.GetMsg(ctx, seq)
	if err != nil {
		return Envelope{}, fmt.Errorf("read event %d: %w", seq, err)
	}
	return decodeEnvelope(seq, msg.Data, q.opt.maxContent())
}

// Park appends deliveries to a lane's line in RELAY_PARKED, as one message,
// and returns its sequence once it is on disk.
func (q *Queue) Park(ctx context.Context, lane Lane, batch []Parked) (uint64, error) {
	nonce := newNonce()
	return q.append(ctx, subjectParked+laneToken(lane), encodeParked(nonce, batch), nonce)
}

// append adds one message to RELAY_PARKED, if nobody else has added one.
func (q *Queue) append(ctx context.Context, subject string, data []byte, nonce Nonce) (uint64, error) {
	q.parking.Lock()
	defer q.parking.Unlock()
	for {
		seq, err := q.publish(ctx, subject, data, nonce, &q.parkEnd)
		if errors.Is(err, ErrFenced) {
			var found bool
			if found, err = q.mine(ctx, q.parked, q.parkEnd+1, nonce); found {
				seq = q.parkEnd + 1
			} else if err == nil {
				if err = q.stillLeading(ctx); err == nil {
					continue
				}
			}
		}
		if err != nil {
			return 0, err
		}
		q.parkEnd = seq
		q.lastPark.advance(seq)
		return seq, nil
	}
}

// stillLeading finds out, after somebody else has written to RELAY_PARKED,
// whether that was the relay that has taken over, or one that only tried. The
// end is looked at before the journal is written: who takes over in between is
// met by the next append.
func (q *Queue) stillLeading(ctx context.Context) error {
	info, err := q.parked.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", ParkedStream, err)
	}
	if j := q.leading.Load(); j != nil {
		if err := j.Write(ctx); err != nil {
			return err
		}
	}
	q.parkEnd = info.State.LastSeq
	return nil
}

// fence makes what another relay still appends to RELAY_PARKED fail.
func (q *Queue) fence(ctx context.Context) error {
	q.parking.Lock()
	defer q.parking.Unlock()
	nonce := newNonce()
	seq, err := q.publish(ctx, subjectFence, encodeParked(nonce, nil), nonce, nil)
	if err != nil {
		return err
	}
	q.parkEnd = seq
	q.lastPark.advance(seq)
	return q.parked.Purge(ctx, jetstream.WithPurgeSubject(subjectFence))
}

// LastPark is the sequence of the newest message in RELAY_PARKED that this
// relay knows of.
func (q *Queue) LastPark() uint64 { return q.lastPark.load() }

// NextParked returns the first batch of a lane above the sequence; a batch
// without deliveries means that there is none.
func (q *Queue) NextParked(ctx context.Context, lane Lane, after uint64) (seq uint64, batch []Parked, err error) {
	msg, err := get(ctx, q.parked, after+1, subjectParked+laneToken(lane))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, fmt.Errorf("read %s: %w", ParkedStream, err)
	}
	batch, err = decodeParked(msg.Sequence, msg.Data, q.opt.maxContent())
	return msg.Sequence, batch, err
}

// BatchSize tells how many of the deliveries fit into one parked message: at
// least one.
func BatchSize(waiting []Parked) int {
	size := 0
	for i := range waiting {
		size += waiting[i].Webhook.size() + len(waiting[i].Note) + 32
		if size > maxEnvelope && i > 0 {
			return i
		}
	}
	return len(waiting)
}

// PurgeParked drops a lane's messages up to and including the sequence.
func (q *Queue) PurgeParked(ctx context.Context, lane Lane, upTo uint64) error {
	err := q.parked.Purge(ctx, jetstream.WithPurgeSubject(subjectParked+laneToken(lane)), jetstream.WithPurgeSequence(upTo+1))
	if err != nil {
		return fmt.Errorf("purge %s: %w", ParkedStream, err)
	}
	return nil
}

// ParkedLanes lists the lanes that have messages in RELAY_PARKED.
func (q *Queue) ParkedLanes(ctx context.Context) ([]Lane, error) {
	info, err := q.parked.Info(ctx, jetstream.WithSubjectFilter(subjectParked+">"))
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", ParkedStream, err)
	}
	var lanes []Lane
	for subject := range info.State.Subjects {
		if subject == subjectFence {
			continue
		}
		lane, err := parseLane(strings.TrimPrefix(subject, subjectParked))
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", ParkedStream, err)
		}
		lanes = append(lanes, lane)
	}
	return lanes, nil
}

// LastParked is the sequence of a lane's newest message in RELAY_PARKED, or 0.
func (q *Queue) LastParked(ctx context.Context, lane Lane) (uint64, error) {
	msg, err := q.parked.GetLastMsgForSubject(ctx, subjectParked+laneToken(lane))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", ParkedStream, err)
	}
	return msg.Sequence, nil
}

// Bury keeps a delivery that was given up and returns its sequence in
// RELAY_DEAD. When that stream is full the oldest dead letters go, which is
// logged: they are the only thing the relay ever drops.
func (q *Queue) Bury(ctx context.Context, d *Dead) (uint64, error) {
	nonce := newNonce()
	data := encodeDead(nonce, d)
	for {
		seq, err := q.publish(ctx, subjectDead+laneToken(d.Lane), data, nonce, nil)
		if !errors.Is(err, ErrFull) {
			return seq, err
		}
		info, err := q.dead.Info(ctx)
		if err != nil {
			return 0, fmt.Errorf("look at %s: %w", DeadStream, err)
		}
		if info.State.Msgs == 0 {
			return 0, fmt.Errorf("bury: %w: one dead letter is larger than %s may be", ErrFull, DeadStream)
		}
		drop := max(info.State.Msgs/10, 1)
		q.log.Error("the dead letters are full: dropping the oldest", "count", drop)
		if err := q.dead.Purge(ctx, jetstream.WithPurgeKeep(info.State.Msgs-drop)); err != nil {
			return 0, fmt.Errorf("purge %s: %w", DeadStream, err)
		}
	}
}

// DeadLetters calls f for every dead letter, oldest first, until it returns
// false.
func (q *Queue) DeadLetters(ctx context.Context, f func(seq uint64, d Dead) bool) error {
	return walk(ctx, q.dead, subjectDead+">", 0, func(msg *jetstream.RawStreamMsg) (bool, error) {
		d, err := decodeDead(msg.Sequence, msg.Data, q.opt.maxContent())
		return err == nil && f(msg.Sequence, d), err
	})
}

// walk calls f for the messages of a stream above the sequence that are there
// now, in order, until it returns false.
func walk(ctx context.Context, s jetstream.Stream, subject string, after uint64, f func(*jetstream.RawStreamMsg) (bool, error)) error {
	info, err := s.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at stream: %w", err)
	}
	for last := info.State.LastSeq; after < last; {
		msg, err := get(ctx, s, after+1, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", info.Config.Name, err)
		}
		after = msg.Sequence
		more, err := f(msg)
		if err != nil || !more {
			return err
		}
	}
	return nil
}
