package queue

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/nats-io/nats.go/jetstream"
)

// ledger is what the journal says of the lines.
type ledger struct {
	lines  map[Lane]*line
	unsure bool // some of it is gone
	older  bool // an older relay wrote it, and did not say all
}

func (k *ledger) lane(name Lane) *line {
	l := k.lines[name]
	if l == nil {
		l = &line{}
		k.lines[name] = l
	}
	return l
}

// apply reads one message of the journal.
func (k *ledger) apply(e Entry) {
	if k.older = e.Kept == nil; k.older {
		for _, l := range k.lines {
			*l = line{ended: l.ended} // that holds for good
		}
		return
	}
	for _, rec := range e.Records {
		switch r := rec.(type) {
		case *Settled:
			l := k.lane(r.Lane)
			l.gone = later(l.gone, r.From)
		case *LaneState:
			l := k.lane(r.Lane)
			l.gone = later(l.gone, later(r.Done, r.Gone))
			l.settle(r.Done)
		}
	}
	for _, r := range e.Kept.Settled {
		l := k.lane(r.Lane)
		l.gone = later(l.gone, r.Done)
		l.settle(r.Done)
		for _, seq := range r.Dropped {
			l.gone = later(l.gone, Place{seq, math.MaxInt32})
			l.drop(seq)
		}
	}
	for _, end := range e.Kept.Lines {
		l := k.lane(end.Lane)
		l.end, l.total, l.gone = end.End, end.Total, later(l.gone, end.Gone)
	}
}

// resume compares the lines with what the journal says of them, and goes on from
// what is there. With counted the damage has been counted already.
func (s *lines) resume(ctx context.Context, q *Queue, said *ledger, found []Lane, counted bool) error {
	there, changed := map[Lane]*line{}, map[Lane]bool{}
	for _, name := range found {
		msg, err := q.lastParked(ctx, name)
		if err != nil {
			return err
		}
		l := &line{}
		if msg != nil {
			l.end.Seq = msg.Sequence
			k, ok := rankOf(msg)
			if ok {
				l.end.Index, l.total = k.count-1, k.total+uint64(k.count)
			}
			if !ok || said.unsure || said.older {
				l.gone = Place{msg.Sequence, math.MaxInt32} // what comes next begins a line
				changed[name] = true
			}
		}
		there[name] = l
	}
	for name, was := range said.lines {
		now := there[name]
		if now == nil {
			now = &line{}
		}
		if now.end.Seq < was.end.Seq && was.gone.Less(was.end) && !said.unsure && !q.External() {
			count := was.lost(now)
			if counted {
				q.sayParkedGone(name, count, "after", now.end.Seq)
			} else {
				q.parkedGone(name, count, "after", now.end.Seq)
			}
		}
		now.ended = was.ended
		if now.gone = later(now.gone, was.gone); now.end.Seq < now.gone.Seq {
			now.gone = Place{now.end.Seq, math.MaxInt32}
		}
		if was.end != now.end {
			changed[name] = true
		}
		if (now.end != Place{}) || changed[name] || !now.empty() {
			there[name] = now
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of, s.changed, s.some = there, changed, len(settledOf(there)) > 0
	return nil
}

// lost is how many deliveries are missing, at most, from a line that ends earlier
// than it did.
func (l *line) lost(now *line) uint64 {
	switch {
	case l.gone.Seq == l.end.Seq:
		return uint64(l.end.Index - l.gone.Index)
	case l.gone.Less(now.end) && now.total < l.total:
		return l.total - now.total
	}
	return max(l.total, 1)
}

// lastParked is a lane's newest message, or nil. The server finds none when it
// cannot read the last one: the newest that it can read is looked for then.
func (q *Queue) lastParked(ctx context.Context, lane Lane) (last *jetstream.RawStreamMsg, err error) {
	subject := subjectParked + laneToken(lane)
	last, err = q.parked.GetLastMsgForSubject(ctx, subject)
	for after := uint64(0); errors.Is(err, jetstream.ErrMsgNotFound); after = last.Sequence {
		msg, next := get(ctx, q.parked, after+1, subject)
		if errors.Is(next, jetstream.ErrMsgNotFound) {
			return last, nil
		}
		if next != nil {
			err = next
			break
		}
		last = msg
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ParkedStream, err)
	}
	return last, nil
}
