package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// windows are the failpoints at which a message can be in the chat and its
// outcome not in the journal: right after the post, and while the queue cannot
// write. A kill at any other one repeats nothing.
var windows = []string{"posted-not-recorded", "journaling", "rebuilding"}

// slow are the failpoints that the relay comes to once a minute, and seldom
// those that take many starts: a tenth and a fifth of the kills.
var (
	slow   = []string{"purging", "purged"}
	seldom = []string{"marked", "rebuilding"}
)

// forked are the failpoints that a message can overtake: the chat answers
// slowly there, so that none of a webhook's messages has got through.
var forked = []string{"published", "stored-not-answered", "answered", "decided", "handed"}

// killFailpoint ends the relay at each of its failpoints. One webhook is under
// way at a time, so that what is repeated is repeated because of that point.
var killFailpoint = scenario{
	name: "kill-failpoint", ci: 5, full: 50,
	what: "`kill -9` between every two steps that a webhook takes through the relay. A message may be repeated only if the kill came after the post and before its outcome was stored.",
	run: func(ctx context.Context, b *bench) error {
		points, err := b.failpoints(ctx)
		if err != nil {
			return err
		}
		var running sync.WaitGroup
		next := make(chan string)
		for range 3 {
			running.Go(func() {
				for point := range next {
					b.killAt(ctx, point)
				}
			})
		}
		// What takes longest comes first.
		slices.SortStableFunc(points, func(a, c string) int {
			return b2i(slices.Contains(slow, c)) - b2i(slices.Contains(slow, a))
		})
		for _, point := range points {
			next <- point
		}
		close(next)
		running.Wait()
		return nil
	},
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// failpoints asks the relay for their names.
func (b *bench) failpoints(ctx context.Context) ([]string, error) {
	cmd := exec.CommandContext(ctx, b.binary, "version")
	cmd.Env = []string{"RELAY_FAILPOINT=?"}
	out, err := cmd.CombinedOutput()
	_, list, ok := bytes.Cut(out, []byte("the failpoints are "))
	if err == nil || !ok {
		return nil, fmt.Errorf("this relay was built without -tags failpoints")
	}
	return strings.Split(strings.TrimSpace(string(list)), ", "), nil
}

// stage is an installation for one failpoint.
type stage struct {
	*rig
	point string
	dice  dice
	disk  *smallDisk // of its data directory, where it has to get full
	// elsewhere are the starts that did not come to the point in time and were
	// killed wherever they were: these may repeat what was posted just then.
	elsewhere map[int]bool

	mu     sync.Mutex
	poison map[int]bool // webhooks that the chat refuses
}

// ways lead webhooks past a failpoint, where the ordinary way does not. They
// return when ctx ends, which it does when the relay dies.
var ways = map[string]func(s *stage, ctx context.Context){
	"parking":     (*stage).park,
	"parked":      (*stage).park,
	"parked-read": (*stage).park,
	"burying":     (*stage).refuse,
	"buried":      (*stage).refuse,
	"rebuilding":  (*stage).fill,
}

// killAt kills a relay at one failpoint, again and again on the same directory.
func (b *bench) killAt(ctx context.Context, point string) {
	p := &plan{dests: []destination{{hook: b.secret("d0")}}, homes: []target{{0, "p0"}, {0, "p1"}}}
	if slices.Contains(forked, point) {
		p.shared = []target{{0, "reviews"}}
	}
	args := []string{"--pace", "0.01"}
	count := b.count
	if slices.Contains(slow, point) {
		args, count = append(args, "--history", "0"), max(1, count/10)
	} else if slices.Contains(seldom, point) {
		count = max(1, count/5)
	}
	r, err := b.rig(p, args...)
	if err != nil {
		b.violate(crash, "at %s: %v", point, err)
		return
	}
	defer r.close()
	s := &stage{rig: r, point: point, dice: roll(b.seed, uint64(len(point))), poison: map[int]bool{}, elsewhere: map[int]bool{}}
	if point == "rebuilding" {
		// Only a stream that runs into the end of its disk ends the server; before
		// the end of the whole disk the relay stops writing by itself.
		if s.disk, err = r.streamDisk(ctx, "RELAY_EVENTS"); errors.Is(err, errSkip) {
			b.printf("%-20s %v", point, err)
			return
		} else if err != nil {
			b.violate(crash, "at %s: %v", point, err)
			return
		}
	}
	s.heal(ctx) // a first start, so that there is something to recover
	kills := 0
	for range count {
		if ctx.Err() != nil || r.stopped {
			return
		}
		if s.round(ctx) {
			kills++
		}
	}
	// Also what is read alone when the relay dies is not given up for one death.
	v := r.judge(rules{mayDie: func(n int, _ address) bool { return s.poisoned(n) }})
	b.add("kills", kills)
	b.add("lost", v.lost)
	b.add("repeats where posted and not recorded", v.repeats)
	if kills == 0 {
		b.violate(untrue, "the relay never came to %s", point)
	}
	for epoch, repeats := range v.crashes {
		if !slices.Contains(windows, point) && !s.elsewhere[epoch] {
			b.violate(duplicate, "%d repeats after the kill of start %d at %s", repeats, epoch, point)
		}
	}
	b.add("kills elsewhere", len(s.elsewhere))
	b.printf("%-20s kills %d · lost %d · repeats %d", point, kills, v.lost, v.repeats)
}

// answer makes the chat take everything but poison; where a fan-out is cut,
// slowly enough that nothing of it has got through.
func (s *stage) answer() {
	if len(s.plan.shared) > 0 {
		s.chat.Set(s.plan.dests[0].hook, chat.Delay(100*time.Millisecond))
		return
	}
	s.chat.Set(s.plan.dests[0].hook, chat.Func(func(x *chat.Exchange) {
		if m := markers.FindStringSubmatch(string(x.Entry.Raw)); m != nil && s.poisonedMarker(m[0]) {
			x.Answer(400, nil, chat.ErrorBody("refused"))
			return
		}
		x.OK()
	}))
}

func (s *stage) poisonedMarker(marker string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.poison {
		if s.ledger.marker(n) == marker {
			return true
		}
	}
	return false
}

func (s *stage) poisoned(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poison[n]
}

// round starts the relay with the failpoint armed, leads webhooks past it until
// it dies, and starts it again without. It tells whether the relay died there.
func (s *stage) round(ctx context.Context) bool {
	passing := 1
	way := ways[s.point]
	if way == nil {
		way = (*stage).walk
		if !slices.Contains(slow, s.point) && !slices.Contains(seldom, s.point) && s.point != "takeover" && s.point != "recovering" {
			passing = 1 + s.dice.IntN(6)
		}
	}
	if s.point == "marked" {
		s.dieAgain(ctx)
	}
	err := s.start(ctx, fmt.Sprintf("RELAY_FAILPOINT=%s:%d", s.point, passing))
	if err == nil {
		walk, cancel := context.WithTimeout(ctx, 75*time.Second)
		go func() {
			<-s.process.ended
			cancel()
		}()
		way(s, walk)
		cancel()
	}
	died := !s.process.alive()
	if !died {
		s.killElsewhere()
	}
	s.crashed = true
	if status, ok := s.process.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		s.b.violate(crash, "at %s the relay ended by itself: %s: %s", s.point, s.process.cmd.ProcessState, s.tail(3))
	}
	s.heal(ctx)
	return died
}

// heal starts the relay as it is usually started, and waits until all has
// arrived.
func (s *stage) heal(ctx context.Context) {
	if s.disk != nil {
		s.disk.empty()
	}
	s.answer()
	if s.mustStart(ctx) != nil {
		return
	}
	for tries := 0; tries < 10 && s.ledger.missing(s.plan.label) > 0 && ctx.Err() == nil; tries++ {
		s.drain(ctx, 3*time.Second)
		if s.ledger.missing(s.plan.label) > 0 {
			s.nudge(ctx)
		}
	}
	s.quiet(ctx)
	s.terminate(syscall.SIGTERM)
}

// nudge sends a webhook that the chat takes: only then is one that it refuses
// given up.
func (s *stage) nudge(ctx context.Context) {
	n, _ := s.send(1, kinds[0], 100)
	for ctx.Err() == nil && s.process.alive() && !s.ledger.arrived(n, s.plan.address(s.plan.homes[1])) {
		pause(ctx, 5*time.Millisecond)
	}
}

// walk sends one webhook after the other, each when the last one's outcome is
// in the journal.
func (s *stage) walk(ctx context.Context) {
	for ctx.Err() == nil {
		s.send(s.dice.IntN(len(s.plan.homes)), kinds[s.dice.IntN(len(kinds))], 100)
		for ctx.Err() == nil && s.process.alive() && s.ledger.missing(s.plan.label) > 0 {
			s.drain(ctx, 10*time.Second)
		}
		s.quiet(ctx)
		if slices.Contains(slow, s.point) {
			pause(ctx, 200*time.Millisecond)
		}
	}
}

// park lets a lane fail until it is parked, and then lets it drain.
func (s *stage) park(ctx context.Context) {
	for ctx.Err() == nil {
		s.chat.Set(s.plan.dests[0].hook, chat.Status(500, nil, ""))
		for range 4 {
			s.send(0, kinds[0], 100)
		}
		for ctx.Err() == nil && s.metric(ctx, "relay_deliveries_parked_total") == 0 {
			pause(ctx, 10*time.Millisecond)
		}
		s.answer()
		s.drain(ctx, 10*time.Second)
	}
}

// refuse sends a webhook that the chat does not take, and others that it takes
// until that one is given up.
func (s *stage) refuse(ctx context.Context) {
	for ctx.Err() == nil {
		n := s.ledger.count().sent
		s.mu.Lock()
		s.poison[n] = true
		s.mu.Unlock()
		s.send(0, kinds[0], 100)
		for dead := s.ledger.deaths(); ctx.Err() == nil && s.ledger.deaths() == dead; {
			pause(ctx, 100*time.Millisecond)
			s.nudge(ctx)
			for since := time.Now(); time.Since(since) < 3*time.Second && ctx.Err() == nil && s.ledger.deaths() == dead; {
				pause(ctx, 20*time.Millisecond)
			}
		}
	}
}

// fill takes the disk away under load.
func (s *stage) fill(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.disk.fill(); err != nil {
			s.b.violate(crash, "%v", err)
			return
		}
		for range 5 {
			s.send(0, kinds[0], 100)
		}
		s.disk.empty()
		pause(ctx, time.Second)
	}
}

// dieAgain makes one webhook the oldest unsettled one of three starts running,
// beside the one in which it came.
func (s *stage) dieAgain(ctx context.Context) {
	for range 4 {
		if s.start(ctx, "RELAY_FAILPOINT=rendered:1") == nil {
			if s.ledger.missing(s.plan.label) == 0 {
				s.send(0, kinds[0], 100)
			}
			s.died(ctx, 10*time.Second)
		}
		if s.process.alive() {
			s.killElsewhere()
		}
		s.crashed = true
	}
}

// killElsewhere kills the relay where it is.
func (s *stage) killElsewhere() {
	s.elsewhere[s.ledger.epoch()] = true
	s.kill()
}
