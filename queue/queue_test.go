package queue

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// TestMain lets the tests that wait, for a disk or a server that is away, wait
// side by side.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "8"); err != nil { // -parallel still wins
		panic(err) // the name is the testing package's
	}
	goleak.VerifyTestMain(m)
}

// open opens an embedded queue that the test closes.
func open(t *testing.T, opt Options) *Queue {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	q, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

func hook(body string) *Webhook {
	return &Webhook{Source: "gitlab", Received: time.UnixMicro(1700000000000001), Header: []Field{{"X-Gitlab-Event", "Push Hook"}}, Body: []byte(body)}
}

func store(t *testing.T, q *Queue, body string) ID {
	t.Helper()
	id, err := q.Store(t.Context(), hook(body))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func next(t *testing.T, q *Queue, after uint64) Envelope {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	e, err := q.Next(ctx, after)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestStoredWebhooksSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	id := store(t, q, `{"a":1}`)
	want := next(t, q, 0)
	q.Close()

	q = open(t, Options{Dir: dir})
	got := next(t, q, 0)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after the restart (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(*hook(`{"a":1}`), got.Webhooks[id.Index]); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if got.Nonce == (Nonce{}) {
		t.Error("the envelope has no nonce")
	}
}

// Many at once share envelopes; every one gets the id under which it is found.
func TestCommitterGathers(t *testing.T) {
	q := open(t, Options{})
	const n = 400
	ids := make([]ID, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			id, err := q.Store(t.Context(), hook(fmt.Sprintf(`{"n":%d}`, i)))
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	envelopes := map[uint64]Envelope{}
	for after := uint64(0); after < q.tail.load(); {
		e := next(t, q, after)
		envelopes[e.Seq] = e
		after = e.Seq
	}
	for i, id := range ids {
		e := envelopes[id.Seq]
		if id.Index >= len(e.Webhooks) {
			t.Fatalf("%s is not in its envelope", id)
		}
		if got := string(e.Webhooks[id.Index].Body); got != fmt.Sprintf(`{"n":%d}`, i) {
			t.Errorf("%s holds %s, want %d", id, got, i)
		}
	}
	if len(envelopes) >= n {
		t.Errorf("%d webhooks took %d envelopes: nothing was gathered", n, len(envelopes))
	}
}

func TestLargeWebhookTravelsAlone(t *testing.T) {
	q := open(t, Options{MaxBody: 4 << 20})
	large := `{"x":"` + strings.Repeat("é0", 1<<20) + `"}`
	var wg sync.WaitGroup
	for _, body := range []string{`{"a":1}`, large, `{"b":2}`} {
		wg.Go(func() { store(t, q, body) })
	}
	wg.Wait()
	seen := 0
	for after := uint64(0); seen < 3; {
		e := next(t, q, after)
		after = e.Seq
		seen += len(e.Webhooks)
		for _, w := range e.Webhooks {
			if len(w.Body) > maxEnvelope && len(e.Webhooks) != 1 {
				t.Errorf("the large webhook shares envelope %d", e.Seq)
			}
		}
	}
}

func TestNextWaitsForWhatComes(t *testing.T) {
	q := open(t, Options{})
	got := make(chan Envelope, 1)
	go func() {
		e, err := q.Next(t.Context(), 0)
		if err != nil {
			t.Error(err)
		}
		got <- e
	}()
	store(t, q, `{}`)
	if e := <-got; len(e.Webhooks) != 1 {
		t.Errorf("got %d webhooks", len(e.Webhooks))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Next(ctx, 99); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestFullStreamSaysSo(t *testing.T) {
	q := open(t, Options{MaxBody: 1 << 20, EventsSize: 300 << 10})
	var err error
	stored := 0
	for range 100 {
		var noise [20 << 10]byte
		n := newNonce()
		for i := range noise {
			noise[i] = n[i%16]*byte(i>>4) + byte(i)
		}
		if _, err = q.Store(t.Context(), &Webhook{Source: "gitlab", Received: time.Now(), Body: noise[:]}); err != nil {
			break
		}
		stored++
	}
	if !errors.Is(err, ErrFull) || stored == 0 {
		t.Fatalf("after %d stored: %v, want ErrFull", stored, err)
	}
	// Room again, without a restart.
	if err := q.Tidy(t.Context(), Checkpoint{Cursor: q.tail.load()}, 0); err != nil {
		t.Fatal(err)
	}
	store(t, q, `{"room":"again"}`)
}

func TestLimitsCanBeLowered(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir, EventsSize: 1 << 30})
	store(t, q, `{}`)
	q.Close()
	q = open(t, Options{Dir: dir, EventsSize: 64 << 20, ParkedSize: 64 << 20})
	if e := next(t, q, 0); len(e.Webhooks) != 1 {
		t.Errorf("the webhook is gone")
	}
}

func TestTidyNeverGoesBeyondTheCursor(t *testing.T) {
	q := open(t, Options{})
	for range 5 {
		store(t, q, `{}`)
	}
	for _, c := range []struct {
		cursor  uint64
		history time.Duration
		first   uint64
	}{
		{0, 0, 1},
		{3, time.Hour, 1},
		{3, 0, 4},
		{99, 0, 6}, // never past the last sequence
	} {
		if err := q.Tidy(t.Context(), Checkpoint{Cursor: c.cursor}, c.history); err != nil {
			t.Fatal(err)
		}
		info, err := q.events.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.FirstSeq != c.first {
			t.Errorf("cursor %d, history %s: first is %d, want %d", c.cursor, c.history, info.State.FirstSeq, c.first)
		}
	}
	if id := store(t, q, `{}`); id.Seq != 6 {
		t.Errorf("stored as %s", id)
	}
	if e := next(t, q, 2); e.Seq != 6 {
		t.Errorf("next after the purged is %d", e.Seq)
	}
}

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
			at.Add(-time.Second), Replay{ID{2, 0}, "mm#dev"}, []Planned{{lane, "Y", "the same webhook came as 1-0"}}, true,
		},
		&Attempt{ID{3, 1}, lane, at, 2, 503, "server_error", "503 Service Unavailable", time.Second},
		&Settled{ID{3, 1}, lane, at, OutcomeDelivered, 3, 200, "ok", time.Millisecond, Place{7, 2}, 9},
		&LaneState{lane, at, LaneParked, "server_error", Place{7, 2}, []ID{{3, 4}}, Place{8, 1}},
		&Takeover{Nonce{1}, at},
		&Released{Nonce{2}, at},
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
	if _, ok := got[len(got)-1].(*Released); !ok {
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

func TestNewerFormatIsRefusedLoudly(t *testing.T) {
	var newer *VersionError
	msg := encodeEnvelope(Nonce{}, nil)
	msg[0] = version + 1
	if _, err := decodeEnvelope(1, msg, 1<<20); !errors.As(err, &newer) {
		t.Errorf("envelope: %v", err)
	}
	if _, err := decodeRecord(99, &reader{}); !errors.As(err, &newer) {
		t.Errorf("record: %v", err)
	}
}

func TestDamagedMessagesAreErrors(t *testing.T) {
	good := encodeEnvelope(newNonce(), []*Webhook{hook(`{"a":1}`), hook(`{"b":2}`)})
	for i := range good {
		if _, err := decodeEnvelope(1, good[:i], 1<<20); err == nil {
			t.Errorf("cut off after %d of %d bytes: no error", i, len(good))
		}
	}
	if _, err := decodeEnvelope(1, good, 4); err == nil {
		t.Error("larger than the limit: no error")
	}
}

func TestSecondRelayOnOneDirectoryIsToldWhoHoldsIt(t *testing.T) {
	dir := t.TempDir()
	open(t, Options{Dir: dir})
	_, err := Open(t.Context(), Options{Dir: dir})
	want := fmt.Sprintf("in use by another relay (pid %d on ", os.Getpid())
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("got %v, want %q", err, want)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data directory's mode is %v", info.Mode())
	}
}

func TestLaneTokensAreReversible(t *testing.T) {
	seen := map[string]Lane{}
	for _, l := range []Lane{{"mm", ""}, {"mm", "reviews"}, {"mm", "@al.ice"}, {"mm", "="}, {"m-m", "a_b"}, {"mm", "a b*>é"}} {
		token := laneToken(l)
		got, err := parseLane(token)
		if err != nil || got != l {
			t.Errorf("%+v became %q became %+v (%v)", l, token, got, err)
		}
		if strings.ContainsAny(token, " *>") || strings.Count(token, ".") != 1 {
			t.Errorf("%+v: %q is no pair of subject tokens", l, token)
		}
		if other, ok := seen[token]; ok {
			t.Errorf("%+v and %+v share %q", l, other, token)
		}
		seen[token] = l
	}
}

func TestParkedLine(t *testing.T) {
	q := open(t, Options{})
	a, b := Lane{"mm", "a"}, Lane{"mm", "b"}
	parked := func(n uint64) Parked {
		return Parked{ID: ID{n, 0}, Nonce: Nonce{byte(n)}, Webhook: *hook(`{}`), Note: []byte(`{"route":"r"}`)}
	}
	var last uint64
	for n, l := range map[uint64]Lane{1: b, 2: b, 3: b} {
		if _, err := q.Park(t.Context(), l, []Parked{parked(n)}); err != nil {
			t.Fatal(err)
		}
	}
	for n := uint64(10); n < 13; n++ {
		seq, err := q.Park(t.Context(), a, []Parked{parked(n), parked(n + 100)})
		if err != nil {
			t.Fatal(err)
		}
		last = seq
	}
	var ids []uint64
	for after := uint64(0); ; {
		seq, batch, err := q.NextParked(t.Context(), a, after)
		if err != nil {
			t.Fatal(err)
		}
		if seq == 0 {
			break
		}
		if diff := cmp.Diff(parked(batch[0].ID.Seq), batch[0]); diff != "" {
			t.Errorf("parked (-want +got):\n%s", diff)
		}
		for _, p := range batch {
			ids = append(ids, p.ID.Seq)
		}
		after = seq
	}
	if diff := cmp.Diff([]uint64{10, 110, 11, 111, 12, 112}, ids); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if err := q.PurgeParked(t.Context(), a, last); err != nil {
		t.Fatal(err)
	}
	lanes, err := q.ParkedLanes(t.Context())
	if diff := cmp.Diff([]Lane{b}, lanes); diff != "" || err != nil {
		t.Errorf("lanes left (-want +got):\n%s%v", diff, err)
	}
	if got := q.LastPark(); got != last {
		t.Errorf("the last parked is %d, want %d", got, last)
	}
}

func TestDeadLettersMakeRoom(t *testing.T) {
	q := open(t, Options{DeadSize: 64 << 10})
	letter := func(i int) *Dead {
		body := make([]byte, 8<<10)
		for k := range body {
			n := newNonce()
			body[k] = n[0]
		}
		return &Dead{Parked: Parked{ID: ID{uint64(i), 0}, Webhook: Webhook{Body: body}}, Lane: Lane{"mm", ""}, Reason: "refused", Attempts: 3, Time: time.UnixMicro(1)}
	}
	for i := 1; i <= 20; i++ {
		if _, err := q.Bury(t.Context(), letter(i)); err != nil {
			t.Fatal(err)
		}
	}
	var ids []uint64
	if err := q.DeadLetters(t.Context(), func(_ uint64, d Dead) bool { ids = append(ids, d.ID.Seq); return true }); err != nil {
		t.Fatal(err)
	}
	if len(ids) == 0 || len(ids) == 20 || ids[len(ids)-1] != 20 {
		t.Errorf("kept %v: want the newest, and not all", ids)
	}
}

func TestReadyWrites(t *testing.T) {
	q := open(t, Options{})
	if err := q.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := next(t, q, 0); len(e.Webhooks) != 0 {
		t.Errorf("the probe holds %d webhooks", len(e.Webhooks))
	}
	if err := q.Ready(t.Context()); err != nil || q.tail.load() != 1 {
		t.Errorf("a second probe at once: %v, tail %d", err, q.tail.load())
	}
}

func TestParseID(t *testing.T) {
	for s, want := range map[string]ID{"1042-0": {1042, 0}, "1-17": {1, 17}} {
		if got, err := ParseID(s); err != nil || got != want || got.String() != s {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "1042", "0-1", "x-1", "1--1", "1-x", "-1-1"} {
		if id, err := ParseID(s); err == nil {
			t.Errorf("%q became %v", s, id)
		}
	}
}

// killed is run in a process of its own: it stores until it is killed.
func TestHelperStoreUntilKilled(t *testing.T) {
	dir := os.Getenv("QUEUE_TEST_DIR")
	if dir == "" {
		t.Skip("helper of TestNothingStoredIsLostByKill")
	}
	q, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		id, err := q.Store(context.Background(), hook(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("stored %s %d\n", id, i)
	}
}

func TestNothingStoredIsLostByKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperStoreUntilKilled$")
	cmd.Env = append(os.Environ(), "QUEUE_TEST_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := map[ID]string{}
	var line, id, n string
	for len(said) < 50 {
		if _, err := fmt.Fscan(out, &line, &id, &n); err != nil {
			t.Fatal(err)
		}
		parsed, err := ParseID(id)
		if err != nil {
			t.Fatal(err)
		}
		said[parsed] = n
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	q := open(t, Options{Dir: dir})
	for id, n := range said {
		e, err := q.Envelope(t.Context(), id.Seq)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(e.Webhooks[id.Index].Body); got != n {
			t.Errorf("%s holds %q, want %q", id, got, n)
		}
	}
}
