package dispatch

import (
	"cmp"
	"slices"

	"github.com/gitlab-mattermost/relay/queue"
)

// receivers are the lanes that events of the last minutes were for. Ten busy
// minutes have a million of them, so each takes 16 bytes without a pointer. The
// oldest are dropped when there are more than the window of repeats can hold.
type receivers struct {
	most   int
	names  []queue.Lane
	index  map[queue.Lane]uint32
	all    []receiver
	sorted int // how many at the beginning are sorted, with each lane once per event
}

// receiver is a lane that an event was for.
type receiver struct {
	seq   uint64
	index uint32
	lane  uint32 // its index in names, and in the lowest bits what is known
}

// What is known of an event in a lane. The later record of the journal counts, but
// a decision never replaces an outcome.
const (
	planned uint32 = iota // waits, or its outcome is not in the records that were read
	got
	lost      // given up or withheld
	knownBits = 2
	knownMask = 1<<knownBits - 1
)

func newReceivers(most int) *receivers {
	return &receivers{most: most, index: map[queue.Lane]uint32{}}
}

// add adds the next record of the journal.
func (r *receivers) add(id queue.ID, name queue.Lane, known uint32) {
	lane, ok := r.index[name]
	if !ok {
		lane = uint32(len(r.names))
		r.index[name], r.names = lane, append(r.names, name)
	}
	if len(r.all) == cap(r.all) {
		r.compact()
		if len(r.all) > cap(r.all)/2 {
			r.all = slices.Grow(r.all, max(len(r.all), 1024))
		}
	}
	r.all = append(r.all, receiver{seq: id.Seq, index: uint32(id.Index), lane: lane<<knownBits | known})
}

// compact sorts the receivers, keeps one for each lane of an event, and drops the
// oldest if there are too many.
func (r *receivers) compact() {
	slices.SortStableFunc(r.all, receiver.compare)
	out := r.all[:0]
	for _, one := range r.all {
		switch n := len(out) - 1; {
		case n < 0 || out[n].compare(one) != 0:
			out = append(out, one)
		case one.lane&knownMask != planned:
			out[n] = one
		}
	}
	if more := len(out) - r.most; more > 0 {
		out = out[:copy(out, out[more:])]
	}
	r.all, r.sorted = out, len(out)
}

// compare orders by event and lane.
func (r receiver) compare(other receiver) int {
	return cmp.Or(cmp.Compare(r.seq, other.seq), cmp.Compare(r.index, other.index), cmp.Compare(r.lane>>knownBits, other.lane>>knownBits))
}

// of returns the lanes that got the event, or wait for it.
func (r *receivers) of(id queue.ID) (lanes []queue.Lane) {
	if r.sorted < len(r.all) {
		r.compact()
	}
	first := receiver{seq: id.Seq, index: uint32(id.Index)}
	from, _ := slices.BinarySearchFunc(r.all, first, receiver.compare)
	for _, one := range r.all[from:] {
		if one.seq != first.seq || one.index != first.index {
			break
		}
		if one.lane&knownMask != lost {
			lanes = append(lanes, r.names[one.lane>>knownBits])
		}
	}
	return lanes
}
