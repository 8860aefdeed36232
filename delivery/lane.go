package delivery

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/queue"
)

// refresh is how many deliveries of a parked lane may be settled before its
// progress is recorded anew, which lets the journal's floor move.
const refresh = 500

// stale is how many messages the journal may grow by before a lane's state is
// recorded anew: a lane that stays parked must not keep the journal from being
// tidied.
const stale = 1000

// lane is the ordered line of deliveries to one address. While it is open they
// wait in memory; once it is parked they are appended to RELAY_PARKED and read
// from its head, until the last one there is settled. Its goroutines exist only
// while there is something to do.
type lane struct {
	set     *Lanes
	name    queue.Lane
	address configs.Address
	dest    *destination

	mu      sync.Mutex
	waiting []*Item // open: to be delivered, oldest first
	flying  []*job  // being delivered, oldest first
	again   []*job  // of the line, to be tried again before anything else, oldest first
	workers int
	bytes   int // of the items in memory

	parked   bool
	reason   string        // why it is parked
	until    time.Time     // this lane alone is not tried before
	soon     chan struct{} // closed when until is no longer to be waited for
	spill    []*Item       // to be appended to RELAY_PARKED
	spilling bool
	line     line
	recorded uint64 // journal sequence below the newest record of this lane's state
	settled  int    // deliveries from the line settled since then
	unpurged uint64 // the lane is open, but this much of its line may still be there
	purging  bool
}

// line is a lane's part of RELAY_PARKED.
type line struct {
	tail    uint64 // newest message
	seq     uint64 // message that batch is from; everything up to it has been read
	batch   []queue.Parked
	next    int         // in batch
	done    queue.Place // everything up to here is settled
	open    []queue.Place
	early   map[queue.ID]queue.Place // settled beyond done; zero place: while being parked
	reading bool
	purged  uint64 // everything up to this message is gone
}

// job is an item on its way.
type job struct {
	item    *Item
	place   queue.Place // zero unless it stands in the line; guarded by the lane's lock
	tries   int
	refused time.Time // when this message was first refused
	refusal int       // how often
	ended   bool      // its outcome is in the journal, or about to be; guarded by the lane's lock
}

func (j *job) fromLine() bool { return j.place != (queue.Place{}) }

// place is where a job stands in the line; zero if it does not.
func (l *lane) place(j *job) queue.Place {
	l.mu.Lock()
	defer l.mu.Unlock()
	return j.place
}

// end marks that a job's outcome goes to the journal now, so that a state of
// the lane that is recorded after it does not forget it, and returns its place.
func (l *lane) end(j *job) queue.Place {
	l.mu.Lock()
	defer l.mu.Unlock()
	j.ended = true
	return j.place
}

// push adds a delivery. It never waits.
func (l *lane) push(it *Item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	it.waiting = time.Now()
	l.bytes += it.size()
	l.set.addBytes(it.size())
	if l.parked {
		it.parked = true
		l.spill = append(l.spill, it)
		l.startSpill()
		return
	}
	l.waiting = append(l.waiting, it)
	switch {
	case len(l.waiting)+len(l.flying) > l.set.limits.waiting, l.bytes > l.set.share():
		l.park("backlog")
	case l.dest.paused():
		l.park("destination paused")
	default:
		l.start()
	}
}

// park moves everything in memory to RELAY_PARKED, in order, what is in flight
// included: if that gets through it is remembered and passed over later. The
// lock is held.
func (l *lane) park(reason string) {
	if l.parked {
		return
	}
	l.parked, l.reason = true, reason
	l.record(queue.LaneParked)
	for _, j := range l.flying {
		j.item.parked = true
		l.spill = append(l.spill, j.item)
	}
	for _, it := range l.waiting {
		it.parked = true
	}
	l.spill = append(l.spill, l.waiting...)
	l.waiting = nil
	l.startSpill()
	l.set.log.Info("lane parked", "address", l.address.String(), "reason", reason, "waiting", len(l.spill))
}

// record notes the lane's state in the journal. The lock is held.
func (l *lane) record(state string) {
	s := &queue.LaneState{Lane: l.name, Time: time.Now(), State: state, Reason: l.reason, Done: l.line.done}
	for id := range l.line.early {
		s.Early = append(s.Early, id)
	}
	for _, j := range l.flying {
		if j.ended {
			s.Early = append(s.Early, j.item.ID)
		}
	}
	slices.SortFunc(s.Early, func(a, b queue.ID) int { return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Index, b.Index)) })
	l.recorded, l.settled = l.set.journal.Last(), 0
	l.set.journal.Note(s)
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
		p, err := it.park()
		if err != nil {
			l.set.log.Error("a delivery cannot be parked with its look", "event_id", it.ID.String(), "err", err)
		}
		batch = append(batch, p)
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
	l.line.tail = seq
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

// start starts workers as far as there is work for them. The lock is held.
func (l *lane) start() {
	most := l.most()
	work := len(l.waiting) + len(l.flying)
	if l.parked {
		work = most // those that find nothing end at once
	}
	for l.workers < min(work, most) && l.set.do(l.work) {
		l.workers++
	}
}

// most is how many workers the lane may have.
func (l *lane) most() int {
	if c := l.dest.config.Load(); c != nil {
		return c.Concurrency
	}
	return 1
}

// work delivers until nothing is left to do.
func (l *lane) work() {
	for j := l.take(); j != nil; j = l.take() {
		l.deliver(j)
	}
}

// take returns the next delivery, or nil when this worker shall end.
func (l *lane) take() *job {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.set.stopping() == nil && l.workers <= l.most() {
		switch {
		case len(l.again) > 0:
			j := l.again[0]
			l.again = l.again[1:]
			return l.fly(j)
		case !l.parked && len(l.waiting) > 0:
			it := l.waiting[0]
			l.waiting[0] = nil
			l.waiting = l.waiting[1:]
			return l.fly(&job{item: it})
		case !l.parked:
			l.workers--
			return nil
		}
		if j := l.takeParked(); j != nil {
			return l.fly(j)
		}
		switch {
		case l.line.seq < l.line.tail && !l.line.reading:
			l.read()
			continue
		case l.line.reading, l.spilling, len(l.spill) > 0, len(l.flying) > 0:
			l.workers-- // whoever reads, appends or flies goes on from here
			return nil
		}
		l.reopen()
	}
	l.workers--
	return nil
}

func (l *lane) fly(j *job) *job {
	l.flying = append(l.flying, j)
	return j
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
			continue
		}
		if _, ok := l.line.early[p.ID]; ok {
			l.line.settle(place, p.ID)
			continue
		}
		return &job{item: unpark(p, l.address), place: place}
	}
	return nil
}

// settle moves the line's progress over everything that is settled without a
// gap.
func (l *line) settle(place queue.Place, id queue.ID) {
	i := slices.Index(l.open, place)
	if i < 0 {
		return
	}
	l.open = slices.Delete(l.open, i, i+1)
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
	l.line.seq, l.line.batch, l.line.next = seq, batch, 0
	l.start() // there is work for others too
}

// reopen opens the lane: its part of RELAY_PARKED is settled and nothing is in
// flight. The lock is held.
func (l *lane) reopen() {
	l.parked, l.reason, l.until = false, "", time.Time{}
	last := l.line.tail
	l.line.done = queue.Place{Seq: last + 1}.Before()
	clear(l.line.early)
	l.line.batch, l.line.next, l.line.open = nil, 0, nil
	l.record(queue.LaneOpen)
	l.set.log.Info("lane open again", "address", l.address.String())
	l.unpurged = last
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
		} else {
			l.purge(l.unpurged)
		}
	})
}

// finished is the last message of the line that is settled as a whole.
func (l *line) finished() uint64 {
	if len(l.open) == 0 && l.next == len(l.batch) {
		return l.seq
	}
	return max(l.done.Seq, 1) - 1
}

// land ends a flight. With retry the job goes back to the head of the line, as
// far as it comes from there; what came from memory and is parked meanwhile
// will be read again anyway.
func (l *lane) land(j *job, retry bool) {
	if l.landed(j, retry) {
		j.item.Done()
	}
}

// landed tells whether the item's event may forget it.
func (l *lane) landed(j *job, retry bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flying = slices.DeleteFunc(l.flying, func(o *job) bool { return o == j })
	switch {
	case retry && j.fromLine():
		i := 0
		for i < len(l.again) && l.again[i].place.Less(j.place) {
			i++
		}
		l.again = slices.Insert(l.again, i, j)
	case retry:
		// It is in spill or in RELAY_PARKED already, or the relay stops.
	case j.fromLine():
		l.line.settle(j.place, j.item.ID)
		l.purge(l.line.finished())
		if l.settled++; l.settled >= refresh {
			l.record(queue.LaneParked)
		}
	case j.item.parked:
		l.line.early[j.item.ID] = queue.Place{}
	default:
		l.bytes -= j.item.size()
		l.set.addBytes(-j.item.size())
		return true
	}
	return false
}

// retrySoon ends the lane's own pause.
func (l *lane) retrySoon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Time{}
	if l.soon != nil {
		close(l.soon)
		l.soon = nil
	}
}

// rest waits out the lane's own pause; false when the relay stops.
func (l *lane) rest() bool {
	l.mu.Lock()
	wait := time.Until(l.until)
	if wait > 0 && l.soon == nil {
		l.soon = make(chan struct{})
	}
	soon := l.soon
	l.mu.Unlock()
	if wait <= 0 {
		return l.set.stopping() == nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-soon:
	case <-l.set.stop.Done():
		return false
	}
	return true
}

// tooOld parks a lane whose oldest delivery has waited too long.
func (l *lane) tooOld(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.parked {
		if l.set.journal.Last() > l.recorded+stale {
			l.record(queue.LaneParked) // so that the journal's floor moves
		}
		return
	}
	if l.unpurged > 0 && l.set.journal.Last() > l.recorded+stale {
		l.record(queue.LaneOpen)
	}
	var oldest *Item
	if len(l.flying) > 0 {
		oldest = l.flying[0].item
	} else if len(l.waiting) > 0 {
		oldest = l.waiting[0]
	}
	if oldest != nil && now.Sub(oldest.waiting) > l.set.limits.age {
		l.park("waiting too long")
	}
}
