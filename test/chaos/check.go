package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Kinds of violations, by the invariant that does not hold.
const (
	lost      = "lost"      // I1: accepted, and neither delivered nor given up
	buried    = "buried"    // I1: given up, though nothing speaks against it
	strange   = "strange"   // I2: delivered, and not what was sent, or not where it belongs
	duplicate = "duplicate" // I3: delivered again without a reason
	disorder  = "order"     // I4: delivered, or numbered, in another order than accepted
	unwanted  = "unwanted"  // I5: refused, and delivered
	leak      = "leak"      // I6: a secret where none may be
	crash     = "panic"     // a panic, or an end that nobody asked for
	growth    = "growth"    // I7: goroutines, files or memory stay taken
	untrue    = "untrue"    // I8: readiness or an answer that does not tell the truth
)

// violation is one way in which an invariant does not hold.
type violation struct{ kind, what string }

func (v violation) String() string { return v.kind + ": " + v.what }

// rules are what a scenario allows.
type rules struct {
	// concurrency is how many deliveries of one lane may be under way; 0 is 1.
	concurrency int
	// unordered tells the addresses whose order is given up.
	unordered func(address) bool
	// mayDie tells what may be given up.
	mayDie func(event int, to address) bool
	// mayLose tells what may be lost: it was accepted in a window that the
	// setting names.
	mayLose func(s *sent) bool
	// mayRepeat tells, of a message that came again, whether its outcome may be
	// forgotten.
	mayRepeat func(before post) bool
	// late allows a message that comes again to come after newer ones: a process
	// that stood still has posted what it had begun.
	late bool
	// mayReuse counts ids that are given twice in place of calling them
	// violations: what a cut has lost cannot be known.
	mayReuse bool
	// label is the address as the relay names it.
	label func(address) string
}

// verdict is what the ledger says.
type verdict struct {
	violations []violation
	lost       int
	permitted  int         // lost as the rules allow
	repeats    int         // by crashes
	crashes    map[int]int // repeats by the epoch whose crash they came of
	unanswered int         // repeats of a message whose answer never came
	forgotten  int         // repeats as the rules allow
	reused     int         // ids that were given twice, where the rules count them
	dead       int
}

// check judges a ledger: I1 to I5.
func (l *ledger) check(r rules) verdict {
	l = l.snapshot() // the rules may ask the ledger
	c := checker{ledger: l, rules: r, byDelivery: map[delivery][]post{}, byAddress: map[address][]post{}}
	c.crashes = map[int]int{}
	c.unnamed = l.unnamed()
	if c.concurrency == 0 {
		c.concurrency = 1
	}
	posts := slices.Clone(l.posts)
	slices.SortFunc(posts, func(a, b post) int { return cmp.Compare(a.seq, b.seq) })
	for _, p := range posts {
		d := delivery{p.event, p.to}
		c.byDelivery[d] = append(c.byDelivery[d], p)
		c.byAddress[p.to] = append(c.byAddress[p.to], p)
	}
	for _, what := range l.strange {
		c.add(strange, "%s", what)
	}
	for n, s := range l.events {
		c.event(n, s)
	}
	c.repetition()
	c.numbers()
	for _, to := range sortedAddresses(c.byAddress) {
		c.line(to, c.byAddress[to])
		c.middle(to, c.byAddress[to])
	}
	return c.verdict
}

// delivery is one event at one address.
type delivery struct {
	event int
	to    address
}

type checker struct {
	*ledger
	rules
	verdict
	byDelivery map[delivery][]post
	byAddress  map[address][]post
	unnamed    map[string]int // timed-out attempts at each address whose webhook's sender was not told an id
}

func (c *checker) add(kind, format string, args ...any) {
	c.violations = append(c.violations, violation{kind, fmt.Sprintf(format, args...)})
}

// name is an event for people.
func (c *checker) name(n int) string {
	if s := c.events[n]; s.outcome == accepted {
		return fmt.Sprintf("event %d (%s)", n, s.id)
	}
	return fmt.Sprintf("event %d (not accepted)", n)
}

// event checks that an event went where it had to.
func (c *checker) event(n int, s *sent) {
	for _, to := range s.to {
		arrived := len(c.byDelivery[delivery{n, to}])
		dead := s.outcome == accepted && c.label != nil && c.gone(s.id, c.label(to))
		if dead {
			c.verdict.dead++
		}
		switch {
		case s.outcome == refused && arrived > 0:
			c.add(unwanted, "%s was refused and is at %s", c.name(n), to.channel)
		case dead && (c.mayDie == nil || !c.mayDie(n, to)):
			c.add(buried, "%s was given up for %s", c.name(n), to.channel)
		case s.outcome != accepted || arrived > 0 || dead:
		case c.mayLose != nil && c.mayLose(s):
			c.permitted++
		default:
			c.lost++
			c.add(lost, "%s was accepted %s and is not at %s", c.name(n), s.answered.Format(time.StampMilli), to.channel)
		}
	}
}

// repetition checks that a message came again only after its answer had not
// been sent whole, or, at most concurrency of them in a lane, after a crash. They
// count for the process that repeats: what was recorded must not come again many
// starts later either.
func (c *checker) repetition() {
	type start struct {
		epoch int
		to    address
	}
	again := map[start]int{}
	unnamed := maps.Clone(c.unnamed) // each excuses one repeat
	keys := slices.SortedFunc(maps.Keys(c.byDelivery), func(a, b delivery) int {
		return cmp.Or(cmp.Compare(a.event, b.event), cmp.Compare(a.to.hook, b.to.hook), cmp.Compare(a.to.channel, b.to.channel))
	})
	for _, d := range keys {
		for i, p := range c.byDelivery[d][1:] {
			before := c.byDelivery[d][i]
			switch {
			case c.mayRepeat != nil && c.mayRepeat(before):
				c.forgotten++
			case p.epoch != before.epoch && c.crashed[before.epoch]:
				c.repeats++
				c.crashes[before.epoch]++
				e := start{p.epoch, d.to}
				if again[e]++; again[e] > c.concurrency {
					c.add(duplicate, "%s is again at %s: %d repeats in that lane after one crash", c.name(d.event), d.to.channel, again[e])
				}
			case !before.answered || c.inVain(d):
				c.unanswered++
			case c.mayBeUnnamed(d) && unnamed[c.label(d.to)] > 0:
				c.unanswered++
				unnamed[c.label(d.to)]--
			default:
				c.add(duplicate, "%s is again at %s, %s after an answer that was sent whole", c.name(d.event), d.to.channel, p.at.Sub(before.at).Round(time.Millisecond))
			}
		}
	}
}

// inVain tells whether the relay had no answer about a delivery within 10 s, though
// the chat may have sent one: a busy machine can take that long.
func (c *checker) inVain(d delivery) bool {
	return c.label != nil && c.unheard[death{c.events[d.event].id, c.label(d.to)}] > 0
}

// mayBeUnnamed tells whether a timed-out attempt, of which the relay gives only an
// id, may have been this one: its sender got no id.
func (c *checker) mayBeUnnamed(d delivery) bool {
	return c.label != nil && c.events[d.event].outcome != accepted && c.unnamed[c.label(d.to)] > 0
}

// numbers checks the ids: each is given once, and what was answered before
// something else was sent stands before it.
func (c *checker) numbers() {
	var all []int
	for n, s := range c.events {
		if s.outcome == accepted {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b int) int { return cmp.Or(c.events[a].id.compare(c.events[b].id), cmp.Compare(a, b)) })
	var earliest time.Time // answer of all that have higher ids
	for i := len(all) - 1; i >= 0; i-- {
		s := c.events[all[i]]
		twice := i+1 < len(all) && c.events[all[i+1]].id == s.id
		switch {
		case c.mayReuse && twice:
			c.reused++
		case c.mayReuse:
		case twice:
			c.add(disorder, "the id %s was given to events %d and %d", s.id, all[i], all[i+1])
		case !earliest.IsZero() && earliest.Before(s.at):
			c.add(disorder, "%s has a lower id than one that was accepted before it was sent", c.name(all[i]))
		}
		if earliest.IsZero() || s.answered.Before(earliest) {
			earliest = s.answered
		}
	}
}

// middle checks that what comes again after a crash is what came last before it:
// a lane posts nothing more before the outcome of the last message is recorded. An
// answer that was not sent whole means an attempt that is made again, now or later.
func (c *checker) middle(to address, posts []post) {
	if c.concurrency > 1 || c.late || c.mayRepeat != nil {
		return
	}
	last := map[int]int{} // by event: where it came last
	for i, p := range posts {
		before, again := last[p.event]
		d := delivery{p.event, to}
		if last[p.event] = i; !again || !posts[before].answered || c.inVain(d) || c.mayBeUnnamed(d) {
			continue
		}
		if newer := i - before - 1; newer > 0 {
			c.add(duplicate, "%s is again at %s, with %d posts in between: it comes from the middle of the line", c.name(p.event), to.channel, newer)
		}
	}
}

// line checks the order in which messages came to one address.
func (c *checker) line(to address, posts []post) {
	if c.concurrency > 1 || c.unordered != nil && c.unordered(to) {
		return
	}
	newest := -1
	seen := map[int]bool{}
	for _, p := range posts {
		if c.events[p.event].outcome != accepted || c.late && seen[p.event] {
			continue // its place is not known, or was looked at
		}
		seen[p.event] = true
		if newest >= 0 && c.events[p.event].id.compare(c.events[newest].id) < 0 {
			c.add(disorder, "%s came to %s after %s", c.name(p.event), to.channel, c.name(newest))
			continue
		}
		newest = p.event
	}
}

func sortedAddresses(m map[address][]post) []address {
	return slices.SortedFunc(maps.Keys(m), func(a, b address) int {
		return cmp.Or(cmp.Compare(a.hook, b.hook), cmp.Compare(a.channel, b.channel))
	})
}
