package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A DamageError is met when a stored message is not what was written: the disk
// has changed it. It is set aside, and the rest goes on.
type DamageError struct {
	Stream string
	Seq    uint64
	Raw    []byte // what is there; nil when nothing could be read
	Err    error
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s: message %d is damaged: %v", e.Stream, e.Seq, e.Err)
}

func (e *DamageError) Unwrap() error { return e.Err }

// damaged makes a DamageError of an error met while a message was decoded; what
// a newer relay wrote is not damaged.
func damaged(stream string, seq uint64, raw []byte, err error) error {
	var newer *VersionError
	if err == nil || errors.As(err, &newer) {
		return err
	}
	return &DamageError{stream, seq, raw, err}
}

// Damage is how many messages were found damaged or gone since Open.
func (q *Queue) Damage() uint64 { return q.damage.Load() }

// fieldDamaged is in the header of what is kept of a damaged message.
const fieldDamaged = "Relay-Damaged"

// SetAside keeps what is left of a damaged message as a dead letter without an
// address, and counts it once it is kept.
func (q *Queue) SetAside(ctx context.Context, d *DamageError, lane Lane) (uint64, error) {
	seq, err := q.Bury(ctx, &Dead{
		Parked: Parked{ID: ID{Seq: d.Seq}, Webhook: Webhook{Received: time.Now(), Header: []Field{{fieldDamaged, d.Stream}}, Body: d.Raw}},
		Lane:   lane, Time: time.Now(), Reason: fmt.Sprintf("message %d of %s is damaged on disk: %v", d.Seq, d.Stream, d.Err),
	})
	if err != nil {
		return 0, err
	}
	q.damage.Add(1)
	q.log.Error("a stored message is damaged: it is set aside as a dead letter, the rest continues", "stream", d.Stream, "sequence", d.Seq, "bytes", len(d.Raw), "err", d.Err)
	return seq, nil
}

var errUnreadable = errors.New("the server cannot read it")

// gap looks for a message of RELAY_EVENTS that the server has passed over, which
// it does in silence with those that it cannot read: single messages are never
// dropped.
func (q *Queue) gap(ctx context.Context, after uint64, found uint64) error {
	if found <= after+1 {
		return nil
	}
	info, err := q.events.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", Events, err)
	}
	if info.State.Msgs == 0 || after+1 < info.State.FirstSeq || after+1 > info.State.LastSeq {
		return nil // dropped: somebody asks for history
	}
	return &DamageError{Stream: Events, Seq: after + 1, Err: errUnreadable}
}

// newestEntry returns the newest message of the journal that can be read.
func (q *Queue) newestEntry(ctx context.Context, last, first uint64) (Entry, error) {
	const most = 1000
	for seq := last; seq >= max(first, 1) && last-seq < most; seq-- {
		msg, err := q.journalStream.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			if err := q.behind(JournalStream, seq); err != nil {
				return Entry{}, err
			}
			q.damage.Add(1)
			q.log.Error("a message of the journal is gone: what it held may be done again", "sequence", seq)
			continue
		}
		if err != nil {
			return Entry{}, fmt.Errorf("read the end of %s: %w", JournalStream, err)
		}
		e, err := decodeEntry(seq, msg.Data, q.opt.maxContent())
		if q.passOver(err) {
			continue
		}
		return e, err
	}
	return Entry{}, errNoJournal
}

// errNoJournal: where to go on is not known.
var errNoJournal = fmt.Errorf("%s cannot be read at its end: nobody knows what is settled; restore the data directory from a backup, or move it away to start with an empty one", JournalStream)

// passOver tells whether an error is damage that costs only what was remembered,
// and says so.
func (q *Queue) passOver(err error) bool {
	var d *DamageError
	if !errors.As(err, &d) {
		return false
	}
	q.found(d.Stream, d.Seq, "a stored message is damaged: what it said may be done again", "err", d.Err)
	return true
}

// found counts a message that is damaged or gone, and says so, once: listings come
// to it again and again.
func (q *Queue) found(stream string, seq uint64, what string, more ...any) {
	if _, known := q.known.LoadOrStore(place{stream, seq}, true); known {
		return
	}
	q.damage.Add(1)
	q.log.Error(what, append([]any{"stream", stream, "sequence", seq}, more...)...)
}

// journalGone counts the messages of the journal between two sequences, and says
// once that they are gone, as far as they were not dropped: there the server leaves
// no gap by itself.
func (q *Queue) journalGone(ctx context.Context, from, to uint64) error {
	info, err := q.journalStream.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", JournalStream, err)
	}
	var gone uint64
	for seq := max(from, info.State.FirstSeq); seq <= to; seq++ {
		if _, known := q.known.LoadOrStore(place{JournalStream, seq}, true); !known {
			gone++
		}
	}
	if gone > 0 {
		q.damage.Add(gone)
		q.log.Error("messages of the journal are gone: what they said is not known, and may be done again", "stream", JournalStream, "from", from, "to", to, "count", gone)
	}
	return nil
}

// place is a message's.
type place struct {
	stream string
	seq    uint64
}

// catchUp lets a stream go on above the newest sequence that the journal knows
// of: the server cuts off what stands behind a damaged message when it was not
// stopped in good order, and a sequence that is given a second time would be
// taken for the first one.
func (q *Queue) catchUp(ctx context.Context, name string, known uint64) error {
	s := q.events
	if name == ParkedStream {
		s = q.parked
	}
	info, err := s.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	if info.State.LastSeq >= known {
		return nil
	}
	if err := q.behind(name, known); err != nil {
		return err
	}
	lost := known - info.State.LastSeq
	if lost > maxFill {
		return fmt.Errorf("%s ends at %d and %d was stored there: the store was cut off or restored; %s", name, info.State.LastSeq, known, restoreAdvice)
	}
	q.damage.Add(lost)
	q.log.Error("stored messages are gone: the store is damaged and was cut off behind the damage", "stream", name, "from", info.State.LastSeq+1, "to", known)
	return q.fill(ctx, name, known)
}

// fill stores messages that hold nothing, up to a sequence.
func (q *Queue) fill(ctx context.Context, name string, top uint64) error {
	last, subject, empty := &q.tail, subjectEvents, func(n Nonce) []byte { return encodeEnvelope(n, nil) }
	if name == ParkedStream {
		last, subject, empty = &q.lastPark, subjectFence, func(n Nonce) []byte { return encodeParked(n, nil) }
	}
	for last.load() < top {
		nonce := newNonce()
		clear(nonce[:fillZeros])
		seq, err := q.publish(ctx, subject, empty(nonce), nonce, nil)
		if err != nil {
			return fmt.Errorf("continue in %s: %w", name, err)
		}
		last.advance(seq)
	}
	if name == ParkedStream {
		q.parkEnd = q.lastPark.load()
		return q.parked.Purge(ctx, jetstream.WithPurgeSubject(subjectFence))
	}
	return nil
}

// fillZeros is how many bytes the nonce of a message that fills begins with: by
// them it is known for one.
const fillZeros = 8

// fills tells whether a message stands for one that is gone.
func (n Nonce) fills() bool { return [fillZeros]byte(n[:fillZeros]) == [fillZeros]byte{} }

// maxFill is how many messages may be missing for the relay to go on by itself.
const maxFill = 100_000
