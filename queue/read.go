package queue

import (
	"context"
	"crypto/sha256"
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

// Envelope returns the envelope of that sequence.
func (q *Queue) Envelope(ctx context.Context, seq uint64) (Envelope, error) {
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

// Park appends deliveries to a lane's line in RELAY_PARKED, as one message,
// and returns its sequence once it is on disk. It returns ErrShare or ErrFull
// when there is no room; see [Queue.Expendable].
func (q *Queue) Park(ctx context.Context, lane Lane, batch []Parked) (uint64, error) {
	if len(batch) == 1 && len(batch[0].Webhook.Body) >= apart {
		return q.parkApart(ctx, lane, &batch[0])
	}
	size := 0
	for i := range batch {
		size += batch[i].Webhook.size()
	}
	ctx, end, err := q.turnToWrite(ctx, size)
	if err != nil {
		return 0, err
	}
	defer end()
	nonce := newNonce()
	return q.appendLine(ctx, lane, len(batch), encodeParked(nonce, batch), nonce, parcelBody{})
}

// appendLine appends a message of so many deliveries to a lane's line.
func (q *Queue) appendLine(ctx context.Context, lane Lane, count int, data []byte, nonce Nonce, body parcelBody) (uint64, error) {
	if err := q.shareLeft(ctx, lane.Destination, len(data)); err != nil {
		return 0, err
	}
	Failpoint(FailParking)
	k := q.lines.next(lane, count)
	seq, err := q.append(ctx, subjectParked+laneToken(lane), data, nonce, Field{fieldLine, k.String()})
	if err != nil {
		return 0, err
	}
	Failpoint(FailParked)
	q.lines.appended(lane, seq, k)
	q.shares.add(lane, parcel{seq: seq, size: int64(len(data)) + msgOverhead, body: body})
	return seq, nil
}

// append adds one message to RELAY_PARKED, if nobody else has added one.
func (q *Queue) append(ctx context.Context, subject string, data []byte, nonce Nonce, header ...Field) (uint64, error) {
	q.parking.Lock()
	defer q.parking.Unlock()
	for {
		seq, err := q.publish(ctx, subject, data, nonce, &q.parkEnd, header...)
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
	j := q.leading.Load()
	if j == nil {
		return ErrFenced
	}
	if err := j.Write(ctx); err != nil {
		return err
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
	if errors.Is(err, ErrFull) {
		seq, err = q.fenceFull(ctx)
	}
	if err != nil {
		return err
	}
	q.parkEnd = seq
	q.lastPark.advance(seq)
	return q.parked.Purge(ctx, jetstream.WithPurgeSubject(subjectFence))
}

// fenceFull writes the fence into a RELAY_PARKED that is full: who takes over
// is who would empty it.
func (q *Queue) fenceFull(ctx context.Context) (uint64, error) {
	info, err := q.parked.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("look at %s: %w", ParkedStream, err)
	}
	if err := q.limit(ctx, ParkedStream, max(q.opt.ParkedSize, int64(info.State.Bytes))+takeoverSpare); err != nil {
		return 0, err
	}
	nonce := newNonce()
	seq, err := q.publish(ctx, subjectFence, encodeParked(nonce, nil), nonce, nil)
	return seq, errors.Join(err, q.limit(ctx, ParkedStream, q.opt.ParkedSize))
}

// LastEvent is the sequence of the newest message in RELAY_EVENTS that this
// relay knows of.
func (q *Queue) LastEvent() uint64 { return q.tail.load() }

// LastPark is the sequence of the newest message in RELAY_PARKED that this
// relay knows of.
func (q *Queue) LastPark() uint64 { return q.lastPark.load() }

// NextParked returns the first batch of a lane above the sequence; a batch
// without deliveries means that there is none. One that is damaged is set aside
// and passed over; of one that the server passes over it is said that it is gone.
func (q *Queue) NextParked(ctx context.Context, lane Lane, after uint64) (seq uint64, batch []Parked, err error) {
	last := q.lines.endOf(lane)
	msg, batch, err := q.readParked(ctx, lane, after)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		if err := q.parkedBehind(ctx); err != nil {
			return 0, nil, err
		}
		q.endsEarly(lane, after, last)
		return 0, nil, nil
	}
	if msg == nil {
		return 0, nil, fmt.Errorf("read %s: %w", ParkedStream, err)
	}
	q.followed(lane, after, msg)
	if damage := (*DamageError)(nil); errors.As(err, &damage) {
		if _, err := q.SetAside(ctx, damage, lane); err != nil {
			return 0, nil, err
		}
		if err := q.DropParked(ctx, lane, msg.Sequence); err != nil {
			return 0, nil, err
		}
		return q.NextParked(ctx, lane, msg.Sequence)
	}
	Failpoint(FailParkedRead)
	return msg.Sequence, batch, err
}

// readParked reads what NextParked returns, and the message that it stands in; nil
// if there is none, or it cannot be read.
func (q *Queue) readParked(ctx context.Context, lane Lane, after uint64) (msg *jetstream.RawStreamMsg, batch []Parked, err error) {
	if msg, batch, err = q.readLine(ctx, lane, after); err != nil || msg.Data[0] != versionApart {
		return msg, batch, err
	}
	for i := range batch {
		if err := q.readBody(ctx, msg.Sequence, &batch[i]); err != nil {
			if damage := (*DamageError)(nil); errors.As(err, &damage) {
				return msg, nil, err
			}
			return nil, nil, err
		}
	}
	return msg, batch, nil
}

// readLine reads the first message of a lane above the sequence.
func (q *Queue) readLine(ctx context.Context, lane Lane, after uint64) (msg *jetstream.RawStreamMsg, batch []Parked, err error) {
	ctx, end, err := q.turnToRead(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { end(msg) }()
	if msg, err = get(ctx, q.parked, after+1, subjectParked+laneToken(lane)); err != nil {
		return nil, nil, err
	}
	batch, _, err = decodeParked(msg.Sequence, msg.Data, q.opt.maxContent())
	return msg, batch, err
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
	q.lines.went(lane, upTo)
	q.lines.purged(lane, upTo)
	if err := q.parked.Purge(ctx, jetstream.WithPurgeSubject(subjectParked+laneToken(lane)), jetstream.WithPurgeSequence(upTo+1)); err != nil {
		return fmt.Errorf("purge %s: %w", ParkedStream, err)
	}
	return q.droppedParked(ctx, lane, func(seq uint64) bool { return seq <= upTo })
}

// droppedParked is called when messages of a lane are dropped.
func (q *Queue) droppedParked(ctx context.Context, lane Lane, dropped func(seq uint64) bool) error {
	if q.shares.drop(lane, dropped) {
		return q.dropBodies(ctx)
	}
	return nil
}

// ParkedLanes lists the lanes that have messages in RELAY_PARKED.
func (q *Queue) ParkedLanes(ctx context.Context) ([]Lane, error) {
	info, err := q.parked.Info(ctx, jetstream.WithSubjectFilter(subjectLines))
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", ParkedStream, err)
	}
	var lanes []Lane
	for subject := range info.State.Subjects {
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
	msg, err := q.lastParked(ctx, lane)
	if err != nil || msg == nil {
		return 0, err
	}
	return msg.Sequence, nil
}

// Bury keeps a delivery that was given up and returns its sequence in
// RELAY_DEAD. When that stream is full the oldest dead letters go, which is
// logged: they are the only thing the relay ever drops.
func (q *Queue) Bury(ctx context.Context, d *Dead) (uint64, error) {
	ctx, end, err := q.turnToWrite(ctx, d.Webhook.size())
	if err != nil {
		return 0, err
	}
	defer end()
	nonce := deadNonce(d)
	data := encodeDead(nonce, d)
	Failpoint(FailBurying)
	for {
		seq, err := q.publish(ctx, subjectDead+laneToken(d.Lane), data, nonce, nil)
		if err == nil {
			q.kept.added(seq)
			Failpoint(FailBuried)
		}
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
		if err := q.dropOldestDead(ctx, info.State.Msgs); err != nil {
			return 0, err
		}
	}
}

// dropOldestDead drops a tenth of so many dead letters.
func (q *Queue) dropOldestDead(ctx context.Context, kept uint64) error {
	dropped, err := q.dropsDead(ctx)
	if err != nil {
		return err
	}
	defer dropped()
	drop := max(kept/10, 1)
	if keep := kept - drop; keep > 0 {
		err = q.dead.Purge(ctx, jetstream.WithPurgeKeep(keep))
	} else {
		err = q.dead.Purge(ctx) // 0 to keep would be no limit
	}
	if err != nil {
		return fmt.Errorf("purge %s: %w", DeadStream, err)
	}
	info, err := q.dead.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", DeadStream, err)
	}
	q.lines.purged(deadLetters, max(info.State.FirstSeq, 1)-1)
	q.deadDropped.Add(drop)
	q.log.Error("the dead letters are full: the oldest were dropped for good", "count", drop)
	return nil
}

// deadNonce makes one nonce of a delivery, so that one that is buried again
// because the relay died before it was recorded stands there once.
func deadNonce(d *Dead) Nonce {
	sum := sha256.Sum256(fmt.Appendf(nil, "dead %s %s %q %q", d.Parked.Nonce, d.ID, d.Lane.Destination, d.Lane.Channel))
	return Nonce(sum[:len(Nonce{})])
}

// DeadDropped is how many dead letters were dropped for want of room since Open.
func (q *Queue) DeadDropped() uint64 { return q.deadDropped.Load() }

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
