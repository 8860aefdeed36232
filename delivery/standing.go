package delivery

import (
	"errors"
	"fmt"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// errExpired: the time has come at which a delivery is given up, and its
// address takes nothing.
var errExpired = errors.New("too old")

// cause is why something does not go on. Both are of the same attempt, if they
// are of one.
type cause struct {
	reason string // of an attempt, or a few words
	text   string // what came of that attempt, for people; "" when it is not an attempt's
}

// standing is how a lane stands with its address. The lane's lock guards it.
type standing struct {
	cause           // of its last attempt, if that failed; else why it is parked
	since time.Time // it has been parked since
	until time.Time // this lane alone is not tried before
	due   time.Time // when it would be tried if nobody had asked for that before; zero: nobody has
	still time.Time // nor in place before
	soon  chan struct{}

	failures int       // times in a row that it was left alone while others got through
	refusals int       // times in a row that it was left alone because it was refused
	refused  time.Time // the first of them
	broken   time.Time // the one that made it broken
	last     bool      // nothing stood behind its head when it was refused again: what comes next is tried past it
	lonely   bool      // its last message was buried because it was refused, on the word of other lanes
}

// state is the lane's, for the journal. The lock is held.
func (l *lane) state() string {
	switch {
	case !l.parked:
		return queue.LaneOpen
	case l.standing.refusals >= brokenAfter:
		return queue.LaneBroken
	default:
		return queue.LaneParked
	}
}

// hold leaves this lane alone, because its address is refused. What several
// workers find out at the same time counts once.
func (l *lane) hold(r result) {
	l.mu.Lock()
	st := &l.standing
	another := r.ended.Before(st.until) // worker has found out as well
	if early := st.early(r.ended); !another {
		if st.refusals++; st.refusals == 1 {
			st.refused = r.ended
		}
		if !early {
			st.until = r.ended.Add(jitter(l.set.limits.rejected))
		}
	}
	l.parkFor(r)
	first := st.refusals == 1
	broke := st.refusals >= brokenAfter && st.broken.IsZero()
	if broke {
		st.broken, st.since = r.ended, r.ended
		l.record()
	}
	l.mu.Unlock()
	switch {
	case broke:
		l.broke(r)
	case first:
		l.tell("refused", fmt.Sprintf("⚠️ `%s` refuses messages: %s. They wait on disk; every few minutes one is tried.", l.address, l.inWords(r.text)))
	}
}

// holdAlone leaves this lane alone because it fails while the destination takes
// the messages of others.
func (l *lane) holdAlone(r result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	st, paused := &l.standing, l.set.limits.paused
	if !st.early(r.ended) {
		pause := min(paused[min(st.failures, len(paused)-1)], l.set.limits.rejected)
		st.failures++
		st.until = r.ended.Add(jitter(pause))
	}
	l.parkFor(r)
	l.set.log.Warn("lane paused; others of its destination continue", "address", l.address.String(), "reason", r.reason, "for", st.until.Sub(r.ended).Round(time.Second).String())
}

// early tells whether an attempt ended before the lane was to be tried, because
// another worker found out as well, or somebody asked for it. Then the lane waits
// until it was to be tried, as it would have.
func (st *standing) early(ended time.Time) bool {
	st.until, st.due = later(st.until, st.due), time.Time{}
	return ended.Before(st.until)
}

// parkFor parks the lane because of an answer. The lock is held.
func (l *lane) parkFor(r result) {
	l.park(r.cause())
}

// broke says that the address is broken, or, where that shows, the whole
// destination: because the receiver said so of the hook itself, or because
// another of its addresses is broken as well and nothing got through since.
func (l *lane) broke(r result) {
	if !r.hook && !l.set.anotherBroken(l) {
		l.set.log.Error("address broken", "address", l.address.String(), "reason", r.reason, "err", r.text)
		l.tell("broken", fmt.Sprintf("❌ `%s` is broken: it was refused three times: %s. Its messages wait on disk; every few minutes one is tried. Other channels continue.%s", l.address, l.inWords(r.text), l.advice(r)))
		return
	}
	if l.dest.breaks(r.ended) {
		l.set.log.Error("destination broken", "destination", l.name.Destination, "reason", r.reason, "err", r.text)
		l.tellOfAll("broken", fmt.Sprintf("❌ Destination `%s` is broken: whatever is sent there is refused: %s. Messages wait on disk; every few minutes one is tried.", l.name.Destination, l.inWords(r.text)))
	}
}

// anotherBroken tells whether another address of the lane's destination is
// broken too, and nothing got through since the first of both was refused.
func (s *Lanes) anotherBroken(l *lane) bool {
	first := l.refusedSince()
	for _, o := range s.all() {
		if o == l || o.dest != l.dest {
			continue
		}
		o.mu.Lock()
		broken, since := o.standing.refusals >= brokenAfter, o.standing.refused
		o.mu.Unlock()
		if since.After(first) {
			since = first
		}
		if broken && !l.dest.tookSince(since) {
			return true
		}
	}
	return false
}

func (l *lane) refusedSince() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.standing.refused
}

// took notes that a message got through: the address takes messages again, if
// it had not.
func (l *lane) took(r result) {
	paused, broken := l.dest.succeeded(r.sent)
	l.mu.Lock()
	l.last = r
	st := &l.standing
	healed, told := !st.broken.IsZero(), l.told
	l.told = false
	l.goOn()
	*st = standing{since: st.since, cause: cause{reason: st.reason}}
	if healed {
		st.since = r.ended
		l.record()
	}
	l.mu.Unlock()
	switch {
	case broken:
		l.set.log.Info("destination takes messages again", "destination", l.name.Destination)
		l.set.hurry(l.dest) // what was refused by all of it may not be refused by each
	case paused:
		l.set.log.Info("destination takes messages again", "destination", l.name.Destination)
	case healed:
		l.set.log.Info("address takes messages again", "address", l.address.String())
	}
	if l.dest.told.Load() && l.dest.told.Swap(false) {
		name := l.name.Destination
		l.set.relief(fmt.Sprintf("✅ Destination `%s` takes messages again.", name), "destination paused "+name, "destination broken "+name)
	}
	if address := l.address.String(); told {
		l.set.relief(fmt.Sprintf("✅ `%s` takes messages again.", address), "refused "+address, "broken "+address)
	}
}

// tell reports trouble with the lane's address.
func (l *lane) tell(kind, text string) {
	l.mu.Lock()
	l.told = true
	l.mu.Unlock()
	l.set.trouble(kind+" "+l.address.String(), text)
}

// tellOfAll reports trouble with all of the destination.
func (l *lane) tellOfAll(kind, text string) {
	l.dest.told.Store(true)
	l.set.trouble("destination "+kind+" "+l.name.Destination, text)
}

// hurry has the lanes of a destination tried at once that are left alone.
func (s *Lanes) hurry(d *destination) {
	for _, l := range s.all() {
		if l.dest == d {
			l.retrySoon()
		}
	}
}

// retrySoon ends the lane's own pause, and what it waits for in place.
func (l *lane) retrySoon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.standing.due = later(l.standing.due, l.standing.until)
	l.goOn()
}

// goOn ends what the lane's workers wait for. The lock is held.
func (l *lane) goOn() {
	l.standing.until = time.Time{}
	if l.standing.soon != nil {
		close(l.standing.soon)
		l.standing.soon = nil
	}
}

// anew forgets how the address has answered, and has it tried at once.
func (l *lane) anew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.goOn()
	broken := !l.standing.broken.IsZero()
	l.standing = standing{since: l.standing.since, cause: cause{reason: l.standing.reason}}
	if broken {
		l.record()
	}
}

// soon is closed when nothing is to be waited for any longer. The lock is held.
func (l *lane) soon() <-chan struct{} {
	if l.standing.soon == nil {
		l.standing.soon = make(chan struct{})
	}
	return l.standing.soon
}

// rest waits out the lane's own pause. It returns an error when the relay
// stops, or errExpired when the delivery is given up before the pause is over.
func (l *lane) rest(expires time.Time) error {
	for l.set.stopping() == nil {
		l.mu.Lock()
		now := time.Now()
		wait := l.standing.until.Sub(now)
		soon := l.soon()
		l.mu.Unlock()
		if wait <= 0 {
			return nil
		}
		if !expires.IsZero() && !now.Before(expires) {
			return errExpired
		}
		awaken(l.set.stop, wait, expires, soon)
	}
	return l.set.stopping()
}

// resting tells whether the lane is being left alone.
func (l *lane) resting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.standing.until)
}

// stay waits to try again in place; false when the relay stops.
func (l *lane) stay(d time.Duration) bool {
	if d <= 0 {
		return l.set.stopping() == nil
	}
	l.mu.Lock()
	l.standing.still = time.Now().Add(d)
	soon := l.soon()
	l.mu.Unlock()
	awaken(l.set.stop, d, time.Time{}, soon)
	return l.set.stopping() == nil
}
