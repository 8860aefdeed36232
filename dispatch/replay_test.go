package dispatch

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/routes"
)

// anywhere sends a replay to the address that it is for, unless that is
// "secret".
func anywhere(_ *events.Event, a configs.Address) routes.Decision {
	if a.Destination == "secret" {
		return routes.Decision{Withheld: []routes.Withheld{{Address: a, Route: "replay", Reason: routes.ReasonConfidential}}}
	}
	return routes.Decision{Deliveries: []routes.Delivery{{Address: a, Route: "replay"}}}
}

func (s *stage) hook(key, project string) *queue.Webhook {
	w := &queue.Webhook{Source: "gitlab", Received: time.Now(), Body: []byte(`{"object_kind":"push","project":{"path_with_namespace":"` + project + `"}}`)}
	if key != "" {
		w.Header = []queue.Field{{Name: "Idempotency-Key", Value: key}}
	}
	return w
}

// from is the webhook with the name of the hook that sent it.
func from(hook string, w *queue.Webhook) *queue.Webhook {
	w.Header = append(w.Header, queue.Field{Name: "X-Gitlab-Webhook-Uuid", Value: hook})
	return w
}

func (s *stage) keep(w *queue.Webhook) queue.ID {
	s.t.Helper()
	id, err := s.Queue.Store(s.t.Context(), w)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *stage) again(w *queue.Webhook, r queue.Replay, key string) queue.ID {
	s.t.Helper()
	id, err := s.Queue.StoreReplay(s.t.Context(), w, r, key)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// A replay is no repeat of what it replays, though it is the same webhook within
// seconds; to one address it goes there alone; and a repeat that GitLab sends is
// one still.
func TestReplayIsNoRepeat(t *testing.T) {
	s := newStage(t, t.TempDir())
	w := s.hook("k1", "a/b")
	first := s.keep(w)
	all := s.again(w, queue.Replay{Of: first}, "one")
	one := s.again(w, queue.Replay{Of: first, To: "c#dev"}, "one")
	s.keep(w)                   // GitLab's Resend
	s.keep(s.hook("k2", "a/b")) // the group's hook
	last := s.keep(s.hook("", "end"))
	var got []string
	for {
		it := s.take()
		if it.ID == last {
			break
		}
		got = append(got, it.ID.String()+" "+it.Address.String())
	}
	want := []string{first.String() + " a", first.String() + " b", all.String() + " a", all.String() + " b", one.String() + " c#dev"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

// The same request for a replay, sent again when the queue does not know it any
// more, brings nothing to an address twice, also after a restart.
func TestReplayIsPostedOnce(t *testing.T) {
	dir := t.TempDir()
	s := newStage(t, dir)
	w := s.hook("k1", "a")
	first := s.keep(w)
	s.settle(s.take())
	again := &queue.Webhook{
		Source: w.Source, Received: time.Now(), Body: w.Body,
		Header: append([]queue.Field{{Name: "Relay-Replay-Of", Value: first.String()}, {Name: "Relay-Replay-Key", Value: "x"}}, w.Header...),
	}
	s.keep(again)
	s.settle(s.take())
	s.stop()

	s = newStage(t, dir)
	twice := s.keep(again)
	last := s.keep(s.hook("", "end"))
	if it := s.take(); it.ID != last {
		t.Errorf("%s was delivered again, to %s", it.ID, it.Address)
	}
	if why := s.because(twice); !strings.HasPrefix(why, "the same request for a replay brought it as ") {
		t.Errorf("%s was not delivered because: %s", twice, why)
	}
}

// because is the journal's reason for what became of an event.
func (s *stage) because(id queue.ID) string {
	s.t.Helper()
	if err := s.Journal.Write(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	trace, err := s.Queue.Trace(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return trace.Decision().Because
}

// What came under its own key before is sent again, though another hook has
// brought the same since.
func TestSentAgainAfterAnotherHook(t *testing.T) {
	s := newStage(t, t.TempDir())
	at := func(w *queue.Webhook, after time.Duration) *queue.Webhook {
		w.Received = w.Received.Add(after - time.Minute)
		return w
	}
	first := s.keep(at(from("1", s.hook("k1", "a")), 0))
	s.keep(at(from("2", s.hook("k2", "a")), 2*bodyWindow)) // an event of its own, so much later
	again := s.keep(at(from("1", s.hook("k1", "a")), 2*bodyWindow+time.Second))
	s.keep(s.hook("", "end"))
	for range 3 {
		s.take()
	}
	if got, want := s.because(again), "GitLab sent it again: it came as "+first.String(); got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

// What becomes of a replay, and of a repeat, is in the journal with its reason.
func TestDecisionsTellOfReplaysAndRepeats(t *testing.T) {
	s := newStage(t, t.TempDir())
	w := from("1", s.hook("k1", "a"))
	first := s.keep(w)
	s.settle(s.take())
	held := s.again(w, queue.Replay{Of: first, To: "secret#x"}, "1")
	resent := s.keep(w)
	group := s.keep(from("2", s.hook("k2", "a")))
	groupAgain := s.keep(from("2", s.hook("k2", "a")))
	nameless := s.keep(s.hook("k3", "a"))
	same := s.keep(from("1", s.hook("k4", "a")))
	bad := s.again(w, queue.Replay{Of: first, To: "no address"}, "1")
	s.keep(s.hook("", "end"))
	s.take()
	if err := s.Journal.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := delivery.LaneOf(configs.Address{Destination: "a"})
	repeat := func(why string) queue.Decision {
		return queue.Decision{Outcome: queue.OutcomeRepeat, Because: why, Repeats: []queue.Planned{{Lane: a, Route: "R", Reason: why}}}
	}
	for id, want := range map[queue.ID]queue.Decision{
		first: {Outcome: queue.OutcomeRouted, Deliveries: []queue.Planned{{Lane: a, Route: "R"}}},
		held: {
			Outcome: queue.OutcomeWithheld, Replay: queue.Replay{Of: first, To: "secret#x"},
			Withheld: []queue.Planned{{Lane: queue.Lane{Destination: "secret", Channel: "x"}, Route: "replay", Reason: "confidential"}},
		},
		resent:     repeat("GitLab sent it again: it came as " + first.String()),
		group:      repeat("the same event came as " + first.String() + ", from another hook"),
		groupAgain: repeat("GitLab sent it again: it came as " + group.String()),
		nameless:   repeat("GitLab sent the same event again, under another key: it came as " + first.String()),
		same:       repeat("GitLab sent the same event again, under another key: it came as " + first.String()),
		bad:        {Outcome: queue.OutcomeUnrouted, Replay: queue.Replay{Of: first, To: "no address"}, Because: "the replay named something that is no address"},
	} {
		trace, err := s.Queue.Trace(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		got := *trace.Decision()
		if got.Received.IsZero() || got.Time.Before(got.Received) {
			t.Errorf("%s came %s and was decided %s", id, got.Received, got.Time)
		}
		want.ID, want.Source, want.Event, want.Project, want.Title = id, "gitlab", "push", "a", got.Title
		want.Received, want.Time = got.Received, got.Time
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
}

// An event that is read again after a restart says so.
func TestDecisionAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := newStage(t, dir)
	id := s.keep(s.hook("", "a"))
	s.take() // and never settled
	s.stop()
	s = newStage(t, dir)
	s.take()
	if err := s.Journal.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	trace, err := s.Queue.Trace(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(trace.Decisions) != 2 || trace.Decisions[0].Again || !trace.Decisions[1].Again {
		t.Errorf("the journal tells of %d decisions", len(trace.Decisions))
	}
}

// The relay died after a dead letter was stored again and before it was dropped:
// whoever reads the new event drops it, and no other.
func TestReplayedDeadLetterIsDropped(t *testing.T) {
	s := newStage(t, t.TempDir())
	w := s.hook("k1", "a/b")
	letters := func() (all []queue.DeadLetter) {
		if err := s.Queue.OldestDead(t.Context(), 0, func(d queue.DeadLetter) bool { all = append(all, d); return true }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	for i := range 2 {
		d := &queue.Dead{Parked: queue.Parked{ID: queue.ID{Seq: 7, Index: i}, Webhook: *w}, Lane: queue.Lane{Destination: "a"}, Time: time.Now(), Reason: "no"}
		if _, err := s.Queue.Bury(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	kept := letters()
	again := func(value string) {
		w := s.hook("", "a/b")
		w.Header = append(w.Header, queue.Field{Name: "Relay-Replay-Dead", Value: value})
		s.keep(w)
	}
	again("1 " + kept[0].Nonce.String())
	again("2 " + kept[0].Nonce.String()) // another one stands there
	again("3 " + kept[0].Nonce.String())
	again("2")
	last := s.keep(s.hook("", "end"))
	for s.take().ID != last {
	}
	if left := letters(); len(left) != 1 || left[0].Seq != 2 {
		t.Errorf("kept are %+v", left)
	}
}

// TestArrival: times of routes go by when the webhook came, and leave a replay alone.
func TestArrival(t *testing.T) {
	came := time.Date(2026, 12, 5, 22, 30, 0, 0, time.UTC)
	first := &queue.Webhook{Source: "gitlab", Received: came}
	if got := Arrival(first); !got.Equal(came) {
		t.Errorf("%v", got)
	}
	if got := Arrival(&queue.Webhook{Received: came, Header: []queue.Field{{Name: "Relay-Replay-Of", Value: "7-0"}}}); !got.IsZero() {
		t.Errorf("a replay: %v", got)
	}
}
