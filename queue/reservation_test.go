package queue

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// The power fails and takes the last writes with it: ids that were given out
// are not given again.
func TestNoIDIsGivenAgainAfterAPowerCut(t *testing.T) {
	opt := Options{Dir: t.TempDir(), Interval: true}
	q := open(t, opt)
	store(t, q, `{"kept":true}`)
	cut := snapshot(t, opt.Dir)
	var lost ID
	for range 3 {
		lost = store(t, q, `{"lost":true}`)
	}
	for range 2 { // the second start is killed before anything comes
		opt.Dir = cut
		q = open(t, opt)
		cut = snapshot(t, opt.Dir)
	}
	if id := store(t, q, `{"new":true}`); !lost.Less(id) {
		t.Errorf("%s was given out, then %s", lost, id)
	}
}

// The journal has reached the disk and the events that it speaks of have not.
func TestJournalThatOutlivesItsEvents(t *testing.T) {
	opt := Options{Dir: t.TempDir(), Interval: true}
	q := open(t, opt)
	store(t, q, `{"kept":true}`)
	before := snapshot(t, opt.Dir)
	settled := next(t, q, store(t, q, `{"lost":true}`).Seq-1)
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	j.Checkpoints(func() Checkpoint { return Checkpoint{Cursor: settled.Seq, Nonce: settled.Nonce, Journal: j.Last()} })
	if err := j.Write(t.Context(), &Settled{ID: ID{settled.Seq, 0}, Outcome: OutcomeDelivered}); err != nil {
		t.Fatal(err)
	}
	lost := store(t, q, `{"lost":true}`)
	q.Close()

	events := filepath.Join("jetstream", "$G", "streams", Events)
	if err := os.RemoveAll(filepath.Join(opt.Dir, events)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(opt.Dir, events), os.DirFS(filepath.Join(before, events))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		q = open(t, opt)
		if _, _, err := q.Lead(t.Context()); err != nil {
			t.Fatalf("the relay does not start any more: %v", err)
		}
		if id := store(t, q, `{"new":true}`); !lost.Less(id) {
			t.Errorf("%s was given out, then %s", lost, id)
		}
		q.Close()
	}
}

// After an end in good order no id is passed over; and a relay that syncs every
// write still refuses a store that was cut off.
func TestEndInGoodOrderPassesNothingOver(t *testing.T) {
	opt := Options{Dir: t.TempDir(), Interval: true}
	q := open(t, opt)
	id := store(t, q, `{}`)
	q.Close()
	opt.Interval = false
	q = open(t, opt)
	if again := store(t, q, `{}`); again.Seq != id.Seq+1 {
		t.Errorf("%s, then %s", id, again)
	}
	if _, err := os.Stat(filepath.Join(opt.Dir, reservationFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", reservationFile, err)
	}
}

// Where ids cannot be reserved nothing is accepted.
func TestNothingIsAcceptedWithoutAReservedID(t *testing.T) {
	opt := Options{Dir: t.TempDir(), Interval: true}
	q := open(t, opt)
	store(t, q, `{}`)
	q.reserved.mu.Lock()
	q.reserved.top, q.reserved.path = 0, filepath.Join(opt.Dir, "gone", reservationFile)
	q.reserved.mu.Unlock()
	if id, err := q.Store(t.Context(), hook(`{}`)); !errors.Is(err, ErrDown) {
		t.Errorf("accepted as %s: %v", id, err)
	}
}

// So is the id of a replay reserved before it is given out.
func TestReplayTakesAReservedID(t *testing.T) {
	opt := Options{Dir: t.TempDir(), Interval: true}
	q := open(t, opt)
	first := store(t, q, `{}`)
	q.reserved.mu.Lock()
	err := q.reserved.set(first.Seq)
	q.reserved.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	id, err := q.StoreReplay(t.Context(), hook(`{}`), Replay{Of: first}, "k")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(opt.Dir, reservationFile))
	if err != nil || parseSeq(text) < id.Seq {
		t.Errorf("%s was given out, ids up to %s are reserved (%v)", id, text, err)
	}
}
