package queue

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestJournalCarriesEveryRecord(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	j, state, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.Checkpoint != (Checkpoint{}) || len(state.Settled)+len(state.Lanes) != 0 {
		t.Errorf("a new queue's state is %+v", state)
	}
	at := time.UnixMicro(1700000000123456)
	lane := Lane{"mm", "@ali.ce"}
	records := []Record{
		&Decision{
			ID{3, 1}, at, "gitlab", "push", "acme/api", "Fix", OutcomeUnrouted, []Planned{{lane, "Reviews", ""}}, []Planned{{lane, "X", "confidential"}}, "Main", "branches: want main, got x",
			at.Add(-time.Second), Replay{ID{2, 0}, "mm#dev"}, []Planned{{lane, "Y", "the same webhook came as 1-0"}}, true, "ada",
		},
		&Attempt{ID{3, 1}, lane, at, 2, 503, "server_error", "503 Service Unavailable", time.Second},
		&Settled{ID{3, 1}, lane, at, OutcomeDelivered, 3, 200, "ok", time.Millisecond, Place{7, 2}, 9},
		&LaneState{lane, at, LaneParked, "server_error", Place{7, 2}, []ID{{3, 4}}, Place{8, 1}},
		&takeover{Nonce{1}, at},
		&released{Nonce{2}, at},
		&Mark{ID{3, 1}, at, true, lane, Place{7, 1}, 1},
	}
	j.Note(records[:2]...)
	if err := j.Write(t.Context(), records[2:]...); err != nil {
		t.Fatal(err)
	}
	j.Close()
	var got []Record
	if err := q.Entries(t.Context(), 1, func(e Entry) bool { got = append(got, e.Records...); return true }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(records, got[:len(got)-1]); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if _, ok := got[len(got)-1].(*released); !ok {
		t.Errorf("the journal ends with %T", got[len(got)-1])
	}
}

func TestOneSyncServesManyWriters(t *testing.T) {
	q := open(t, Options{})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	const writers = 200
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if err := j.Write(t.Context(), &Settled{ID: ID{1, i}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := j.Last(); n >= writers {
		t.Errorf("%d writes took %d messages", writers, n)
	}
}

func TestRecoverySkipsWhatIsSettled(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	for range 4 {
		store(t, q, `{}`)
	}
	first := next(t, q, 0)
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, b := Lane{"mm", "a"}, Lane{"mm", "b"}
	seq, err := q.Park(t.Context(), b, []Parked{{ID: ID{2, 0}, Webhook: *hook(`{}`)}, {ID: ID{3, 0}, Webhook: *hook(`{}`)}})
	if err != nil {
		t.Fatal(err)
	}
	j.Checkpoints(func() Checkpoint { return Checkpoint{Cursor: 1, Nonce: first.Nonce, Journal: 1} })
	if err := j.Write(t.Context(),
		&LaneState{Lane: b, State: LaneParked, Reason: "timeout"},
		&Settled{ID: ID{1, 0}, Lane: a},
		&Settled{ID: ID{3, 0}, Lane: a, Outcome: OutcomeDelivered},
		&Settled{ID: ID{2, 0}, Lane: b, Outcome: OutcomeDead, From: Place{seq, 0}},
		&Decision{ID: ID{1, 0}, Repeats: []Planned{{b, "R", "settled"}}},
		&Decision{ID: ID{4, 0}, Repeats: []Planned{{a, "R", "the same"}, {b, "R", "the same"}}},
		&Decision{ID: ID{4, 0}, Deliveries: []Planned{{a, "R", ""}}, Repeats: []Planned{{b, "R", "the same again"}}, Again: true},
	); err != nil {
		t.Fatal(err)
	}
	// No Close of the journal: the process was killed.
	q.Close()

	q = open(t, Options{Dir: dir})
	_, state, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := &State{
		Checkpoint: Checkpoint{Cursor: 1, Nonce: first.Nonce, Journal: 1},
		Starts:     1,
		Heads:      1,
		Decided:    ID{4, 0},
		Settled:    map[Settlement]string{{ID{3, 0}, a}: OutcomeDelivered, {ID{2, 0}, b}: OutcomeDead},
		Repeats:    map[Settlement]string{{ID{4, 0}, b}: "the same again"},
		Lanes: map[Lane]*LaneAtStart{b: {
			LaneState: LaneState{Lane: b, State: LaneParked, Reason: "timeout", Early: []ID{{2, 0}}},
			Last:      seq, Held: map[ID]bool{{2, 0}: true, {3, 0}: true},
		}},
	}
	state.Past = nil // see dispatch/past_test.go
	if diff := cmp.Diff(want, state); diff != "" {
		t.Errorf("recovered (-want +got):\n%s", diff)
	}
}

func TestOnlyOneRelayWritesTheJournal(t *testing.T) {
	q := open(t, Options{})
	first, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := first.Write(t.Context(), &Settled{}); !errors.Is(err, ErrFenced) {
		t.Errorf("the loser's write: %v, want ErrFenced", err)
	}
	<-first.Lost()
	if err := second.Write(t.Context(), &Settled{}); err != nil {
		t.Errorf("the winner's write: %v", err)
	}
}

// A publish whose answer was lost is repeated; the server then says that the
// sequence is not the expected one, because the first publish was stored.
func TestRepeatedJournalWriteIsFoundAgain(t *testing.T) {
	q := open(t, Options{})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	nonce := newNonce()
	expect := j.Last()
	data := encodeEntry(nonce, Entry{Writer: j.writer})
	if _, err := q.publish(t.Context(), subjectJournal, data, nonce, &expect); err != nil {
		t.Fatal(err)
	}
	if _, err := q.publish(t.Context(), subjectJournal, data, nonce, &expect); !errors.Is(err, ErrFenced) {
		t.Fatalf("the repeat: %v", err)
	}
	seq, err := j.ours(expect+1, nonce)
	if err != nil || seq != expect+1 {
		t.Errorf("found again: %d, %v", seq, err)
	}
	if _, err := j.ours(expect+1, newNonce()); !errors.Is(err, ErrFenced) {
		t.Errorf("another's message: %v", err)
	}
}

func TestStoreThatDoesNotFitItsJournalIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		checkpoint Checkpoint
		want       string
	}{
		"cut off":  {Checkpoint{Cursor: 9}, "RELAY_EVENTS ends at 1 but the journal has settled everything up to 9"},
		"restored": {Checkpoint{Cursor: 1, Nonce: Nonce{1}}, "event 1 in RELAY_EVENTS is not the one the journal has settled"},
	} {
		t.Run(name, func(t *testing.T) {
			q := open(t, Options{})
			store(t, q, `{}`)
			j, _, err := q.Lead(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			j.Checkpoints(func() Checkpoint { return c.checkpoint })
			j.Close()
			if _, _, err := q.Lead(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Lead: %v, want %q", err, c.want)
			}
			if err := q.Recover(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Recover: %v, want %q", err, c.want)
			}
		})
	}
}

// What Recover has read is what Lead goes on from, whatever was stored meanwhile.
func TestLeadGoesOnFromWhatRecoverHasRead(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := store(t, q, `{}`)
	j.Checkpoints(func() Checkpoint { return Checkpoint{} })
	if err := j.Write(t.Context(), &Settled{ID: first, Lane: Lane{Destination: "a"}, Outcome: OutcomeDelivered}); err != nil {
		t.Fatal(err)
	}
	j.Close()
	q.Close()

	q = open(t, Options{Dir: dir})
	if err := q.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	store(t, q, `{}`)
	_, state, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Settled) != 1 || state.Starts != 1 || state.Checkpoint.Cursor != 0 {
		t.Errorf("%d settled, start %d, cursor %d; want 1, 1 and 0", len(state.Settled), state.Starts, state.Checkpoint.Cursor)
	}
}
