package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

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
