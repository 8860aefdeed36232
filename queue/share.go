package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrShare: a destination holds half of RELAY_PARKED, which is as much as it
// may. It is an [ErrFull].
var ErrShare = fmt.Errorf("a destination holds half of what may be parked: %w", ErrFull)

// msgOverhead is about what the server keeps beside a message's content, in
// bytes.
const msgOverhead = 160

// shares knows what each lane takes of RELAY_PARKED. That is only asked for when
// the stream is half full, or a body may be dropped; then all lines are read once.
type shares struct {
	mu     sync.Mutex
	known  bool
	lanes  map[Lane][]parcel // oldest first
	bodies map[string]int    // how many messages wait with a body that is stored apart
}

// parcel is one message of a lane.
type parcel struct {
	seq  uint64
	size int64
	body parcelBody // zero: it holds all of its bodies
}

// parcelBody is a body that is stored apart.
type parcelBody struct {
	name string
	size int64
}

// weight counts a body that several messages of a lane share once for each.
func weight(parcels []parcel) (sum int64) {
	for _, p := range parcels {
		sum += p.size + p.body.size
	}
	return sum
}

// put adds a message of a lane. The lock is held.
func (s *shares) put(lane Lane, p parcel) {
	s.lanes[lane] = append(s.lanes[lane], p)
	if p.body.name != "" {
		s.bodies[p.body.name]++
	}
}

// add is called when a message was appended.
func (s *shares) add(lane Lane, p parcel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known {
		s.put(lane, p)
	}
}

// drop is called when messages of a lane are gone. It reports whether a body may
// have been among what they needed.
func (s *shares) drop(lane Lane, gone func(seq uint64) bool) (apart bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		return true
	}
	s.lanes[lane] = slices.DeleteFunc(s.lanes[lane], func(p parcel) bool {
		if !gone(p.seq) {
			return false
		}
		if p.body.name != "" {
			apart = true
			s.bodies[p.body.name]--
		}
		return true
	})
	if len(s.lanes[lane]) == 0 {
		delete(s.lanes, lane)
	}
	return apart
}

// forget is told that somebody else may have parked and delivered since.
func (s *shares) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.lanes, s.bodies = false, nil, nil
}

// learn reads what is parked, unless that is known. The lock is held.
func (s *shares) learn(ctx context.Context, q *Queue) error {
	if s.known {
		return nil
	}
	s.lanes, s.bodies = map[Lane][]parcel{}, map[string]int{}
	err := walk(ctx, q.parked, subjectLines, 0, func(msg *jetstream.RawStreamMsg) (bool, error) {
		lane, err := parseLane(strings.TrimPrefix(msg.Subject, subjectParked))
		if err != nil {
			return true, nil // nobody delivers it
		}
		p := parcel{seq: msg.Sequence, size: int64(len(msg.Data)) + msgOverhead}
		if len(msg.Data) > 0 && msg.Data[0] == versionApart {
			// If it is damaged, its lane sets it aside, whatever becomes of the body.
			if batch, size, err := decodeParked(msg.Sequence, msg.Data, q.opt.maxContent()); err == nil {
				p.body = parcelBody{bodyName(&batch[0]), size}
			}
		}
		s.put(lane, p)
		return true, nil
	})
	s.known = err == nil
	return err
}

// destinations are the bytes by destination; a body that several of its lanes wait
// with counts once. The lock is held.
func (s *shares) destinations() map[string]int64 {
	type of struct{ destination, body string }
	all, counted := map[string]int64{}, map[of]bool{}
	for lane, parcels := range s.lanes {
		for _, p := range parcels {
			all[lane.Destination] += p.size
			if key := (of{lane.Destination, p.body.name}); !counted[key] {
				counted[key] = true
				all[lane.Destination] += p.body.size
			}
		}
	}
	return all
}

// oldest is the oldest message of the lane that takes most, among those wanted,
// leaving alone what stands at the head of its lane, which may just be
// delivered, as long as there is another. The lock is held.
func (s *shares) oldest(wanted func(Lane) bool) (Lane, uint64) {
	for _, head := range []int{1, 0} {
		var largest Lane
		most := int64(0)
		for lane, parcels := range s.lanes {
			if w := weight(parcels); len(parcels) > head && wanted(lane) && w > most {
				largest, most = lane, w
			}
		}
		if most > 0 {
			return largest, s.lanes[largest][head].seq
		}
	}
	return Lane{}, 0
}

// knowShares locks the shares, and learns them first if they are not known. That
// reads what is parked, and so takes the turn to move what is large. Whoever parks
// something large asks for the shares in that turn, so the turn always comes before
// the lock.
func (q *Queue) knowShares(ctx context.Context) (unlock func(), err error) {
	q.shares.mu.Lock()
	if q.shares.known {
		return q.shares.mu.Unlock, nil
	}
	q.shares.mu.Unlock()
	if !hasTurn(ctx) {
		var t *turn
		if ctx, t, err = q.turnFor(ctx, large); err != nil {
			return nil, err
		}
		defer t.end()
	}
	q.shares.mu.Lock()
	if err := q.shares.learn(ctx, q); err != nil {
		q.shares.mu.Unlock()
		return nil, err
	}
	return q.shares.mu.Unlock, nil
}

// shareLeft returns ErrShare if a destination would hold more than half of
// RELAY_PARKED.
func (q *Queue) shareLeft(ctx context.Context, destination string, size int) error {
	half := q.opt.ParkedSize / 2
	info, err := q.parked.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", ParkedStream, err)
	}
	if int64(info.State.Bytes)+int64(size) <= half {
		return nil
	}
	unlock, err := q.knowShares(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if held := q.shares.destinations()[destination]; held > 0 && held+int64(size)+msgOverhead > half {
		return ErrShare
	}
	return nil
}

// Expendable names the parked message that goes first when something of a
// destination has found no room: the oldest of its own largest lane if it holds
// its share, else the oldest of the destination that holds most. The sequence is
// 0 when there is none.
func (q *Queue) Expendable(ctx context.Context, destination string, why error) (lane Lane, seq uint64, err error) {
	unlock, err := q.knowShares(ctx)
	if err != nil {
		return Lane{}, 0, err
	}
	defer unlock()
	if !errors.Is(why, ErrShare) {
		most := int64(-1)
		for name, held := range q.shares.destinations() {
			if held > most {
				destination, most = name, held
			}
		}
	}
	lane, seq = q.shares.oldest(func(l Lane) bool { return l.Destination == destination })
	return lane, seq, nil
}

// DropParked drops one message of a lane.
func (q *Queue) DropParked(ctx context.Context, lane Lane, seq uint64) error {
	q.lines.went(lane, seq)
	q.lines.dropped(lane, seq)
	err := q.parked.DeleteMsg(ctx, seq)
	if err != nil && !notThere(err) {
		return fmt.Errorf("drop from %s: %w", ParkedStream, err)
	}
	return q.droppedParked(ctx, lane, func(s uint64) bool { return s == seq })
}
