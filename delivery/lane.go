package delivery

import (
	"cmp"
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
	spill    []*Item // to be appended to RELAY_PARKED
	spilling bool
	line     line
	standing standing
	last     result            // of the attempt that ended last
	told     bool              // it was reported that the address is refused or broken
	carried  map[queue.ID]past // of what was in flight when the lane parked
	recorded uint64            // journal sequence below the newest record of this lane's state
	settled  int               // deliveries from the line settled since then
	unpurged uint64            // the lane is open, but this much of its line may still be there
	purging  bool
	lags     bool // it is counted in the set's lagging
}

// job is an item on its way.
type job struct {
	past
	item  *Item
	place queue.Place  // zero unless it stands in the line; guarded by the lane's lock
	ended bool         // its outcome is in the journal, or about to be; guarded by the lane's lock
	given bool         // it became a dead letter where it stands in the line; guarded by the lane's lock
	burst int          // attempts since the lane and its destination admitted it
	asked *Destination // whose access rules let it pass last

	// For whoever asks how the lane stands; guarded by its lock.
	first time.Time // when its first attempt began
	began time.Time // when the attempt began that is under way; zero: it failed
	cause cause     // why the last one before that failed; zero: none has
}

// past is what came of the attempts with a message so far.
type past struct {
	tries   int
	failed  time.Time // when it failed first, or was last left alone for that
	text    string    // what the receiver said last
	refusal int       // how often the message was refused
	refused time.Time // when it was first refused
	held    int       // how often it stood at the head of the line and was refused, repeats in place not counted
	probes  int       // how often it stood at the head of the line and got a 5xx, repeats in place not counted
	late    int       // how often it got a 5xx once more after what stood behind it had got through
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
	l.line.ends(j.place)
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
	case len(l.waiting)+len(l.flying) > l.set.limits.waiting, l.bytes > l.set.share() && (len(l.waiting)+len(l.flying) > 1 || l.dest.paced()):
		l.park(l.lateness("backlog"))
	case l.dest.paused():
		l.park(cause{reason: "destination paused"})
	default:
		l.start()
	}
}

// park moves everything in memory to RELAY_PARKED, in order, what is in flight
// included: if that gets through it is remembered and passed over later. The
// lock is held.
func (l *lane) park(why cause) {
	if l.parked {
		return
	}
	l.parked = true
	l.tally()
	l.standing.cause, l.standing.since = why, time.Now()
	l.record()
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
	l.set.log.Info("lane parked", "address", l.address.String(), "reason", why.reason, "waiting", len(l.spill))
}

// record notes the lane's state in the journal. The lock is held.
func (l *lane) record() {
	s := &queue.LaneState{Lane: l.name, Time: time.Now(), State: l.state(), Done: l.line.done, Gone: l.line.gone}
	if l.parked {
		s.Time, s.Reason = l.standing.since, l.standing.reason
	}
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
		l.set.tried.tell()
	}
}

// take returns the next delivery, or nil when this worker shall end.
func (l *lane) take() *job {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.set.stopping() == nil && l.workers <= l.most() {
		if j := l.next(); j != nil {
			return j
		}
		switch {
		case l.set.stopping() != nil: // it may be why there was no next one
		case !l.parked, l.line.reading, l.line.yielding != nil, l.spilling, len(l.spill) > 0, len(l.flying) > 0:
			// Nothing is left, or whoever reads, gives up, appends or flies goes on from here.
			l.workers--
			return nil
		default:
			l.reopen()
		}
	}
	l.workers--
	return nil
}

// next takes what is first in the lane; nil when nothing is there, or another
// worker is fetching it. The lock is held, and let go while the line is read.
func (l *lane) next() *job {
	for l.set.stopping() == nil {
		switch {
		case l.parked && l.line.yielding != nil:
			return nil
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
			return nil
		}
		if j := l.takeParked(); j != nil {
			return l.fly(j)
		}
		if l.line.seq >= l.line.tail || l.line.reading {
			return nil
		}
		l.read()
	}
	return nil
}

// behind takes what stands behind the deliveries that the caller holds.
func (l *lane) behind() *job {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next()
}

func (l *lane) fly(j *job) *job {
	l.flying = append(l.flying, j)
	return j
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
	case j.given && !j.fromLine():
		// What stood in RELAY_PARKED of it is passed over, or gone.
	case retry && j.fromLine() && !j.given:
		i := 0
		for i < len(l.again) && l.again[i].place.Less(j.place) {
			i++
		}
		l.again = slices.Insert(l.again, i, j)
	case retry && !j.fromLine():
		// It is in spill or in RELAY_PARKED already, or the relay stops.
		l.carried[j.item.ID] = j.past
	case j.fromLine():
		l.line.settle(j.place, j.item.ID)
		l.purge(l.line.finished())
		if l.settled++; l.settled >= refresh {
			l.record()
		}
	case j.item.parked:
		l.line.early[j.item.ID] = queue.Place{}
		l.line.passed++
	default:
		l.bytes -= j.item.size()
		l.set.addBytes(-j.item.size())
		return true
	}
	return false
}

// holds tells whether a start needs the lane's state from the journal. The lock
// is held.
func (l *lane) holds() bool { return l.parked || l.unpurged > 0 }

// tally counts the lane among those that hold the journal's floor, or no more,
// whenever that may have changed. The lock is held.
func (l *lane) tally() {
	was := l.lags
	l.lags = l.holds()
	switch {
	case l.lags && !was:
		l.set.lagging.Add(1)
	case was && !l.lags:
		l.set.lagging.Add(-1)
	}
}

// outdated tells whether the lane's state is to be recorded anew, so that the
// journal's history can go: when it has grown by much since, or is full. The
// lock is held.
func (l *lane) outdated() bool {
	grown := l.set.journal.Last() - min(l.set.journal.Last(), l.recorded)
	return grown > stale || grown > 0 && l.set.journal.Stuck()
}

// lateness is why a lane falls behind: the attempt that failed, or is not answered;
// its destination's rate limit, when that is used up; else what is said. The lock
// is held.
func (l *lane) lateness(otherwise string) cause {
	j := l.stuck(time.Now())
	switch {
	case j != nil && j.cause != cause{}:
		return j.cause
	case j != nil:
		return cause{reason: ReasonNoAnswer}
	case l.dest.paced():
		return cause{reason: ReasonPaced}
	}
	return cause{reason: otherwise}
}

// begins notes that an attempt with the job is under way.
func (l *lane) begins(j *job, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if j.began = now; j.first.IsZero() {
		j.first = now
	}
}

// stuck is the oldest job in flight that failed and is tried again, or whose
// attempt goes on for long; nil when there is none. The lock is held.
func (l *lane) stuck(now time.Time) *job {
	for _, j := range l.flying {
		if !j.ended && (j.cause != cause{} || !j.began.IsZero() && now.Sub(j.began) > slow) {
			return j
		}
	}
	return nil
}

// tooOld parks a lane whose oldest delivery has waited too long.
func (l *lane) tooOld(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.parked {
		if l.outdated() {
			l.record() // so that the journal's floor moves
		}
		return
	}
	if l.unpurged > 0 && l.outdated() {
		l.record()
	}
	var oldest *Item
	if len(l.flying) > 0 {
		oldest = l.flying[0].item
	} else if len(l.waiting) > 0 {
		oldest = l.waiting[0]
	}
	if oldest != nil && now.Sub(oldest.waiting) > l.set.limits.age {
		l.park(l.lateness("waiting too long"))
	}
}
