package delivery

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
)

var laneA = queue.Lane{Destination: "a"}

// lateJournal is a journal whose first Write returns only when let go: the
// record is on disk, and the lane does not know yet.
type lateJournal struct {
	*queue.Journal
	once    sync.Once
	written chan struct{}
	let     chan struct{}
}

func (j *lateJournal) Write(ctx context.Context, recs ...queue.Record) error {
	err := j.Journal.Write(ctx, recs...)
	j.once.Do(func() { close(j.written); <-j.let })
	return err
}

// The lane parks between the record of an outcome and its landing, and records
// its state after it: that state must not take the outcome back.
func TestOutcomeRecordedWhileTheLaneParksIsKept(t *testing.T) {
	w := newWorld(t, nil)
	j := &lateJournal{Journal: w.journal, written: make(chan struct{}), let: make(chan struct{})}
	w.lanes.journal = j
	w.deliver("a", "1", "2")
	<-j.written // "1" was posted, and its outcome is on disk
	w.chat.Set("hooka", chat.Status(500, nil, ""))
	w.lanes.parkDestination(w.lanes.dests["a"], "another lane failed")
	close(j.let)
	if _, err := w.chat.WaitN(w.context(), "hooka", 2); err != nil {
		t.Fatal(err)
	}
	w.forgotten()
	w.stop()
	w.chat.Set("hooka", chat.OK())
	w.start()
	w.deliver("a", "3")
	w.last()
	equal(t, "posts", numbered(1, 3), w.posts("hooka", 3))
}

// floors has the journal carry what the lanes need of it, as a dispatcher does.
func (w *world) floors() {
	w.journal.Checkpoints(func() queue.Checkpoint { return queue.Checkpoint{Journal: w.lanes.Floor(w.journal.Last())} })
}

// unpurged is a parking from which nothing can be dropped.
type unpurged struct{ Parking }

func (unpurged) PurgeParked(context.Context, queue.Lane, uint64) error { return errors.New("timeout") }

// A lane has worked off its line and is open, but the line is still there when
// the relay ends: what the journal says of it must be found at the next start.
func TestLineThatIsNotDroppedIsNotPostedAgain(t *testing.T) {
	w := newWorld(t, nil)
	w.floors()
	w.lanes.parking = unpurged{w.queue}
	w.chat.Set("hooka", chat.Status(500, nil, ""))
	w.deliver("a", numbered(1, 5)...)
	w.forgotten()
	w.chat.Set("hooka", chat.OK())
	w.deliver("a", "6")
	w.opened(laneA)
	for range 3 { // the floor moves on, as far as it may
		if err := w.journal.Write(w.context()); err != nil {
			t.Fatal(err)
		}
	}
	w.stop()
	w.start()
	w.deliver("a", "7")
	w.last()
	equal(t, "posts", numbered(1, 7), w.posts("hooka", 7))
}

// A destination holds its share of RELAY_PARKED and more waits to be appended:
// the oldest are given up, and said to be. Whatever is left comes in order.
func TestFullParkingGivesUpTheOldest(t *testing.T) {
	const n = 160 // of 8 KiB: more than fits, and one message of them does
	w := newWorld(t, func(w *world) { w.sizes.ParkedSize = 1 << 20 })
	w.chat.Set("hooka", chat.Status(500, nil, ""))
	random := rand.NewChaCha8([32]byte{})
	for i := range n {
		ballast := make([]byte, 4<<10)
		_, _ = random.Read(ballast)
		w.bulky("a", fmt.Sprint(i+1), hex.EncodeToString(ballast))
	}
	w.forgotten()
	w.chat.Set("hooka", chat.OK())
	w.last()
	settled := w.settled(n)
	var want []string
	for i := range n {
		if settled[uint64(i+1)] == queue.OutcomeDelivered {
			want = append(want, fmt.Sprint(i+1))
		}
	}
	equal(t, "posts", want, chat.Texts(w.chat.Posts("hooka")))
	dead := 0
	if err := w.queue.DeadLetters(w.context(), func(_ uint64, d queue.Dead) bool { dead++; return true }); err != nil {
		t.Fatal(err)
	}
	// One that the chat takes while its room is given away is both: rather that than neither.
	if dead == 0 || dead+len(want) < n {
		t.Errorf("%d dead letters and %d posts of %d deliveries", dead, len(want), n)
	}
}

// parcel is the sequence in RELAY_PARKED of a delivery to a.
func (w *world) parcel(id uint64) uint64 {
	w.t.Helper()
	for after := uint64(0); ; {
		seq, batch, err := w.queue.NextParked(w.context(), laneA, after)
		if err != nil || seq == 0 {
			w.t.Fatalf("%d is not parked: %v", id, err)
		}
		if slices.ContainsFunc(batch, func(p queue.Parked) bool { return p.ID.Seq == id }) {
			return seq
		}
		after = seq
	}
}

// laneIs waits for something about a lane.
func (w *world) laneIs(what string, is func(*lane) bool) {
	w.t.Helper()
	l := w.lanes.lane(laneA)
	w.until(what, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return is(l)
	})
}

// What is given up for want of room is not posted, wherever its lane has it at
// that moment.
func TestGivenUpIsNotPosted(t *testing.T) {
	failing := chat.Status(500, nil, "")
	waiting := chat.Func(func(x *chat.Exchange) {
		if x.Wait() {
			x.Answer(500, nil, "")
		}
	})
	oneByOne := func(w *world) {
		for _, title := range numbered(1, 4) {
			w.deliver("a", title)
			w.forgotten()
		}
	}
	parkedUnderWay := func(w *world) {
		w.deliver("a", numbered(1, 3)...)
		if _, err := w.chat.WaitN(w.context(), "hooka", 1); err != nil {
			t.Fatal(err)
		}
		w.lanes.parkDestination(w.lanes.dests["a"], "another lane failed")
		w.forgotten()
	}
	const short, long = time.Millisecond, time.Hour
	for name, c := range map[string]struct {
		chat   chat.Behaviour
		paused []time.Duration
		park   func(*world)
		of     uint64 // the delivery whose parked message is given up
		dead   []uint64
		posts  []string
	}{
		"not read yet": {failing, []time.Duration{long}, oneByOne, 2, []uint64{2}, []string{"1", "3", "4", "5"}},
		"to be tried again": {failing, []time.Duration{short, short, short, short, short, short, long}, func(w *world) {
			oneByOne(w)
			w.laneIs("the second was sent past the first", func(l *lane) bool {
				_, _, until := l.dest.status()
				return len(l.again) > 0 && time.Until(until) > long/2
			})
		}, 2, []uint64{2}, []string{"1", "3", "4", "5"}},
		"waiting at the head": {failing, []time.Duration{long}, func(w *world) {
			oneByOne(w)
			w.laneIs("the first is read", func(l *lane) bool { return len(l.flying) == 1 && l.flying[0].fromLine() })
		}, 1, []uint64{1}, []string{"2", "3", "4", "5"}},
		"under way, the rest not read": {waiting, []time.Duration{long}, parkedUnderWay, 1, []uint64{1, 2, 3}, []string{"5"}},
		"read together with the head": {waiting, []time.Duration{long}, func(w *world) {
			parkedUnderWay(w)
			w.chat.Release("hooka")
			w.laneIs("the first is read", func(l *lane) bool { return len(l.flying) == 1 && l.flying[0].fromLine() })
		}, 1, []uint64{1, 2, 3}, []string{"5"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.limits.inPlace, w.limits.paused = nil, c.paused })
			w.chat.Set("hooka", c.chat)
			c.park(w)
			if err := w.lanes.giveUp(laneA, w.parcel(c.of), queue.ErrFull); err != nil {
				t.Fatal(err)
			}
			w.chat.Release("hooka")
			w.laneIs("the head waits", func(l *lane) bool {
				return l.dest.paused() && !slices.ContainsFunc(l.flying, func(j *job) bool { return !j.began.IsZero() })
			})
			w.chat.Set("hooka", chat.OK())
			w.seq = 4
			w.deliver("a", "5")
			w.forgotten()
			w.lanes.Retry(func(configs.Address) bool { return true })
			w.last()
			w.opened(laneA)
			equal(t, "posts", c.posts, chat.Texts(w.chat.Posts("hooka")))
			equal(t, "dead letters", c.dead, slices.Sorted(maps.Keys(w.deaths())))
			if held := w.statusOf("a").Held; held != 0 {
				t.Errorf("%d are held", held)
			}
		})
	}
}

// A lane that reads on meanwhile posts nothing of what it has just read.
func TestGivenUpWhileItIsRead(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.paused = []time.Duration{time.Hour} })
	w.chat.Set("hooka", chat.Status(500, nil, ""))
	for _, title := range numbered(1, 3) {
		w.deliver("a", title)
		w.forgotten()
	}
	second := w.parcel(2)
	slow := &slowParking{Parking: w.queue, seq: second, read: make(chan struct{}), let: make(chan struct{})}
	w.lanes.parking = slow
	w.chat.Set("hooka", chat.OK())
	w.lanes.Retry(func(configs.Address) bool { return true })
	<-slow.read
	if err := w.lanes.giveUp(laneA, second, queue.ErrFull); err != nil {
		t.Fatal(err)
	}
	close(slow.let)
	w.opened(laneA)
	equal(t, "posts", []string{"1", "3"}, chat.Texts(w.chat.Posts("hooka")))
}

// slowParking is a parking that hands one message over only when let go, the first
// time that it is read.
type slowParking struct {
	Parking
	seq  uint64
	held atomic.Bool
	read chan struct{}
	let  chan struct{}
}

func (s *slowParking) NextParked(ctx context.Context, lane queue.Lane, after uint64) (uint64, []queue.Parked, error) {
	seq, batch, err := s.Parking.NextParked(ctx, lane, after)
	if seq == s.seq && s.held.CompareAndSwap(false, true) {
		close(s.read)
		<-s.let
	}
	return seq, batch, err
}

// Messages that were parked one by one, and sent past each other, are given up
// again and again while their destination fails: a dead letter is never posted.
func TestGivenUpWhileTheLaneFails(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.sizes = queue.Options{MaxBody: 1 << 20, ParkedSize: 1 << 20}
		w.limits.inPlace, w.limits.paused = nil, []time.Duration{time.Millisecond}
	})
	w.chat.Set("hooka", chat.Status(500, nil, ""))
	random := rand.NewChaCha8([32]byte{})
	park := func(from, to int) {
		for _, title := range numbered(from, to) {
			ballast := make([]byte, 25<<10)
			_, _ = random.Read(ballast)
			w.bulky("a", title, hex.EncodeToString(ballast))
			w.forgotten()
		}
	}
	park(1, 8)
	w.laneIs("some were sent past others", func(l *lane) bool { return len(l.again) > 3 })
	park(9, 20)
	w.chat.Set("hooka", chat.OK())
	w.opened(laneA)
	dead := w.deaths()
	var want []string
	for _, title := range numbered(1, 20) {
		id, _ := strconv.ParseUint(title, 10, 64)
		if _, ok := dead[id]; !ok {
			want = append(want, title)
		}
	}
	got := chat.Texts(w.chat.Posts("hooka"))
	slices.SortFunc(got, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	equal(t, "posts, of what is no dead letter", want, got)
	if len(dead) == 0 {
		t.Error("nothing was given up")
	}
}

// unkept is a parking that cannot keep the first dead letter at once.
type unkept struct {
	Parking
	tries atomic.Int64
}

func (u *unkept) Bury(ctx context.Context, d *queue.Dead) (uint64, error) {
	if u.tries.Add(1) == 1 {
		return 0, errors.New("look at RELAY_DEAD: timeout")
	}
	return u.Parking.Bury(ctx, d)
}

// A delivery that came from memory is given up and cannot be kept as a dead
// letter: nobody else has it.
func TestBurialThatFailsIsRepeated(t *testing.T) {
	w := newWorld(t, nil)
	w.lanes.parking = &unkept{Parking: w.queue}
	w.deliver("a", "broken", "2")
	equal(t, "outcomes", map[uint64]string{1: queue.OutcomeDead, 2: queue.OutcomeDelivered}, w.settled(2))
	w.forgotten()
}

// dying is a parking that keeps one dead letter, and then the process is dead.
type dying struct {
	Parking
	buried atomic.Int64
}

func (d *dying) Bury(ctx context.Context, l *queue.Dead) (uint64, error) {
	if d.buried.Add(1) > 1 {
		return 0, errors.New("killed")
	}
	return d.Parking.Bury(ctx, l)
}

// A start dies while it buries what is parked for a destination that is gone.
// What it wrote meanwhile carries a floor, and must not be above what the other
// lanes have recorded. The lanes are resumed in any order: with many that are
// gone, one of them would come first.
func TestBurialsAtTheStartKeepTheOtherLanesProgress(t *testing.T) {
	w := newWorld(t, nil)
	w.floors()
	for _, hook := range []string{"hooka", "hookb"} {
		w.chat.Set(hook, chat.Status(500, nil, ""))
	}
	for i := range 12 {
		w.deliver(fmt.Sprintf("a#gone%d", i), "x")
	}
	w.deliver("b", numbered(1, 5)...)
	w.forgotten()
	var took atomic.Int64
	w.chat.Set("hookb", chat.Func(func(x *chat.Exchange) {
		if took.Add(1) > 3 {
			x.Answer(500, nil, "")
			return
		}
		x.OK()
	}))
	w.settled(3)
	w.stop()

	w.dests = w.dests[1:]
	w.open()
	w.floors()
	w.lanes.parking = &dying{Parking: w.queue}
	if err := w.lanes.Resume(t.Context(), w.state.Lanes); err == nil {
		t.Fatal("it did not die")
	}
	w.queue.Close() // nothing more reaches the disk
	w.lanes.Halt()
	w.journal.Close()

	w.chat.Set("hookb", chat.OK())
	w.start()
	w.deliver("b", "6")
	w.last()
	w.until("the last is there", func() bool { return slices.Contains(chat.Texts(w.chat.Posts("hookb")), "6") })
	posts := slices.Compact(chat.Texts(w.chat.Posts("hookb"))) // an attempt that was cut off can arrive all the same
	equal(t, "posts", numbered(1, 6), posts)
}

// grownJournal is a journal that is longer than it is.
type grownJournal struct {
	*queue.Journal
	by atomic.Uint64
}

func (g *grownJournal) Last() uint64 { return g.Journal.Last() + g.by.Load() }

// A destination that stays away must not keep the journal from being tidied:
// its lanes record anew where they are.
func TestParkedLaneDoesNotPinTheJournal(t *testing.T) {
	var grown *grownJournal
	w := newWorld(t, func(w *world) {
		w.limits.paused = []time.Duration{time.Hour}
		w.through = func(j *queue.Journal) Journal { grown = &grownJournal{Journal: j}; return grown }
	})
	w.chat.Set("hooka", chat.Status(500, nil, ""))
	w.deliver("a", "1")
	w.forgotten()
	before := w.lanes.Floor(grown.Last())
	grown.by.Store(stale + 2)
	w.lanes.lane(laneA).tooOld(time.Now())
	if after := w.lanes.Floor(grown.Last()); after <= before+stale {
		t.Errorf("the floor stays at %d while the journal goes to %d", after, grown.Last())
	}
}

// fencedJournal is that of a relay that was overtaken and has not heard of it.
type fencedJournal struct{ *queue.Journal }

func (fencedJournal) Write(context.Context, ...queue.Record) error { return queue.ErrFenced }

func fenced(j *queue.Journal) Journal { return fencedJournal{j} }

// halted waits until the lanes have stopped of themselves.
func (w *world) halted() {
	w.t.Helper()
	select {
	case <-w.lanes.kill.Done():
	case <-w.context().Done():
		w.t.Fatal("the lanes go on")
	}
	w.lanes.Halt()
}

// The first outcome that cannot be recorded is how a lane learns of the
// takeover: the relay that has taken over posts the rest.
func TestOvertakenRelayPostsNothingMore(t *testing.T) {
	t.Run("from memory", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.through = fenced })
		w.deliver("a", numbered(1, 40)...)
		w.halted()
		if n := w.chat.Count("hooka"); n != 1 {
			t.Errorf("%d posts, want the one that was under way", n)
		}
	})
	t.Run("from the line", func(t *testing.T) {
		w := newWorld(t, nil)
		w.chat.Set("hooka", chat.Status(500, nil, ""))
		w.deliver("a", numbered(1, 10)...)
		w.forgotten()
		w.stop()
		w.chat.ResetLedger()
		w.chat.Set("hooka", chat.OK())
		w.through = fenced
		w.start()
		w.halted()
		if n := w.chat.Count("hooka"); n != 1 {
			t.Errorf("%d posts, want the one that was under way", n)
		}
	})
}

// Eight are under way when a reload allows one: as they end, no worker but one
// goes on.
func TestReloadLowersTheConcurrency(t *testing.T) {
	w := newWorld(t, func(w *world) { w.dests[0].Concurrency = 8 })
	w.chat.Set("hooka", chat.Hang())
	w.deliver("a", numbered(1, 40)...)
	if _, err := w.chat.WaitN(w.context(), "hooka", 8); err != nil {
		t.Fatal(err)
	}
	w.dests[0].Concurrency = 1
	w.lanes.Update(w.prepared(w.dests))
	w.chat.Release("hooka")
	if _, err := w.chat.WaitN(w.context(), "hooka", 9); err != nil {
		t.Fatal(err)
	}
	l := w.lanes.lane(laneA)
	l.mu.Lock()
	workers := l.workers
	l.mu.Unlock()
	if workers != 1 {
		t.Errorf("%d workers go on, want 1", workers)
	}
	w.chat.Set("hooka", chat.OK())
	w.chat.Release("hooka")
	w.posts("hooka", 40)
}

// A reload moves the destination while a message that failed waits to be tried
// again in place: it goes to the new URL. The lane is held where it is about to
// wait.
func TestReloadMovesWhatIsTriedAgainInPlace(t *testing.T) {
	noted := make(chan struct{})
	w := newWorld(t, func(w *world) {
		w.through = func(j *queue.Journal) Journal { return &notedJournal{Journal: j, noted: noted} }
	})
	l := w.lanes.lane(laneA)
	var once sync.Once
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		once.Do(l.mu.Lock)
		x.Answer(500, nil, "")
	}))
	w.deliver("a", "1")
	<-noted // the attempt has failed
	old := l.dest.config.Load()
	w.dests[0].URL = configs.NewSecret(w.chat.URL("moved"))
	moved := w.prepared(w.dests)
	updated := make(chan struct{})
	go func() {
		w.lanes.Update(moved)
		close(updated)
	}()
	for ctx := w.context(); l.dest.config.Load() == old && ctx.Err() == nil; {
		_ = w.journal.Write(ctx)
	}
	l.mu.Unlock()
	<-updated
	equal(t, "posts", []string{"1"}, w.posts("moved", 1))
	if n := w.chat.Count("hooka"); n != 1 {
		t.Errorf("%d requests at the old URL, want 1", n)
	}
}

// notedJournal tells when the first failed attempt was noted.
type notedJournal struct {
	*queue.Journal
	once  sync.Once
	noted chan struct{}
}

func (n *notedJournal) Note(recs ...queue.Record) {
	n.Journal.Note(recs...)
	if _, ok := recs[0].(*queue.Attempt); ok {
		n.once.Do(func() { close(n.noted) })
	}
}
