package delivery

import (
	"maps"
	"slices"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// line is a lane's part of RELAY_PARKED.
type line struct {
	tail    uint64 // newest message
	seq     uint64 // message that batch is from; everything up to it has been read
	batch   []queue.Parked
	next    int         // in batch
	light   bool        // the bodies in batch were let go of
	done    queue.Place // everything up to here is settled
	open    []queue.Place
	early   map[queue.ID]queue.Place // settled beyond done; zero place: while being parked
	reading bool
	purged  uint64 // everything up to this message is gone

	gone   queue.Place // the last place that has come to its end, or is about to
	unsaid bool        // of one of them the journal does not know the place

	yielding map[queue.ID]bool // what is being given up for want of room; nil: nothing is
	struck   []uint64          // messages given up while one was being read

	held    int    // deliveries that are not settled, as far as they are counted
	passed  int    // of those, and of what is being appended, settled as they came from memory
	counted uint64 // what stands in messages above this one,
	resumed uint64 // and up to this one, from before the last start, is not counted yet
	total   uint64 // deliveries in the line at the start, those that were gone by then included
	fresh   bool   // nothing of what was parked before the start has been read since
}

// startSpill starts the goroutine that appends to RELAY_PARKED. The lock is
// held.
func (l *lane) startSpill() {
	if l.spilling || len(l.spill) == 0 {
		return
	}
	l.spilling = l.set.do(l.runSpill)
}

// runSpill appends what waits, in batches, until nothing does.
func (l *lane) runSpill() {
	for {
		l.mu.Lock()
		items := l.spill[:min(len(l.spill), 512)]
		l.mu.Unlock()
		if len(items) == 0 || !l.spillBatch(items) {
			l.mu.Lock()
			l.spilling = false
			if l.set.stopping() == nil {
				l.startSpill() // something may have come in between
				l.start()
			}
			l.mu.Unlock()
			return
		}
	}
}

// spillBatch appends some of the items as one message. It returns false when
// the relay stops: what is not appended is still in RELAY_EVENTS.
func (l *lane) spillBatch(items []*Item) bool {
	batch := make([]queue.Parked, 0, len(items))
	for _, it := range items {
		batch = append(batch, it.park())
	}
	batch = batch[:queue.BatchSize(batch)]
	items = items[:len(batch)]
	seq, ok := l.set.parkBatch(l.name, batch)
	if !ok {
		return false
	}
	l.mu.Lock()
	l.spill = l.spill[len(items):]
	if len(l.spill) == 0 {
		l.spill = nil // lets go of the memory
	}
	l.line.append(seq, batch)
	l.line.held += len(items)
	l.appended()
	for _, it := range items {
		l.bytes -= it.size()
		l.set.addBytes(-it.size())
	}
	l.start()
	l.mu.Unlock()
	l.set.metrics.parked(l.name.Destination, len(items))
	for _, it := range items {
		it.Done()
	}
	return true
}

// append notes that a batch was appended. One with a heavy body is not read again
// before its message is written, if it is the next in the line.
func (l *line) append(seq uint64, batch []queue.Parked) {
	if l.seq >= l.tail && l.next == len(l.batch) && !l.reading && bodies(batch) >= heavy {
		l.seq, l.batch, l.next = seq, batch, 0
		l.strip()
	}
	l.tail = seq
}

// takeParked takes the next delivery from the batch that was read, passing
// over those that are settled. The lock is held.
func (l *lane) takeParked() *job {
	for l.line.next < len(l.line.batch) {
		place := queue.Place{Seq: l.line.seq, Index: l.line.next}
		p := l.line.batch[l.line.next]
		l.line.batch[l.line.next] = queue.Parked{}
		l.line.next++
		if !l.line.done.Less(place) {
			continue
		}
		l.line.open = append(l.line.open, place)
		if i := slices.IndexFunc(l.flying, func(j *job) bool { return j.item.ID == p.ID }); i >= 0 {
			l.flying[i].place = place // under way since it was in memory; from here on it belongs to the line
			if l.flying[i].ended {
				l.line.endsUnsaid(place)
			}
			continue
		}
		if _, ok := l.line.early[p.ID]; ok {
			l.line.passed = max(l.line.passed-1, 0)
			l.line.endsUnsaid(place)
			l.line.settle(place, p.ID)
			continue
		}
		j := &job{item: unpark(p, l.address, l.line.light, l.set.log), place: place, past: l.carried[p.ID]}
		delete(l.carried, p.ID)
		return j
	}
	return nil
}

// ends notes that what stands at a place comes to its end: whoever finds it gone
// must know.
func (l *line) ends(p queue.Place) {
	if l.gone.Less(p) {
		l.gone = p
	}
}

// endsUnsaid is ends, of what was settled before it had its place.
func (l *line) endsUnsaid(p queue.Place) {
	l.ends(p)
	l.unsaid = true
}

// settle moves the line's progress over everything that is settled without a
// gap.
func (l *line) settle(place queue.Place, id queue.ID) {
	i := slices.Index(l.open, place)
	if i < 0 {
		return
	}
	l.open = slices.Delete(l.open, i, i+1)
	if place.Seq <= l.counted || place.Seq > l.resumed {
		l.held--
	}
	if i > 0 {
		l.early[id] = place // an older one is still under way
		return
	}
	delete(l.early, id)
	if len(l.open) == 0 {
		l.done = queue.Place{Seq: l.seq, Index: l.next}.Before()
	} else {
		l.done = l.open[0].Before()
	}
	maps.DeleteFunc(l.early, func(_ queue.ID, p queue.Place) bool { return p != queue.Place{} && !l.done.Less(p) })
}

// read fetches the next batch of the line. The lock is let go meanwhile.
func (l *lane) read() {
	l.line.reading = true
	after, tail := l.line.seq, l.line.tail
	l.mu.Unlock()
	seq, batch, ok := l.set.nextParked(l.name, after, tail)
	l.mu.Lock()
	l.line.reading = false
	if !ok {
		return
	}
	if slices.Contains(l.line.struck, seq) {
		batch = nil
	}
	l.reckon(seq, batch)
	l.line.struck = nil
	l.line.seq, l.line.batch, l.line.next, l.line.light = seq, batch, 0, false
	if bodies(batch) >= heavy {
		l.line.strip()
	}
	l.start() // there is work for others too
}

// reopen opens the lane: its part of RELAY_PARKED is settled and nothing is in
// flight. The lock is held.
func (l *lane) reopen() {
	l.parked, l.standing = false, standing{lonely: l.standing.lonely}
	clear(l.carried)
	last := l.line.tail
	l.line.done = queue.Place{Seq: last + 1}.Before()
	clear(l.line.early)
	l.line.batch, l.line.next, l.line.open = nil, 0, nil
	l.line.held, l.line.passed = 0, 0
	l.record()
	l.set.log.Info("lane open again", "address", l.address.String())
	l.unpurged = last
	l.tally()
	l.purge(last)
}

// purge drops what is settled from RELAY_PARKED, until it is done or the relay
// stops: what stands there is posted again if the record of its end is lost. The
// lock is held.
func (l *lane) purge(upTo uint64) {
	if l.purging || upTo <= l.line.purged {
		return
	}
	l.purging = l.set.do(func() {
		if !l.say() {
			l.mu.Lock()
			l.purging = false
			l.mu.Unlock()
			return
		}
		for wait := time.Second; !l.set.purge(l.name, upTo) && sleep(l.set.stop, wait); {
			wait = min(2*wait, time.Minute)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.purging = false
		if l.set.stopping() != nil {
			return
		}
		l.line.purged = upTo
		if l.unpurged <= upTo {
			l.unpurged = 0
			l.tally()
		} else {
			l.purge(l.unpurged)
		}
	})
}

// say has the journal know what is at its end in the line before that is dropped;
// false when the relay stops.
func (l *lane) say() bool {
	l.mu.Lock()
	unsaid := l.line.unsaid
	if unsaid {
		l.line.unsaid = false
		l.record()
	}
	l.mu.Unlock()
	if !unsaid {
		return true
	}
	err := l.set.journal.Write(l.set.stop)
	if err != nil {
		l.mu.Lock()
		l.line.unsaid = true
		l.mu.Unlock()
	}
	return err == nil
}

// finished is the last message of the line that is settled as a whole.
func (l *line) finished() uint64 {
	if len(l.open) == 0 && l.next == len(l.batch) {
		return l.seq
	}
	return max(l.done.Seq, 1) - 1
}

// reckon counts what was parked before the last start when the first message of it
// has been read, by what that says of its place in the line: the others need not
// be read for that. The lock is held.
func (l *lane) reckon(seq uint64, batch []queue.Parked) {
	first := l.line.fresh
	l.line.fresh = false
	at := l.set.parking.LineCount(l.name)
	if !first || at.Read != seq || at.UpTo > l.line.total || seq > l.line.resumed {
		return
	}
	l.countBatch(seq, batch)
	l.line.held += int(l.line.total - at.UpTo)
	l.line.counted = l.line.resumed
}

// count counts what was parked before the last start, before the lane comes to it.
// Where an older relay wrote it, all of it is read, one message at a time.
func (l *lane) count() {
	for l.set.stopping() == nil {
		l.mu.Lock()
		after, upTo := l.line.counted, l.line.resumed
		l.mu.Unlock()
		if after >= upTo {
			return
		}
		seq, batch, err := l.set.parking.NextParked(l.set.stop, l.name, after)
		if err != nil {
			return // whoever delivers from there will say so
		}
		l.mu.Lock()
		if l.reckon(seq, batch); l.line.counted < upTo {
			l.countBatch(seq, batch)
		}
		l.mu.Unlock()
	}
}

// countBatch counts a message. The lock is held.
func (l *lane) countBatch(seq uint64, batch []queue.Parked) {
	if seq == 0 || seq > l.line.resumed {
		seq, batch = l.line.resumed, nil // the rest is settled
	}
	for i := range batch {
		if place := (queue.Place{Seq: seq, Index: i}); l.parked && l.line.done.Less(place) {
			if at, settled := l.line.early[batch[i].ID]; !settled || at == (queue.Place{}) {
				l.line.held++
			}
		}
	}
	l.line.counted = seq
}
