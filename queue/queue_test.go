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
		e, err := q.envelope(t.Context(), id.Seq)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(e.Webhooks[id.Index].Body); got != n {
			t.Errorf("%s holds %q, want %q", id, got, n)
		}
	}
}
