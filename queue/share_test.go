package queue

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// parkUntilFull parks messages of a lane until there is no room, and returns
// how many found some.
func parkUntilFull(t *testing.T, q *Queue, l Lane, most int) (int, error) {
	t.Helper()
	for n := range most {
		if _, err := q.Park(t.Context(), l, []Parked{{ID: ID{uint64(n + 1), 0}, Webhook: *hook(incompressible(20 << 10))}}); err != nil {
			return n, err
		}
	}
	return most, nil
}

func TestOneDestinationParksAtMostHalf(t *testing.T) {
	dir := t.TempDir()
	opt := Options{Dir: dir, MaxBody: 256 << 10, ParkedSize: 1 << 20}
	q := open(t, opt)
	a, b, other := Lane{"greedy", "a"}, Lane{"greedy", "b"}, Lane{"modest", ""}
	if n, err := parkUntilFull(t, q, a, 20); err != nil {
		t.Fatalf("after %d: %v", n, err)
	}
	n, err := parkUntilFull(t, q, b, 100)
	if !errors.Is(err, ErrShare) || n > 20 {
		t.Fatalf("%d more were parked for one destination: %v", n, err)
	}
	if _, err := parkUntilFull(t, q, other, 5); err != nil {
		t.Errorf("another destination: %v", err)
	}

	// Its own largest lane gives up its oldest, but not what may just be under way.
	lane, seq, err := q.Expendable(t.Context(), "greedy", ErrShare)
	if lane != a || seq != 2 || err != nil {
		t.Errorf("%v gives up %d (%v), want the second of a", lane, seq, err)
	}
	if err := q.DropParked(t.Context(), lane, seq); err != nil {
		t.Fatal(err)
	}
	if n, err := parkUntilFull(t, q, b, 1); err != nil {
		t.Errorf("after one was given up: %d, %v", n, err)
	}
	if err := q.PurgeParked(t.Context(), a, 20); err != nil {
		t.Fatal(err)
	}
	if n, err := parkUntilFull(t, q, b, 10); err != nil {
		t.Errorf("after a was delivered: %d, %v", n, err)
	}
	q.Close()

	// Who starts anew counts what is there.
	q = open(t, opt)
	if n, err := parkUntilFull(t, q, a, 100); !errors.Is(err, ErrShare) || n > 20 {
		t.Errorf("after a restart %d more were parked for one destination: %v", n, err)
	}
}

// A relay counts anew when it leads a second time: another one has delivered and
// parked since.
func TestWhoLeadsAgainCountsWhatIsParked(t *testing.T) {
	opt := Options{URL: external(t).ClientURL(), MaxBody: 256 << 10, ParkedSize: 1 << 20, TakeoverWait: 50 * time.Millisecond}
	first, second := open(t, opt), open(t, opt)
	a, b := Lane{"a", ""}, Lane{"b", ""}
	parks := func(q *Queue, deliver, fill Lane) (int, error) {
		t.Helper()
		j, _, err := q.Lead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if last := lastSequence(t, q, deliver); last > 0 {
			if err := q.PurgeParked(t.Context(), deliver, last); err != nil {
				t.Fatal(err)
			}
		}
		return parkUntilFull(t, q, fill, 100)
	}
	if n, err := parks(first, b, a); !errors.Is(err, ErrShare) || n == 0 {
		t.Fatalf("%d are parked: %v", n, err)
	}
	half, err := parks(second, a, b)
	if !errors.Is(err, ErrShare) || half == 0 {
		t.Fatalf("%d are parked: %v", half, err)
	}
	if n, err := parks(first, a, b); !errors.Is(err, ErrShare) || n > 0 {
		t.Errorf("%d more are parked for a destination that holds its share: %v", n, err)
	}
	if lane, seq, err := first.Expendable(t.Context(), "b", ErrShare); lane != b || seq == 0 || err != nil {
		t.Errorf("%v gives up %d (%v), want one of b", lane, seq, err)
	}
}

func TestFullParkedGivesUpTheLargest(t *testing.T) {
	q := open(t, Options{MaxBody: 256 << 10, ParkedSize: 1 << 20})
	for i, messages := range []int{20, 10, 10} {
		if n, err := parkUntilFull(t, q, Lane{fmt.Sprint(i), ""}, messages); err != nil {
			t.Fatalf("%d: after %d: %v", i, n, err)
		}
	}
	n, err := parkUntilFull(t, q, Lane{"last", ""}, 100)
	if !errors.Is(err, ErrFull) || errors.Is(err, ErrShare) {
		t.Fatalf("after %d: %v, want ErrFull", n, err)
	}
	lane, seq, err := q.Expendable(t.Context(), "last", err)
	if lane.Destination != "0" || seq != 2 || err != nil {
		t.Errorf("%v gives up %d (%v)", lane, seq, err)
	}
}

func TestFullDeadLettersDropTheOldest(t *testing.T) {
	q := open(t, Options{MaxBody: 256 << 10, DeadSize: 1 << 20})
	const n = 120
	for i := range n {
		if _, err := q.Bury(t.Context(), &Dead{Parked: Parked{ID: ID{uint64(i + 1), 0}, Webhook: *hook(incompressible(20 << 10))}, Lane: Lane{"mm", ""}}); err != nil {
			t.Fatal(err)
		}
	}
	var kept []uint64
	if err := q.DeadLetters(t.Context(), func(_ uint64, d Dead) bool { kept = append(kept, d.ID.Seq); return true }); err != nil {
		t.Fatal(err)
	}
	if len(kept) == 0 || kept[len(kept)-1] != n || uint64(len(kept))+q.DeadDropped() != n {
		t.Errorf("%d are kept, %d were dropped of %d; the newest is kept: %v", len(kept), q.DeadDropped(), n, kept)
	}
}

// Whoever parks something large asks for the shares in the turn to move it, while
// somebody else learns them, which reads what is large: neither waits for the other
// for ever.
func TestSharesAreLearntInTurn(t *testing.T) {
	q := open(t, Options{MaxBody: 4 << 20, ParkedSize: 16 << 20})
	for i, name := range []string{"a", "b"} {
		if _, err := q.Park(t.Context(), Lane{Destination: name}, []Parked{{ID: ID{Seq: uint64(i + 1)}, Webhook: *noisy(3 << 20)}}); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		q.shares.forget()
		ctx, turn, err := q.turnFor(t.Context(), large) // as Park does
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 2)
		go func() {
			_, _, err := q.Expendable(t.Context(), "a", ErrFull)
			ended <- err
		}()
		for range 1000 { // for as long as it may take to lock the shares
			if !q.shares.mu.TryLock() {
				break
			}
			q.shares.mu.Unlock()
			runtime.Gosched()
		}
		go func() {
			err := q.shareLeft(ctx, "b", 5<<20)
			turn.end()
			ended <- err
		}()
		for range 2 {
			select {
			case err := <-ended:
				if err != nil && !errors.Is(err, ErrShare) {
					t.Fatal(err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("each waits for the other")
			}
		}
	}
}
