package delivery

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
