package delivery

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// shut puts a configuration in force whose rules keep back all events but those
// whose payload says "open".
func (w *world) shut() {
	all, err := w.clients.Prepare(w.dests, configs.EgressPrivate)
	if err != nil {
		w.t.Error(err)
	}
	for i := range all {
		all[i].Closed = func(e *events.Event, _ configs.Address, _ string) string {
			if strings.Contains(string(e.Payload), `"title":"open`) {
				return ""
			}
			return "confidential"
		}
	}
	w.lanes.Update(all)
}

// shutting shuts the gates with the first message, which it answers as told; later
// ones are taken.
func (w *world) shutting(status int) chat.Behaviour {
	var once sync.Once
	return chat.Func(func(x *chat.Exchange) {
		first := false
		once.Do(func() { first = true; w.shut() })
		if first && status != 200 {
			x.Answer(status, nil, "")
			return
		}
		x.OK()
	})
}

// A gate that closes holds what is tried again in place, what waits behind it, and
// what is parked, however large; the rest goes on, in order.
func TestClosedGateHoldsWhatWaits(t *testing.T) {
	const withheld, delivered = queue.OutcomeWithheld, queue.OutcomeDelivered
	heavyBody := strings.Repeat("x", heavy)
	for name, c := range map[string]struct {
		status  int
		ballast string
		parked  bool
	}{
		"tried again in place":            {status: 500},
		"refused, tried again in place":   {status: 400},
		"rejected":                        {status: 404},
		"taken":                           {status: 200},
		"large":                           {status: 500, ballast: heavyBody},
		"parked":                          {status: 500, parked: true},
		"parked and large":                {status: 500, ballast: heavyBody, parked: true},
		"parked, large, refused in place": {status: 400, ballast: heavyBody, parked: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			if c.parked {
				w.chat.Set("hooka", chat.Status(503, nil, ""))
				w.bulky("a", "0", c.ballast)
				w.forgotten() // it is on disk
			}
			w.chat.Set("hooka", w.shutting(c.status))
			if !c.parked {
				w.bulky("a", "0", c.ballast)
			}
			w.deliver("a", "1", "open 2", "3", "open 4")
			want := map[uint64]string{1: withheld, 2: withheld, 3: delivered, 4: withheld, 5: delivered}
			if c.status == 200 {
				want[1] = delivered
			}
			equal(t, "outcomes", want, w.settled(5))
			posts := w.posts("hooka", 2)
			equal(t, "posts", []string{"open 2", "open 4"}, posts[len(posts)-2:])
			if n := w.chat.Count("hooka"); !c.parked && n != 3 {
				t.Errorf("%d attempts, want one before the gate was closed, and two", n)
			}
			w.until("the lane is empty", func() bool { return len(w.lanes.Status()) == 0 })
		})
	}
}

// What is withheld makes a repeat of nothing, leaves no dead letter, and is not
// delivered by the next start either.
func TestWithheldIsSettled(t *testing.T) {
	var forgotten atomic.Int64
	w := newWorld(t, nil)
	w.lanes.dead = func(l queue.Lane, _ *queue.Webhook) {
		if l == (queue.Lane{Destination: "a"}) {
			forgotten.Add(1)
		}
	}
	w.chat.Set("hooka", chat.Status(503, nil, ""))
	w.deliver("a", "1", "2")
	w.forgotten()
	w.shut()
	w.chat.Set("hooka", chat.OK())
	equal(t, "outcomes", map[uint64]string{1: queue.OutcomeWithheld, 2: queue.OutcomeWithheld}, w.settled(2))
	w.until("the lane is empty", func() bool { return len(w.lanes.Status()) == 0 })
	if n := forgotten.Load(); n != 2 {
		t.Errorf("%d deliveries may come again, want 2", n)
	}
	equal(t, "dead letters", 0, len(w.deaths()))
	w.stop()
	w.start() // with the gates open
	w.deliver("a", "3")
	equal(t, "posts", []string{"3"}, w.posts("hooka", 1))
}

// confirming is called before each post, right after the journal was asked.
type confirming struct {
	*queue.Journal
	f func()
}

func (c confirming) Confirm(ctx context.Context) error {
	defer c.f()
	return c.Journal.Confirm(ctx)
}

// A message that was written for a place is not posted there once relay.yaml names
// another one.
func TestMovedBeforeThePost(t *testing.T) {
	var once sync.Once
	w := newWorld(t, nil)
	w.lanes.journal = confirming{w.journal, func() {
		once.Do(func() {
			w.dests[0].URL = configs.NewSecret(w.chat.URL("hookc"))
			all, err := w.clients.Prepare(w.dests, configs.EgressPrivate)
			if err != nil {
				t.Error(err)
			}
			w.lanes.Update(all)
		})
	}}
	w.deliver("a", "1", "2", "3")
	equal(t, "posts", []string{"1", "2", "3"}, w.posts("hookc", 3))
	if n := w.chat.Count("hooka"); n > 0 {
		t.Errorf("%d posts where the destination is no more", n)
	}
}

// What a parked delivery remembers cannot be read: it is posted as usual if a route of
// today sends it there, and that is logged.
func TestUnreadableNote(t *testing.T) {
	w := newWorld(t, nil)
	all := w.prepared(w.dests)
	all[0].Closed = func(_ *events.Event, _ configs.Address, file string) string {
		if file != unknownFile {
			t.Errorf("it is from the file %q", file)
		}
		return ""
	}
	w.lanes.Update(all)
	p := queue.Parked{ID: queue.ID{Seq: 1}, Webhook: queue.Webhook{Received: time.Now(), Body: []byte(`{"title":"1"}`)}, Note: []byte("{")}
	if _, err := w.queue.Park(t.Context(), queue.Lane{Destination: "a"}, []queue.Parked{p}); err != nil {
		t.Fatal(err)
	}
	w.lanes.Close(t.Context())
	w.stop()
	w.open()
	w.lanes.Update(all)
	if err := w.lanes.Resume(t.Context(), w.state.Lanes); err != nil {
		t.Fatal(err)
	}
	equal(t, "posts", []string{"1"}, w.posts("hooka", 1))
	if !strings.Contains(w.log.String(), "how a parked delivery shall look cannot be read") {
		t.Errorf("it is not logged:\n%s", w.log)
	}
}
