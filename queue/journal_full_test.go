package queue

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fillJournal writes until the journal takes nothing more, and returns the
// channel on which the write that waits will end.
func fillJournal(t *testing.T, j *Journal) <-chan error {
	t.Helper()
	waiting := make(chan error, 1)
	for n := uint64(1); n < 1000; n++ {
		go func() {
			waiting <- j.Write(t.Context(), &Decision{ID: ID{n, 0}, Title: incompressible(64 << 10), Outcome: OutcomeUnrouted})
		}()
		for !j.stuck.Load() {
			select {
			case err := <-waiting:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(5 * time.Millisecond):
				continue
			}
			break
		}
		if j.stuck.Load() {
			return waiting
		}
	}
	t.Fatal("the journal takes everything")
	return nil
}

// Something old is unsettled while the journal fills: dispatch stops, webhooks
// are taken, and when it is settled all goes on.
func TestFullJournalHealsByItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opt := Options{Dir: dir, MaxBody: 256 << 10, JournalSize: 1 << 20}
	q := open(t, opt)
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var floor atomic.Uint64
	j.Checkpoints(func() Checkpoint { return Checkpoint{Journal: floor.Load()} })
	waiting := fillJournal(t, j)
	if err := q.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "journal") {
		t.Errorf("ready: %v", err)
	}
	store(t, q, `{}`)
	select {
	case err := <-waiting:
		t.Fatalf("what has no room was written: %v", err)
	default:
	}

	floor.Store(j.Last())
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	if err := q.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
	if err := j.Write(t.Context(), &Settled{ID: ID{7, 0}, Lane: Lane{"mm", ""}, Outcome: OutcomeDelivered}); err != nil {
		t.Fatal(err)
	}
	q.Close() // and not the journal

	q = open(t, opt)
	_, state, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.Settled[Settlement{ID{7, 0}, Lane{"mm", ""}}] != OutcomeDelivered {
		t.Errorf("what was written last is forgotten: %+v", state)
	}
}

// A relay that dies with a full journal starts again.
func TestFullJournalIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	opt := Options{Dir: dir, MaxBody: 256 << 10, JournalSize: 1 << 20}
	q := open(t, opt)
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	j.Checkpoints(func() Checkpoint { return Checkpoint{} })
	waiting := fillJournal(t, j)
	q.Close()
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("what waited: %v", err)
	}
	for range 3 {
		q = open(t, opt)
		if _, _, err := q.Lead(t.Context()); err != nil {
			t.Fatal(err)
		}
		q.Close()
	}
}

// Another relay takes over while the journal is full: the one that has lost it is
// a standby, which takes webhooks and is ready.
func TestStandbyIsReadyThoughItsJournalWasFull(t *testing.T) {
	t.Parallel()
	opt := Options{URL: external(t).ClientURL(), MaxBody: 256 << 10, JournalSize: 1 << 20, TakeoverWait: 50 * time.Millisecond}
	first, second := open(t, opt), open(t, opt)
	lost, _, err := first.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lost.Close()
	waiting := fillJournal(t, lost)
	if err := first.Ready(t.Context()); err == nil {
		t.Error("ready, though nothing is delivered")
	}
	won, _, err := second.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer won.Close()
	if err := <-waiting; !errors.Is(err, ErrFenced) && !errors.Is(err, ErrClosed) {
		t.Errorf("what waited: %v, want ErrFenced", err)
	}
	<-lost.Lost()
	if err := first.Ready(t.Context()); err != nil {
		t.Errorf("the standby: %v", err)
	}
	if _, err := first.Park(t.Context(), Lane{"mm", ""}, []Parked{{ID: ID{1, 0}, Webhook: *hook(`{}`)}}); !errors.Is(err, ErrFenced) {
		t.Errorf("the standby's append: %v, want ErrFenced", err)
	}
}

// A lane's state and the checkpoint that counts on it are noted while a message
// is being made: they go out together or the state goes first.
func TestCheckpointWaitsForWhatItCountsOn(t *testing.T) {
	q := open(t, Options{})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var recorded atomic.Uint64
	j.Checkpoints(func() Checkpoint {
		// The lane records between the moment the journal asks and the message.
		c := Checkpoint{Journal: recorded.Load()}
		if c.Journal == 0 {
			recorded.Store(j.Last())
			j.Note(&LaneState{Lane: Lane{"mm", ""}, State: LaneParked, Reason: "probe"})
			c.Journal = recorded.Load()
		}
		return c
	})
	if err := j.Write(t.Context(), &Attempt{ID: ID{1, 0}}); err != nil {
		t.Fatal(err)
	}
	floor := j.Durable().Journal
	found := false
	if err := q.Entries(t.Context(), floor, func(e Entry) bool {
		for _, rec := range e.Records {
			if s, ok := rec.(*LaneState); ok && s.Reason == "probe" {
				found = true
			}
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if !found {
		t.Errorf("a start would read from %d on, and the state that this counts on is not written", floor)
	}
}
