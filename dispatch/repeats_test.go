package dispatch

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/queue"
)

func TestRepeats(t *testing.T) {
	type hook struct {
		key, source, body string
		after             time.Duration // since the first one
	}
	first := hook{"k1", "gitlab", `{"a":1}`, 0}
	for name, c := range map[string]struct {
		second   hook
		event    bool // the same event
		delivery bool // the same delivery, if it is not
	}{
		"resent under its key":           {hook{"k1", "gitlab", `{"a":1}`, time.Minute}, false, true},
		"resent after eleven minutes":    {hook{"k1", "gitlab", `{"a":1}`, 11 * time.Minute}, false, false},
		"the key of another source":      {hook{"k1", "other", `{"a":1}`, time.Second}, false, false},
		"the group's hook for one event": {hook{"k2", "gitlab", `{"a":1}`, 3 * time.Second}, true, false},
		"the same again, but later":      {hook{"k2", "gitlab", `{"a":1}`, 11 * time.Second}, false, false},
		"another event":                  {hook{"k2", "gitlab", `{"a":2}`, time.Second}, false, false},
		"without a key":                  {hook{"", "gitlab", `{"a":1}`, time.Second}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRepeats(RepeatsSize, nil)
			begin := time.UnixMicro(1700000000000000)
			lane := queue.Lane{Destination: "mm", Channel: "dev"}
			decide := func(seq uint64, h hook) (event, same bool) {
				w := &queue.Webhook{Source: h.source, Body: []byte(h.body), Received: begin.Add(h.after)}
				if h.key != "" {
					w.Header = []queue.Field{{Name: "Idempotency-Key", Value: h.key}}
				}
				id := queue.ID{Seq: seq}
				if of, repeat := r.sameEvent(id, w); repeat {
					return of.id == queue.ID{Seq: 1}, false
				}
				of, repeat := r.sameDelivery(id, w, lane)
				return false, repeat && of == queue.ID{Seq: 1}
			}
			if event, same := decide(1, first); event || same {
				t.Fatal("the first is a repeat")
			}
			if event, same := decide(2, c.second); event != c.event || same != c.delivery {
				t.Errorf("same event %v, same delivery %v; want %v, %v", event, same, c.event, c.delivery)
			}
			// Read again after a restart, the first one is still no repeat.
			if event, same := decide(1, first); event || same {
				t.Error("the first, read again, is a repeat of a later one")
			}
		})
	}
}

// Of a signed webhook the signed id counts, whatever other headers say; without one
// it is as ever.
func TestRepeatsGoByTheSignedID(t *testing.T) {
	for name, c := range map[string]struct {
		first, second [3]string // signed id, Idempotency-Key, Webhook-Id
		repeat        bool
	}{
		"captured, under another key":           {[3]string{"s1", "k1", "s1"}, [3]string{"s1", "k2", "s1"}, true},
		"captured, without a key":               {[3]string{"s1", "k1", "s1"}, [3]string{"s1", "", "s1"}, true},
		"another delivery under the same key":   {[3]string{"s1", "k1", "s1"}, [3]string{"s2", "k1", "s2"}, false},
		"stored before signed ids were":         {[3]string{"", "s1", "s1"}, [3]string{"s1", "s1", "s1"}, true},
		"not signed, under another key":         {[3]string{"", "k1", "w1"}, [3]string{"", "k2", "w1"}, false},
		"not signed, under the same webhook-id": {[3]string{"", "", "w1"}, [3]string{"", "", "w1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r, lane := NewRepeats(RepeatsSize, nil), queue.Lane{Destination: "mm"}
			begin := time.UnixMicro(1700000000000000)
			decide := func(seq uint64, from [3]string, after time.Duration) bool {
				w := &queue.Webhook{Source: "gitlab", Body: []byte(`{}`), Received: begin.Add(after)}
				for i, name := range []string{"Idempotency-Key", "Webhook-Id"} {
					if v := from[i+1]; v != "" {
						w.Header = append(w.Header, queue.Field{Name: name, Value: v})
					}
				}
				if from[0] != "" {
					w.Sign(from[0])
				}
				if _, same := r.sameEvent(queue.ID{Seq: seq}, w); same {
					t.Fatal("it is taken for another hook's")
				}
				_, repeat := r.sameDelivery(queue.ID{Seq: seq}, w, lane)
				return repeat
			}
			decide(1, c.first, 0)
			if repeat := decide(2, c.second, 4*time.Minute); repeat != c.repeat { // signatures are good for five
				t.Errorf("the second is a repeat: %t", repeat)
			}
		})
	}
}

// A captured signed webhook under another X-Gitlab-Event, which nobody signed, is a
// repeat at each address, also those that have nothing of it. One that GitLab sends
// again may reach an address that is new.
func TestRepeatsDoNotTrustAnUnsignedEvent(t *testing.T) {
	for name, c := range map[string]struct {
		signed, second string // the second's X-Gitlab-Event
		repeat         bool
	}{
		"captured":             {"s1", "Confidential Issue Hook", true},
		"captured, without":    {"s1", "", true},
		"sent again by GitLab": {"s1", "Issue Hook", false},
		"not signed":           {"", "Confidential Issue Hook", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRepeats(RepeatsSize, nil)
			begin := time.UnixMicro(1700000000000000)
			webhook := func(event string, after time.Duration) *queue.Webhook {
				w := &queue.Webhook{Source: "gitlab", Body: []byte(`{}`), Received: begin.Add(after), Header: []queue.Field{{Name: "Idempotency-Key", Value: "k"}}}
				if event != "" {
					w.Header = append(w.Header, queue.Field{Name: "X-Gitlab-Event", Value: event})
				}
				if c.signed != "" {
					w.Sign(c.signed)
				}
				return w
			}
			first := webhook("Issue Hook", 0)
			for range 2 { // the second time it is read again, as at a start
				if _, same := r.sameEvent(queue.ID{Seq: 1, Index: 3}, first); same {
					t.Fatal("the first is a repeat")
				}
			}
			of, same := r.sameEvent(queue.ID{Seq: 2}, webhook(c.second, 4*time.Minute))
			if same != c.repeat {
				t.Errorf("the second is a repeat everywhere: %t", same)
			}
			if want := "it came as 1-3"; same && !strings.HasPrefix(of.reason(), want) {
				t.Errorf("because %s, want %s", of.reason(), want)
			}
		})
	}
}

func TestRepeatsForgetWhatWasGivenUp(t *testing.T) {
	r := NewRepeats(RepeatsSize, nil)
	w := &queue.Webhook{Header: []queue.Field{{Name: "Webhook-Id", Value: "k"}}, Received: time.UnixMicro(1)}
	lane := queue.Lane{Destination: "mm"}
	r.sameDelivery(queue.ID{Seq: 1}, w, lane)
	if _, repeat := r.sameDelivery(queue.ID{Seq: 2}, w, queue.Lane{Destination: "other"}); repeat {
		t.Error("another address is no repeat")
	}
	r.Forget(lane, w)
	if _, repeat := r.sameDelivery(queue.ID{Seq: 3}, w, lane); repeat {
		t.Error("a repeat of what was given up is welcome")
	}
}

func TestRepeatsAreBounded(t *testing.T) {
	const small = 1 << 20
	at := time.UnixMicro(1700000000000000)
	for name, c := range map[string]struct {
		size    int64
		every   time.Duration // one event
		most    int64         // bytes
		covered time.Duration
	}{
		"one a second takes little":              {RepeatsSize, time.Second, 1 << 19, keyWindow},
		"more than there is room for":            {small, time.Millisecond, small, 5 * time.Second},
		"a room that is hardly there is no harm": {1, time.Second, 4 << 10, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var bytes, most int64
			r := NewRepeats(c.size, func(now int64) { bytes, most = now, max(most, now) })
			lanes := []queue.Lane{{Destination: "mm"}, {Destination: "mm", Channel: "dev"}}
			var last time.Time
			for i := range 20_000 {
				last = at.Add(time.Duration(i) * c.every)
				w := &queue.Webhook{Body: fmt.Append(nil, i), Header: []queue.Field{{Name: "Webhook-Id", Value: fmt.Sprint(i)}}, Received: last}
				id := queue.ID{Seq: uint64(i + 1)}
				r.sameEvent(id, w)
				for _, lane := range lanes {
					r.sameDelivery(id, w, lane)
				}
			}
			if most > c.most || bytes == 0 {
				t.Errorf("it took %d bytes, and takes %d, want at most %d", most, bytes, c.most)
			}
			covered := r.reach(last)
			if covered < c.covered {
				t.Errorf("the window is %s long, want at least %s", covered, c.covered)
			}
			// What it says is what it does.
			n := int((covered - c.every/2) / c.every)
			before := &queue.Webhook{Header: []queue.Field{{Name: "Webhook-Id", Value: fmt.Sprint(19_999 - n)}}, Received: last}
			for _, lane := range lanes {
				if _, repeat := r.sameDelivery(queue.ID{Seq: 30_000}, before, lane); !repeat {
					t.Errorf("a webhook that came again after %s is not recognised, and the window is %s long", time.Duration(n)*c.every, covered)
				}
			}
		})
	}
}

// The window survives a restart: a Resend is no second message.
func TestRestartRemembersWhatWasDelivered(t *testing.T) {
	dir := t.TempDir()
	s := newStage(t, dir)
	send := func(s *stage, key string) queue.ID {
		id, err := s.Queue.Store(context.Background(), &queue.Webhook{
			Source: "gitlab", Received: time.Now(), Header: []queue.Field{{Name: "Idempotency-Key", Value: key}},
			Body: []byte(`{"object_kind":"push","project":{"path_with_namespace":"a"},"n":"` + key + `"}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for _, key := range []string{"k1", "k2"} {
		send(s, key)
		it := s.take()
		if err := s.Journal.Write(t.Context(), &queue.Settled{ID: it.ID, Lane: delivery.LaneOf(it.Address), Outcome: queue.OutcomeDelivered}); err != nil {
			t.Fatal(err)
		}
		it.Done()
	}
	s.stop()

	s = newStage(t, dir)
	send(s, "k1")
	send(s, "k2")
	want := send(s, "k3")
	if it := s.take(); it.ID != want {
		t.Errorf("%s was delivered, want only %s", it.ID, want)
	}
}
