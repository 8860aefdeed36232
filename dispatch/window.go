package dispatch

import (
	"encoding/binary"
	"math/bits"
	"time"
	"unsafe"
)

const (
	// maxParts is how many of its largest parts a window has at most. Every lookup
	// asks each part, and a full window loses one part at a time.
	maxParts = 12
	// leastPart is how many entries the smallest part holds.
	leastPart = 1 << 10
	// disorder is how much earlier than its predecessor in the stream a webhook may
	// have been received. Entries are kept that much longer than they count.
	disorder = time.Minute
)

// digest is a part of a keyed hash: no sender can choose the slot of an entry.
type digest [16]byte

// window is a table of what was seen in the last minutes. Its memory holds no
// pointers, so the garbage collector does not scan it. New entries go into the newest
// part. A part is dropped as a whole when everything in it is too old, or when the
// window is full. Entries never move, so growing takes only the allocation of a part.
type window[V any] struct {
	keep    time.Duration
	largest int        // entries of the largest part, a power of two
	parts   []*part[V] // oldest first
	lost    int64      // time of the newest entry that was dropped because the window was full; Unix µs
}

type part[V any] struct {
	entries []entry[V]
	slots   []uint32 // open addressing; see slot
	newest  int64    // the latest time in it
}

type entry[V any] struct {
	digest digest
	time   int64 // Unix µs
	value  V
}

// find returns the entry that was put last under the digest, or nil. It stays
// valid until the next put.
func (w *window[V]) find(d digest) *entry[V] {
	for i := len(w.parts) - 1; i >= 0; i-- {
		if e, _, _ := w.parts[i].find(d); e != nil {
			return e
		}
	}
	return nil
}

// put adds a value, and drops the parts that are too old at its time.
func (w *window[V]) put(d digest, at int64, v V) {
	for len(w.parts) > 1 && time.Duration(at-w.parts[0].newest)*time.Microsecond > w.keep {
		w.dropOldest()
	}
	if n := len(w.parts); n == 0 || len(w.parts[n-1].entries) == cap(w.parts[n-1].entries) {
		w.grow()
	}
	w.parts[len(w.parts)-1].put(d, at, v)
}

// grow adds a part, half as large as the window. If the window is full, it drops the
// oldest parts.
func (w *window[V]) grow() {
	size := min(max(powerOfTwo(w.entries()/2), leastPart), w.largest)
	for len(w.parts) > 0 && w.entries()+size > maxParts*w.largest {
		w.lost = max(w.lost, w.parts[0].newest)
		w.dropOldest()
	}
	w.parts = append(w.parts, &part[V]{entries: make([]entry[V], 0, size), slots: make([]uint32, 2*size)})
}

func (w *window[V]) dropOldest() {
	w.parts[0] = nil
	w.parts = w.parts[1:]
}

// entries is how many entries there is memory for.
func (w *window[V]) entries() (n int) {
	for _, p := range w.parts {
		n += cap(p.entries)
	}
	return n
}

// bytes is how much memory that is.
func (w *window[V]) bytes() int64 { return int64(w.entries()) * entryBytes[V]() }

// entryBytes is what one entry takes, with its two slots.
func entryBytes[V any]() int64 { return int64(unsafe.Sizeof(entry[V]{})) + 2*4 }

// powerOfTwo is the largest one that is not above n, or 1.
func powerOfTwo(n int) int { return 1 << (bits.Len(uint(max(n, 1))) - 1) }

// positionBits are the low bits of a slot. They hold the entry's position, counted
// from 1; 0 is an empty slot. The others hold bits of the digest, so that most
// lookups of an unknown digest end without comparing entries.
const positionBits = 20

// find returns the entry of a digest, or nil; also the slot of the entry, or where it
// would be, and the bits of the digest that the slot holds.
func (p *part[V]) find(d digest) (e *entry[V], slot int, tag uint32) {
	const position = 1<<positionBits - 1
	mask := len(p.slots) - 1
	tag = binary.LittleEndian.Uint32(d[8:]) &^ position
	for slot = int(binary.LittleEndian.Uint32(d[:])) & mask; p.slots[slot] != 0; slot = (slot + 1) & mask {
		if s := p.slots[slot]; s&^position == tag {
			if e := &p.entries[s&position-1]; e.digest == d {
				return e, slot, tag
			}
		}
	}
	return nil, slot, tag
}

// put adds an entry to a part that has room, or replaces one of the same digest.
func (p *part[V]) put(d digest, at int64, v V) {
	p.newest = max(p.newest, at)
	e, slot, tag := p.find(d)
	if e != nil {
		e.time, e.value = at, v
		return
	}
	p.entries = append(p.entries, entry[V]{d, at, v})
	p.slots[slot] = tag | uint32(len(p.entries))
}
