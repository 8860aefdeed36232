package queue

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// The server drops in silence what it cannot read, and cuts off what stands
// behind it. So each message of RELAY_PARKED names the one before it in its lane,
// and the journal says where each lane's line ends. Of what is missing, the journal
// tells whether it was settled.

// fieldLine is in the header of each message of RELAY_PARKED: four numbers, see
// [rank].
const fieldLine = "Relay-Line"

// rank is a message's place in its lane's line.
type rank struct {
	before Place  // the last delivery in the message before it; zero when it is the first
	total  uint64 // deliveries in the line before it
	count  int    // deliveries in it
}

func (l rank) String() string {
	return fmt.Sprintf("%d %d %d %d", l.before.Seq, l.before.Index, l.total, l.count)
}

// rankOf reads that of a message; an older relay wrote none.
func rankOf(msg *jetstream.RawStreamMsg) (l rank, ok bool) {
	n, err := fmt.Sscan(msg.Header.Get(fieldLine), &l.before.Seq, &l.before.Index, &l.total, &l.count)
	return l, err == nil && n == 4
}

// lineEnd is where a lane's line in RELAY_PARKED ends.
type lineEnd struct {
	Lane  Lane
	End   Place  // the last delivery; zero when none is there
	Total uint64 // deliveries in the line, settled ones among them
	Gone  Place  // see [LaneState]
}

// lines knows of each lane's line what its messages are told of it.
type lines struct {
	mu      sync.Mutex
	of      map[Lane]*line
	changed map[Lane]bool // whose end is to be written to the journal
	some    bool          // something is settled for good
}

type line struct {
	ended // for good: see returned.go
	end   Place
	total uint64
	gone  Place  // up to here a message may be gone: settled, given up, or said to be missing
	read  uint64 // the message that was read last,
	upTo  uint64 // and the deliveries in the line up to its end
}

// lane returns a lane's line. The lock is held.
func (s *lines) lane(name Lane) *line {
	l := s.of[name]
	if l == nil {
		if s.of == nil {
			s.of, s.changed = map[Lane]*line{}, map[Lane]bool{}
		}
		l = &line{}
		s.of[name] = l
	}
	return l
}

// next is the rank of a message with so many deliveries that is to be appended.
func (s *lines) next(name Lane, count int) rank {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(name)
	if !l.gone.Less(l.end) {
		return rank{count: count} // a new line
	}
	return rank{l.end, l.total, count}
}

// appended is told that it was.
func (s *lines) appended(name Lane, seq uint64, k rank) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(name)
	l.end, l.total = Place{seq, k.count - 1}, k.total+uint64(k.count)
	s.changed[name] = true
}

// went is told before a message is dropped, of which nothing is needed any more.
func (s *lines) went(name Lane, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(name)
	l.gone = later(l.gone, Place{seq, math.MaxInt32})
}

// stated is told of the state of a lane that is to be written to the journal, which
// a start reads from there on: what is known of its line belongs to it.
func (s *lines) stated(r *LaneState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(r.Lane)
	r.Gone = later(r.Gone, l.gone)
	l.settle(r.Done)
	s.some = s.some || r.Done != Place{}
	s.changed[r.Lane] = true
}

// news takes the ends that the journal does not know, and what is settled for good
// in these lanes, or in all of them.
func (s *lines) news(all bool) (ends []lineEnd, settled []laneSettled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.changed {
		l := s.of[name]
		ends = append(ends, lineEnd{name, l.end, l.total, l.gone})
		if !all && !l.empty() {
			settled = append(settled, laneSettled{name, l.settled, slices.Clone(l.dropped)})
		}
	}
	clear(s.changed)
	if all {
		settled = s.settledLocked()
	}
	return ends, settled
}

// unreported gives back what news has taken and was not written.
func (s *lines) unreported(ends []lineEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range ends {
		s.changed[e.Lane] = true
	}
}

// missing tells how many deliveries at least are gone between a message that was
// read and the next one of its lane, and forgets it.
func (s *lines) missing(name Lane, after, seq uint64, k rank) (count uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(name)
	count = l.passed(after, k.before, k.total)
	l.met(seq, k)
	return count
}

// met is missing, where nothing is said of what is gone.
func (s *lines) met(name Lane, seq uint64, k rank) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lane(name).met(seq, k)
}

// met is told of a message that was read.
func (l *line) met(seq uint64, k rank) { l.read, l.upTo = seq, k.total+uint64(k.count) }

// LineCount is how many deliveries a lane's line holds, those at its beginning
// included that are settled and gone.
type LineCount struct {
	Total uint64
	Read  uint64 // the message that was read last; 0: what is read does not say,
	UpTo  uint64 // and how many there are up to its end
}

// LineCount tells that of a lane, as far as the messages in its line say it.
func (q *Queue) LineCount(lane Lane) LineCount {
	q.lines.mu.Lock()
	defer q.lines.mu.Unlock()
	l := q.lines.lane(lane)
	return LineCount{l.total, l.read, l.upTo}
}

// missingEnd is missing, when the server has found nothing behind a message of a
// line that ended there or later.
func (s *lines) missingEnd(name Lane, after uint64, end Place) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(name)
	if l.end != end {
		return 0 // it will be asked again
	}
	return l.passed(after, end, l.total)
}

// passed counts what is missing between a message and a place up to which the line
// has so many deliveries.
func (l *line) passed(after uint64, to Place, total uint64) (count uint64) {
	if to.Seq <= after || !l.gone.Less(to) {
		return 0
	}
	count = uint64(to.Index) + 1
	if l.read == after && total > l.upTo && (after > 0 || l.gone == Place{}) {
		count = total - l.upTo
	} else if l.gone.Seq == to.Seq {
		count = uint64(to.Index - l.gone.Index)
	}
	l.gone = to
	return count
}

// endOf is the last delivery of a lane's line.
func (s *lines) endOf(name Lane) Place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lane(name).end
}

// last is the sequence of a lane's newest message, or 0.
func (s *lines) last(name Lane) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lane(name).end.Seq
}

func later(a, b Place) Place {
	if a.Less(b) {
		return b
	}
	return a
}

// followed looks whether something was passed over between a message of a lane and
// the next one that the server has found.
func (q *Queue) followed(lane Lane, after uint64, msg *jetstream.RawStreamMsg) {
	k, ok := rankOf(msg)
	if !ok {
		return
	}
	if q.External() {
		q.lines.met(lane, msg.Sequence, k)
		return
	}
	if count := q.lines.missing(lane, after, msg.Sequence, k); count > 0 {
		q.parkedGone(lane, count, "before", msg.Sequence)
	}
}

// endsEarly looks whether a line was to go on behind the last message that the
// server has found: it ended there before that was asked.
func (q *Queue) endsEarly(lane Lane, after uint64, end Place) {
	if q.External() {
		return
	}
	if count := q.lines.missingEnd(lane, after, end); count > 0 {
		q.parkedGone(lane, count, "after", after)
	}
}

// parkedGone counts and says that parked deliveries are lost.
func (q *Queue) parkedGone(lane Lane, count uint64, more ...any) {
	q.damage.Add(count)
	q.sayParkedGone(lane, count, more...)
}

func (q *Queue) sayParkedGone(lane Lane, count uint64, more ...any) {
	q.log.Error(fmt.Sprintf("%d parked %s gone from %s: the store is damaged; %s", count, areDeliveries(count), ParkedStream, damageAdvice),
		append([]any{"destination", lane.Destination, "channel", lane.Channel, "count", count}, more...)...)
}

func areDeliveries(n uint64) string {
	if n == 1 {
		return "delivery is"
	}
	return "deliveries are"
}

// damageAdvice is what to do about what is gone.
const damageAdvice = `restore a backup, or see "Damage" in docs/operations.md`
