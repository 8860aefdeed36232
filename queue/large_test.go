package queue

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	if seq, batch, err := q.NextParked(ctx, lane, 0); err != nil || seq != 1 || len(batch) != 1 {
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
	if _, err := q.Envelope(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read meanwhile: %v", err)
	}
	if _, err := q.Bury(ctx, &Dead{Parked: Parked{Webhook: *noisy(3 << 20)}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("buried meanwhile: %v", err)
	}
	if _, err := q.Store(t.Context(), hook(`{}`)); err != nil {
		t.Errorf("something small waited: %v", err)
	}
	turn.end()
	if _, err := q.Envelope(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

// What is large is dropped with no other beside it, what is light between as ever.
func TestLargeParkedMessagesAreDroppedOneByOne(t *testing.T) {
	q := open(t, Options{MaxBody: 4 << 20})
	lane := Lane{Destination: "a"}
	var seqs []uint64
	for i, w := range []*Webhook{noisy(3 << 20), hook(`{}`), noisy(3 << 20), hook(`{}`), noisy(3 << 20)} {
		seq, err := q.Park(t.Context(), lane, []Parked{{ID: ID{Seq: uint64(i + 1)}, Webhook: *w}})
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, seq)
	}
	if diff := cmp.Diff([]uint64{seqs[0], seqs[2]}, q.loads.upTo(lane, seqs[3])); diff != "" {
		t.Errorf("large ones up to the fourth (-want +got):\n%s", diff)
	}
	if err := q.PurgeParked(t.Context(), lane, seqs[3]); err != nil {
		t.Fatal(err)
	}
	if seq, batch, err := q.NextParked(t.Context(), lane, 0); err != nil || seq != seqs[4] || len(batch) != 1 {
		t.Errorf("left is %d with %d deliveries, %v; want %d with one", seq, len(batch), err, seqs[4])
	}
	if err := q.DropParked(t.Context(), lane, seqs[4]); err != nil {
		t.Fatal(err)
	}
	if seq, _, err := q.NextParked(t.Context(), lane, 0); err != nil || seq != 0 {
		t.Errorf("left is %d, %v", seq, err)
	}
	if len(q.loads.lanes) != 0 {
		t.Errorf("remembered of what is gone: %v", q.loads.lanes)
	}
}

// Before a large message is read that was written last, the server is made to let
// go of it; what that takes does not stay.
func TestLargeMessageIsNotReadFromTheLastBlock(t *testing.T) {
	q := open(t, Options{MaxBody: 4 << 20})
	lane, other := Lane{Destination: "a"}, Lane{Destination: "b"}
	if _, err := q.Park(t.Context(), other, []Parked{{ID: ID{Seq: 1}, Webhook: *hook(`{}`)}}); err != nil {
		t.Fatal(err)
	}
	seq, err := q.Park(t.Context(), lane, []Parked{{ID: ID{Seq: 2}, Webhook: *noisy(3 << 20)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []Lane{other, lane, lane} {
		if _, batch, err := q.NextParked(t.Context(), l, 0); err != nil || len(batch) != 1 {
			t.Fatalf("%v: read %d deliveries, %v", l, len(batch), err)
		}
		want := seq
		if l == lane {
			want++ // once
		}
		if got := q.LastPark(); got != want {
			t.Errorf("after %v was read the last sequence is %d, want %d", l, got, want)
		}
	}
	if info, err := q.parked.Info(t.Context()); err != nil || info.State.Msgs != 2 || info.State.LastSeq != seq+1 {
		t.Errorf("%d messages up to %d, %v; want 2 up to %d", info.State.Msgs, info.State.LastSeq, err, seq+1)
	}
	if next, err := q.Park(t.Context(), lane, []Parked{{ID: ID{Seq: 3}, Webhook: *hook(`{}`)}}); err != nil || next != seq+2 {
		t.Errorf("parked next as %d, %v", next, err)
	}
}
