package queue

import (
	"context"
	"errors"
	"testing"
	"time"
)

// noisy is a webhook whose body does not compress.
func noisy(n int) *Webhook { return hook(`{"a":"` + incompressible(n) + `"}`) }

// What is large goes to the server another way, and comes to the same.
func TestLargeMessages(t *testing.T) {
	q := open(t, Options{MaxBody: 4 << 20, EventsSize: 8 << 20, ParkedSize: 16 << 20})
	w := noisy(3 << 20)
	for want := uint64(1); want <= 2; want++ {
		if id, err := q.Store(t.Context(), w); err != nil || id.Seq != want {
			t.Fatalf("stored as %s (%v), want %d", id, err, want)
		}
	}
	q.recent.forget(2)
	if e := next(t, q, 1); string(e.Webhooks[0].Body) != string(w.Body) {
		t.Error("another body was read")
	}
	if _, err := q.Store(t.Context(), w); !errors.Is(err, ErrFull) {
		t.Errorf("into a full stream: %v, want ErrFull", err)
	}
	n := newNonce()
	for range 2 { // the answer to the first was lost
		if seq, err := q.publish(t.Context(), subjectParked+laneToken(Lane{"mm", "dev"}), encodeParked(n, []Parked{{Webhook: *w}}), n, nil); err != nil || seq != 1 {
			t.Fatalf("published as %d: %v", seq, err)
		}
	}
	expect := uint64(7)
	if _, err := q.publish(t.Context(), subjectDead+"mm.=", encodeParked(newNonce(), []Parked{{Webhook: *w}}), newNonce(), &expect); !errors.Is(err, ErrFenced) {
		t.Errorf("behind another's message: %v, want ErrFenced", err)
	}
}

// Who parks something large learns who holds how much while it is his turn.
func TestLargeMessageIsParkedInAStreamThatFillsUp(t *testing.T) {
	q := open(t, Options{MaxBody: 4 << 20, ParkedSize: 16 << 20})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	lane := Lane{"mm", "dev"}
	var err error
	for n := 0; err == nil && n < 4; n++ {
		_, err = q.Park(ctx, lane, []Parked{{ID: ID{uint64(n + 1), 0}, Webhook: *noisy(3 << 20)}})
	}
	if !errors.Is(err, ErrShare) {
		t.Errorf("%v, want ErrShare", err)
	}
	if seq, batch, err := q.NextParked(ctx, lane, 0); err != nil || seq != 2 || len(batch) != 1 { // behind its body
		t.Errorf("read %d with %d: %v", seq, len(batch), err)
	}
}

// While something large is moved nothing else is read, and what is made to be
// moved is not made.
func TestLargeMessagesTakeTurns(t *testing.T) {
	q := open(t, Options{MaxBody: 4 << 20})
	store(t, q, `{}`)
	_, turn, err := q.turnFor(t.Context(), large)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := q.envelope(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read meanwhile: %v", err)
	}
	if _, err := q.Bury(ctx, &Dead{Parked: Parked{Webhook: *noisy(3 << 20)}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("buried meanwhile: %v", err)
	}
	if _, err := q.Store(t.Context(), hook(`{}`)); err != nil {
		t.Errorf("something small waited: %v", err)
	}
	turn.end()
	if _, err := q.envelope(t.Context(), 1); err != nil {
		t.Error(err)
	}
}
