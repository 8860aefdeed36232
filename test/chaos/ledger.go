package main

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// address is a place in the chat: a hook's id and a channel of it.
type address struct{ hook, channel string }

// place is an event's id as the relay gives it: 1042-0 is the first webhook of
// envelope 1042.
type place struct{ seq, index uint64 }

func (p place) String() string { return fmt.Sprintf("%d-%d", p.seq, p.index) }

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.seq, o.seq), cmp.Compare(p.index, o.index))
}

// parsePlace reads an event's id.
func parsePlace(s string) (place, bool) {
	seq, index, ok := strings.Cut(s, "-")
	a, err := strconv.ParseUint(seq, 10, 64)
	b, err2 := strconv.ParseUint(index, 10, 64)
	return place{a, b}, ok && err == nil && err2 == nil
}

// Outcomes of a webhook, as its sender saw it.
const (
	unanswered = iota // no answer, or none yet: stored, perhaps
	accepted          // 2xx: it must not be lost
	refused           // 4xx: it must not be delivered
	deferred          // 5xx and 429: not stored, as far as the relay knows
)

// sent is one webhook.
type sent struct {
	to       []address
	also     []address // where it may be too: somebody has asked for that, and got no answer
	at       time.Time // when it was begun
	outcome  int
	answered time.Time
	id       place // of an accepted one
	cut      bool  // unanswered, though the relay had taken the connection
	trouble  error // why it got no answer
}

// post is a message that arrived in the chat.
type post struct {
	seq      int // order of arrival
	event    int
	to       address
	at       time.Time
	epoch    int  // of the relay that posted; see begun
	answered bool // the chat's answer was sent whole
}

// death is a delivery that the relay says it has given up.
type death struct {
	id    place
	label string // the address as the relay names it; empty: all of them
}

// ledger is what really happened, written down outside the relay: what was sent
// and what the senders were told, and what arrived in the chat. Its methods may
// be called from many goroutines.
type ledger struct {
	salt uint64

	mu      sync.Mutex
	events  []*sent
	posts   []post
	strange []string // what arrived and belongs to nothing that was sent
	dead    map[death]int
	unheard map[death]int            // deliveries of which the relay says that an answer did not come in time
	begun   []time.Time              // of the epochs, the first one left out
	crashed map[int]bool             // epochs that ended without an orderly end
	open    map[int]map[address]bool // of accepted events: where they are still missing
	got     map[int]map[address]bool // where the others have arrived
	last    time.Time                // when a post arrived
}

func newLedger(salt uint64) *ledger {
	return &ledger{
		salt: salt, dead: map[death]int{}, unheard: map[death]int{}, crashed: map[int]bool{},
		open: map[int]map[address]bool{}, got: map[int]map[address]bool{},
	}
}

// marker is the word in an event's text that its message is known by. Its tail
// says that it arrived as it was sent.
func (l *ledger) marker(n int) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%d %d", l.salt, n)
	return fmt.Sprintf("mk%dx%08xq", n, h.Sum32())
}

var markers = regexp.MustCompile(`mk(\d+)x[0-9a-f]{8}q`)

// begin numbers a webhook that is about to be sent.
func (l *ledger) begin(to []address) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = len(l.events)
	l.events = append(l.events, &sent{at: time.Now(), to: to})
	return n
}

// answer writes down what the sender of a webhook was told.
func (l *ledger) answer(n, outcome int, id place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.events[n]
	s.outcome, s.answered, s.id = outcome, time.Now(), id
	if outcome != accepted {
		return
	}
	missing := map[address]bool{}
	for _, a := range s.to {
		if !l.got[n][a] {
			missing[a] = true
		}
	}
	delete(l.got, n)
	if len(missing) > 0 {
		l.open[n] = missing
	}
}

// arrive writes down a request to the chat that people can see as a message.
func (l *ledger) arrive(seq int, to address, at time.Time, answered bool, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = time.Now()
	found := markers.FindStringSubmatch(text)
	if found == nil {
		l.strange = append(l.strange, fmt.Sprintf("a message without a marker at %s", to.channel))
		return
	}
	n, err := strconv.Atoi(found[1])
	if err != nil || n >= len(l.events) || found[0] != l.marker(n) {
		l.strange = append(l.strange, fmt.Sprintf("a message about %s, which nobody sent", found[0]))
		return
	}
	if !slices.Contains(l.events[n].to, to) && !slices.Contains(l.events[n].also, to) {
		l.strange = append(l.strange, fmt.Sprintf("event %d at %s, where it does not belong", n, to.channel))
		return
	}
	l.posts = append(l.posts, post{seq: seq, event: n, to: to, at: at, epoch: l.epochAt(at), answered: answered})
	if l.events[n].outcome == accepted {
		if delete(l.open[n], to); len(l.open[n]) == 0 {
			delete(l.open, n)
		}
		return
	}
	if l.got[n] == nil {
		l.got[n] = map[address]bool{}
	}
	l.got[n][to] = true
}

// anyAccepted is a webhook that was accepted, chosen at random.
func (l *ledger) anyAccepted(d dicer) (n int, id place, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) == 0 {
		return 0, place{}, false
	}
	n = d.IntN(len(l.events))
	return n, l.events[n].id, l.events[n].outcome == accepted
}

// mayGo writes down that a webhook may come to one more address.
func (l *ledger) mayGo(n int, to address) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events[n].also = append(l.events[n].also, to)
}

// mustGo writes down that an accepted webhook has to come to one more address.
func (l *ledger) mustGo(n int, to address) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events[n].to = append(slices.Clip(l.events[n].to), to)
	if slices.ContainsFunc(l.posts, func(p post) bool { return p.event == n && p.to == to }) {
		return
	}
	if l.open[n] == nil {
		l.open[n] = map[address]bool{}
	}
	l.open[n][to] = true
}

// bury writes down that the relay gave a delivery up.
func (l *ledger) bury(d death) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead[d]++
}

// missed writes down that the relay had no answer to an attempt in time.
func (l *ledger) missed(d death) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unheard[d]++
}

// unnamed are how many timed-out attempts at each address belong to a webhook whose
// sender was not told an id.
func (l *ledger) unnamed() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	named := map[place]bool{}
	for _, s := range l.events {
		if s.outcome == accepted {
			named[s.id] = true
		}
	}
	all := map[string]int{}
	for d, n := range l.unheard {
		if !named[d.id] {
			all[d.label] += n
		}
	}
	return all
}

// starting is how long a new process of the relay needs at least until its
// first post; a message that arrives before is still from the last one.
const starting = 10 * time.Millisecond

// gone tells whether the relay gave a delivery up. The lock is held.
func (l *ledger) gone(id place, label string) bool {
	return l.dead[death{id, label}]+l.dead[death{id, ""}] > 0
}

// next begins an epoch: the time of one process of the relay. How the last one
// ended says how much may be repeated.
func (l *ledger) next(crashed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if crashed {
		l.crashed[len(l.begun)] = true
	}
	l.begun = append(l.begun, time.Now().Add(starting))
}

// epoch is the present one.
func (l *ledger) epoch() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.begun)
}

// epochAt is the epoch of a moment. The lock is held.
func (l *ledger) epochAt(at time.Time) int {
	epoch := len(l.begun)
	for epoch > 0 && at.Before(l.begun[epoch-1]) {
		epoch--
	}
	return epoch
}

// arrivals are the posts of the present epoch.
func (l *ledger) arrivals() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for i := len(l.posts) - 1; i >= 0 && l.posts[i].epoch == len(l.begun); i-- {
		n++
	}
	return n
}

// arrived tells whether a webhook has come to an address.
func (l *ledger) arrived(n int, to address) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.posts, func(p post) bool { return p.event == n && p.to == to })
}

// older tells whether a webhook was accepted before another, as their ids say;
// while an answer is still on its way, as they were sent.
func (l *ledger) older(a, b int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, y := l.events[a], l.events[b]
	if x.outcome != accepted || y.outcome != accepted {
		return a < b
	}
	return x.id.compare(y.id) < 0
}

// deaths are how many deliveries were given up.
func (l *ledger) deaths() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.dead)
}

// failed writes down that a webhook got no answer.
func (l *ledger) failed(n int, cut bool, trouble error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events[n].cut, l.events[n].trouble = cut, trouble
}

// troubles are why webhooks got no answer, and how many each.
func (l *ledger) troubles() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]int{}
	for _, s := range l.events {
		if s.trouble != nil {
			var inner error = s.trouble
			for errors.Unwrap(inner) != nil {
				inner = errors.Unwrap(inner)
			}
			all[inner.Error()]++
		}
	}
	return all
}

// snapshot is the ledger as it stands.
func (l *ledger) snapshot() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &ledger{salt: l.salt, posts: slices.Clone(l.posts), strange: slices.Clone(l.strange), begun: slices.Clone(l.begun), dead: maps.Clone(l.dead), unheard: maps.Clone(l.unheard), crashed: maps.Clone(l.crashed)}
	for _, e := range l.events {
		kept := *e
		s.events = append(s.events, &kept)
	}
	return s
}

// tally counts.
type tally struct {
	sent, accepted, refused, deferred, unanswered, cut int
	posts, missing, dead                               int
}

func (l *ledger) count() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := tally{sent: len(l.events), posts: len(l.posts), dead: len(l.dead)}
	for _, s := range l.events {
		switch s.outcome {
		case accepted:
			t.accepted++
		case refused:
			t.refused++
		case deferred:
			t.deferred++
		default:
			t.unanswered++
			if s.cut {
				t.cut++
			}
		}
	}
	for _, missing := range l.open {
		t.missing += len(missing)
	}
	return t
}

// missing are the deliveries of accepted events that have neither arrived nor
// been given up.
func (l *ledger) missing(label func(address) string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for event, where := range l.open {
		for a := range where {
			if !l.gone(l.events[event].id, label(a)) {
				n++
			}
		}
	}
	return n
}

// expected tells whether a webhook goes to so many addresses.
func (l *ledger) expected(n, addresses int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return n < len(l.events) && len(l.events[n].to) == addresses
}

// missingAt are the deliveries of accepted events to some addresses that have
// not arrived.
func (l *ledger) missingAt(keep func(address) bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, where := range l.open {
		for a := range where {
			if keep(a) {
				n++
			}
		}
	}
	return n
}

// number is which webhook a message is about.
func (l *ledger) number(raw []byte) (n int, ok bool) {
	found := markers.FindSubmatch(raw)
	if found == nil {
		return 0, false
	}
	n, err := strconv.Atoi(string(found[1]))
	return n, err == nil
}

// latencies are how long the senders waited for their 2xx since a moment, in
// ascending order.
func (l *ledger) latencies(since time.Time) []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []time.Duration
	for _, s := range l.events {
		if s.outcome == accepted && !s.at.Before(since) {
			all = append(all, s.answered.Sub(s.at))
		}
	}
	slices.Sort(all)
	return all
}

// lags are how long the messages to the addresses that keep wants took from the
// sending of the webhook to the arrival in the chat, in ascending order.
func (l *ledger) lags(since time.Time, keep func(address) bool) []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []time.Duration
	for _, p := range l.posts {
		if s := l.events[p.event]; keep(p.to) && !s.at.Before(since) {
			all = append(all, p.at.Sub(s.at))
		}
	}
	slices.Sort(all)
	return all
}

// quantile of values in ascending order; 0 when there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
