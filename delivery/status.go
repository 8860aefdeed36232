package delivery

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/queue"
)

// States of a lane, as status, metrics and the journal name them.
const (
	LaneOpen    = queue.LaneOpen   // messages go out as they come
	LaneWaiting = "waiting"        // it stands still while its first message is tried again, or not answered for seconds
	LaneParked  = queue.LaneParked // its deliveries wait on disk, and are tried from the first one on
	LaneBroken  = queue.LaneBroken // parked, and its address was refused three times
)

// ReasonNoAnswer is why a lane waits whose first attempt with a message goes on
// for longer than usual.
const ReasonNoAnswer = "no answer yet"

// slow is how long an attempt goes on before its lane is said to wait.
const slow = 2 * time.Second

// LaneStatus says how the lane of one address stands. It holds no secret.
type LaneStatus struct {
	Address configs.Address
	State   string    // LaneOpen, LaneWaiting, LaneParked or LaneBroken
	Since   time.Time // when it came into this state; zero while it is open
	Reason  string    // why it is not open: a reason of an attempt, or a few words; "" while it is open
	Error   string    // what came of the attempt that Reason is of, redacted; "" when it is of none, or while it is open
	Next    time.Time // when its first message is tried again; zero: at once, or it is open
	Held    int       // deliveries that are not settled, in memory and on disk

	// Whole says that the destination itself is left alone or broken, so that
	// the lane's own address is not what is wrong.
	Whole bool
}

// Status lists the lanes, by address: all that hold something or are not open.
// It may be called at any time, from any goroutine, and waits for nothing but
// the lanes' locks. Held of a lane that was parked before the last start grows
// for a moment until all of it has been counted.
func (s *Lanes) Status() []LaneStatus {
	var all []LaneStatus
	for _, l := range s.all() {
		if st := l.status(); st.State != LaneOpen || st.Held > 0 {
			all = append(all, st)
		}
	}
	slices.SortFunc(all, func(a, b LaneStatus) int {
		return cmp.Or(cmp.Compare(a.Address.Destination, b.Address.Destination), cmp.Compare(a.Address.Channel, b.Address.Channel))
	})
	return all
}

// DestinationStatus says why a whole destination takes nothing. It holds no secret.
type DestinationStatus struct {
	Name   string
	Broken bool   // refused whatever was sent there; otherwise it fails, and is paused
	Reason string // of the last attempt
	Error  string
	Next   time.Time // when it is tried again; zero: at once, or by each of its lanes
}

// Destinations lists those that are paused or broken as a whole, by name.
func (s *Lanes) Destinations() (all []DestinationStatus) {
	s.mu.Lock()
	dests := maps.Clone(s.dests)
	s.mu.Unlock()
	for name, d := range dests {
		failing, broken, until := d.status()
		if failing.reason == "" && !broken {
			continue
		}
		if !time.Now().Before(until) {
			until = time.Time{}
		}
		if broken { // which came last
			failing.reason, failing.text = s.brokenBy(d)
		}
		all = append(all, DestinationStatus{name, broken, failing.reason, failing.text, until})
	}
	slices.SortFunc(all, func(a, b DestinationStatus) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// brokenBy is what one of the broken addresses of a destination was refused with.
func (s *Lanes) brokenBy(d *destination) (reason, text string) {
	for _, l := range s.all() {
		if l.dest != d {
			continue
		}
		l.mu.Lock()
		broken, why := l.state() == LaneBroken, l.standing.cause
		l.mu.Unlock()
		if broken && (text == "" || why.text < text) { // the same one each time
			reason, text = why.reason, why.text
		}
	}
	return reason, text
}

func (l *lane) status() LaneStatus {
	failing, whole, until := l.dest.status()
	l.mu.Lock()
	defer l.mu.Unlock()
	now, at := time.Now(), &l.standing
	st := LaneStatus{Address: l.address, State: l.state(), Held: l.held()}
	switch {
	case l.parked:
		st.Since, st.Reason, st.Error, st.Next, st.Whole = at.since, at.reason, at.text, later(at.until, at.still), whole
		if failing.reason != "" {
			st.Whole = true
			st.Next = later(st.Next, until)
			if st.Error == "" {
				st.Reason, st.Error = failing.reason, failing.text
			}
		}
	default:
		if j := l.stuck(now); j != nil {
			st.State, st.Since, st.Next, st.Reason, st.Error = LaneWaiting, j.first, at.still, j.cause.reason, j.cause.text
			if j.cause == (cause{}) {
				st.Reason, st.Error = ReasonNoAnswer, "sent "+now.Sub(j.began).Round(time.Second).String()+" ago"
			}
		}
	}
	if !now.Before(st.Next) {
		st.Next = time.Time{}
	}
	return st
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// held is how many deliveries the lane holds. The lock is held.
func (l *lane) held() int {
	n := len(l.waiting) + len(l.spill) + l.line.held
	for _, j := range l.flying {
		if !j.item.parked && !j.fromLine() {
			n++
		}
	}
	return max(n-l.line.passed, 0)
}

// Retry has the lanes that match tried now, without waiting for their next
// probe, and returns how many there were. What they hold keeps its order; one
// that is refused again waits for its next probe as if nobody had asked. It does not wait for the
// attempts.
func (s *Lanes) Retry(match func(configs.Address) bool) int { return len(s.hurryAll(match)) }

func (s *Lanes) hurryAll(match func(configs.Address) bool) (lanes []*lane) {
	for _, l := range s.all() {
		if match(l.address) && l.status().State != LaneOpen {
			lanes = append(lanes, l)
			l.dest.hurry()
			l.retrySoon()
		}
	}
	return lanes
}
