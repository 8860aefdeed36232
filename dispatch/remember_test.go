package dispatch

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/queue"
)

// giveUp records that a delivery has become a dead letter, as its lane would.
func (s *stage) giveUp(it *delivery.Item) {
	s.t.Helper()
	lane := delivery.LaneOf(it.Address)
	s.Repeats.Forget(lane, it.Webhook)
	if err := s.Journal.Write(s.t.Context(), &queue.Settled{ID: it.ID, Lane: lane, Outcome: queue.OutcomeDead, DeadSeq: 1}); err != nil {
		s.t.Fatal(err)
	}
	it.Done()
}

// takes are the next deliveries, by address.
func (s *stage) takes(n int) map[string]*delivery.Item {
	s.t.Helper()
	items := map[string]*delivery.Item{}
	for range n {
		it := s.take()
		items[it.Address.String()] = it
	}
	return items
}

// untilEnd settles what is handed over up to an event that is stored now, and
// tells what that was.
func (s *stage) untilEnd() (got []string) {
	s.t.Helper()
	end := s.store("end")
	for {
		it := s.take()
		s.settle(it)
		if it.ID == end {
			return got
		}
		got = append(got, it.ID.String()+" "+it.Address.String())
	}
}

// One address has given a webhook up, another one still waits for it: sent again
// it is welcome at the first one, also when the relay is restarted before it has
// got there.
func TestResendOfADeadLetterSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	s := newStage(t, dir)
	first := s.keep(s.hook("k1", "a/slow"))
	s.giveUp(s.takes(2)["a"])
	second := s.keep(s.hook("k1", "a/slow"))
	if it := s.take(); it.ID != second || it.Address.Destination != "a" {
		t.Fatalf("sent again it is handed over as %s to %s", it.ID, it.Address)
	}
	s.stop()

	s = newStage(t, dir)
	if diff := cmp.Diff([]string{first.String() + " slow", second.String() + " a"}, s.untilEnd()); diff != "" {
		t.Errorf("after the restart (-want +got):\n%s", diff)
	}
	// It has been delivered now: a third one is a repeat.
	s.keep(s.hook("k1", "a/slow"))
	if got := s.untilEnd(); got != nil {
		t.Errorf("sent a third time it is handed over: %q", got)
	}
}

// What was given up is read and decided again by the next start, and stands below
// the cursor at the one after that.
func TestResendOfADeadLetterSurvivesTwoRestarts(t *testing.T) {
	dir := t.TempDir()
	s := newStage(t, dir)
	first := s.keep(s.hook("k1", "a/slow"))
	s.giveUp(s.takes(2)["a"])
	s.stop()

	s = newStage(t, dir)
	if diff := cmp.Diff([]string{first.String() + " slow"}, s.untilEnd()); diff != "" {
		t.Errorf("after the restart (-want +got):\n%s", diff)
	}
	s.stop()

	s = newStage(t, dir)
	second := s.keep(s.hook("k1", "a/slow"))
	if diff := cmp.Diff([]string{second.String() + " a"}, s.untilEnd()); diff != "" {
		t.Errorf("sent again after two restarts (-want +got):\n%s", diff)
	}
}

// A webhook was a repeat of one that waited, which was given up since: it stays
// one after a restart. Whoever wanted the message has replayed the dead letter.
func TestRestartDecidesOnARepeatAlike(t *testing.T) {
	dir := t.TempDir()
	s := newStage(t, dir)
	first := s.keep(s.hook("k1", "a/slow"))
	items := s.takes(2)
	s.keep(s.hook("k1", "a/slow"))
	if got := s.untilEnd(); got != nil {
		t.Fatalf("the repeat is handed over: %q", got)
	}
	s.giveUp(items["a"])
	for range 2 {
		s.stop()
		s = newStage(t, dir)
		if it := s.take(); it.ID != first || it.Address.Destination != "slow" {
			t.Errorf("after the restart %s is handed over to %s", it.ID, it.Address)
		}
		if got := s.untilEnd(); got != nil {
			t.Errorf("after the restart there is also %q", got)
		}
	}
}

// What is parked is tried from the first moment of a start on, and may be given up
// before its event is read again.
func TestRepeatsKnowWhatIsGivenUpBeforeItIsRead(t *testing.T) {
	r := NewRepeats(RepeatsSize, nil)
	lane := queue.Lane{Destination: "mm"}
	at := time.UnixMicro(1700000000000000)
	sent := func(after time.Duration) *queue.Webhook {
		return &queue.Webhook{Header: []queue.Field{{Name: "Webhook-Id", Value: "k"}}, Received: at.Add(after)}
	}
	r.Forget(lane, sent(0))
	for id, c := range []struct {
		after  time.Duration
		repeat bool
	}{{0, false}, {time.Minute, false}, {2 * time.Minute, true}} {
		if _, repeat := r.sameDelivery(queue.ID{Seq: uint64(id + 1)}, sent(c.after), lane); repeat != c.repeat {
			t.Errorf("the one of %s later is a repeat: %t", c.after, repeat)
		}
	}
	// It is given up once more, which says nothing of those that were sent since.
	r.Forget(lane, sent(0))
	if _, repeat := r.sameDelivery(queue.ID{Seq: 4}, sent(3*time.Minute), lane); !repeat {
		t.Error("what waits is forgotten with what was given up before it")
	}
}

// A webhook came again just before the relay died, which was down for longer than
// the window: what it repeats lies within the window of the one, not of the clock.
func TestWindowGoesByWhatIsStillToBeRead(t *testing.T) {
	dir := t.TempDir()
	at := time.Now()
	sent := func(q *queue.Queue, after time.Duration, key string) queue.ID {
		t.Helper()
		id, err := q.Store(t.Context(), &queue.Webhook{
			Source: "gitlab", Received: at.Add(after), Header: []queue.Field{{Name: "Idempotency-Key", Value: key}},
			Body: []byte(`{"object_kind":"push","project":{"path_with_namespace":"a"},"n":"` + key + `"}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	s := newStage(t, dir)
	sent(s.Queue, 0, "k1")
	s.settle(s.take())
	s.stop()

	q, j, state := lead(t, queue.Options{Dir: dir})
	defer q.Close()
	defer j.Close()
	sent(q, 5*time.Minute, "k1")
	want := sent(q, 5*time.Minute, "k2")
	taken := &hands{items: make(chan *delivery.Item, 10)}
	d := New(options(q, j, state, taken, io.Discard))
	d.now = func() time.Time { return at.Add(16 * time.Minute) }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	select {
	case it := <-taken.items:
		if it.ID != want {
			t.Errorf("%s is delivered again; the first new one is %s", it.ID, want)
		}
	case <-time.After(20 * time.Second):
		t.Error("nothing is delivered")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
