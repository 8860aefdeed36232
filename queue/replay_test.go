package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The same request for a replay stores one event, also when the relay was
// restarted in between; another one stores another.
func TestStoreReplayIsIdempotent(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	came := time.UnixMicro(1700000000123456)
	w := &Webhook{Source: "gitlab", Received: came, Header: []Field{{"X-Gitlab-Event", "Push Hook"}, {"Idempotency-Key", "k"}}, Body: []byte(`{"a":1}`)}
	replay := Replay{Of: ID{3, 1}, To: "mm#dev"}
	store := func(q *Queue, r Replay, key string) ID {
		t.Helper()
		id, err := q.StoreReplay(t.Context(), w, r, key)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := store(q, replay, "key")
	if again := store(q, replay, "key"); again != first {
		t.Errorf("sent again it is %s, first %s", again, first)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = open(t, Options{Dir: dir})
	if again := store(q, replay, "key"); again != first {
		t.Errorf("sent again after a restart it is %s, first %s", again, first)
	}
	for name, other := range map[string]ID{
		"another key":     store(q, replay, "other"),
		"another address": store(q, Replay{Of: replay.Of}, "key"),
		"another event":   store(q, Replay{Of: ID{4, 0}, To: "mm#dev"}, "key"),
	} {
		if other == first {
			t.Errorf("%s is no replay of its own", name)
		}
	}

	e, err := q.envelope(t.Context(), first.Seq)
	if err != nil {
		t.Fatal(err)
	}
	got := e.Webhooks[0]
	if r, ok := got.Replay(); !ok || r != replay || got.ReplayKey() == "" {
		t.Errorf("it is a replay of %+v with key %q", r, got.ReplayKey())
	}
	if !got.FirstReceived().Equal(came) || !got.Received.After(came) || got.Get("X-Gitlab-Event") != "Push Hook" || string(got.Body) != string(w.Body) {
		t.Errorf("stored again as %+v", got)
	}
	// A replay of the replay tells of that one, and of when the first one came.
	second, err := q.StoreReplay(t.Context(), &got, Replay{Of: first}, "k")
	if err != nil {
		t.Fatal(err)
	}
	if e, err = q.envelope(t.Context(), second.Seq); err != nil {
		t.Fatal(err)
	}
	if r, _ := e.Webhooks[0].Replay(); r != (Replay{Of: first}) || !e.Webhooks[0].FirstReceived().Equal(came) || len(e.Webhooks[0].Header) != 5 {
		t.Errorf("stored once more as %+v", e.Webhooks[0])
	}
}

func TestWebhookThatIsNoReplay(t *testing.T) {
	w := &Webhook{Received: time.UnixMicro(5)}
	if r, ok := w.Replay(); ok || r != (Replay{}) || w.ReplayKey() != "" || !w.FirstReceived().Equal(w.Received) {
		t.Errorf("it is a replay: %+v", r)
	}
}

func TestDeadLettersAreReplayedOnce(t *testing.T) {
	q := open(t, Options{})
	var seqs []uint64
	for i, body := range []string{`{"n":1}`, `{"n":2}`, `{"n":3}`} {
		seq, err := q.Bury(t.Context(), &Dead{Parked: Parked{ID: ID{Seq: 7, Index: i}, Webhook: Webhook{Received: time.Now(), Body: []byte(body)}}, Lane: dev, Reason: "refused"})
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, seq)
	}
	d, err := q.DeadLetter(t.Context(), seqs[1])
	if err != nil {
		t.Fatal(err)
	}
	id, err := q.ReplayDead(t.Context(), d, "mm#dev")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := next(t, q, id.Seq-1).Webhooks[0].Get(fieldReplayDead), fmt.Sprintf("%d %s", d.Seq, d.Nonce); got != want {
		t.Errorf("the new event says that it was dead letter %q, want %q", got, want)
	}
	if _, err := q.DeadLetter(t.Context(), seqs[1]); !errors.Is(err, ErrNotFound) {
		t.Errorf("it is still a dead letter: %v", err)
	}
	if again, err := q.ReplayDead(t.Context(), d, "mm#dev"); err != nil || again != id {
		t.Errorf("replayed again it is %s, %v; first %s", again, err, id)
	}
	var newest, oldest []uint64
	if err := q.NewestDead(t.Context(), 0, func(d DeadLetter) bool { newest = append(newest, d.Seq); return true }); err != nil {
		t.Fatal(err)
	}
	if err := q.OldestDead(t.Context(), 0, func(d DeadLetter) bool { oldest = append(oldest, d.Seq); return true }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]uint64{{seqs[2], seqs[0]}, {seqs[0], seqs[2]}}, [][]uint64{newest, oldest}); diff != "" {
		t.Errorf("those that are left (-want +got):\n%s", diff)
	}
	for range 2 {
		if err := q.DropDead(t.Context(), seqs[0]); err != nil {
			t.Errorf("drop: %v", err)
		}
	}
	if err := q.NewestDead(t.Context(), seqs[2], func(d DeadLetter) bool { t.Errorf("%d is left", d.Seq); return true }); err != nil {
		t.Fatal(err)
	}
}

// Requests for replays end at any moment: what is stored then is known to the
// dispatcher all the same.
func TestReplayWhoseRequestEndsIsDispatched(t *testing.T) {
	q := open(t, Options{Interval: true})
	of := store(t, q, `{}`)
	known := func() error {
		info, err := q.events.Info(t.Context())
		if err == nil && info.State.LastSeq != q.tail.load() {
			err = fmt.Errorf("the stream ends at %d, the dispatcher knows of %d", info.State.LastSeq, q.tail.load())
		}
		return err
	}
	for i := range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%50)*20*time.Microsecond)
		_, err := q.StoreReplay(ctx, hook(`{}`), Replay{Of: of}, fmt.Sprint(i))
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			eventually(t, 20*time.Second, known)
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A replay has an envelope for itself, whose nonce names the request for it, also
// when webhooks come at the same moment.
func TestReplaysShareNoEnvelope(t *testing.T) {
	q := open(t, Options{})
	of := store(t, q, `{}`)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() { store(t, q, `{}`) })
		all.Go(func() {
			id, err := q.StoreReplay(t.Context(), hook(`{}`), Replay{Of: of}, fmt.Sprint(i/2))
			if err != nil || id.Index != 0 {
				t.Errorf("stored as %s, %v", id, err)
			}
		})
	}
	all.Wait()
	replays := 0
	for after := uint64(0); after < q.tail.load(); {
		e := next(t, q, after)
		after = e.Seq
		for i := range e.Webhooks {
			if w := &e.Webhooks[i]; w.ReplayKey() != "" {
				replays++
				if len(e.Webhooks) != 1 || w.ReplayKey() != e.Nonce.String() {
					t.Errorf("replay %s stands in an envelope %s with %d webhooks", w.ReplayKey(), e.Nonce, len(e.Webhooks))
				}
			}
		}
	}
	if replays != 20 {
		t.Errorf("%d replays are stored, want 20", replays)
	}
}
