package delivery

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// choosy refuses with 400 what is poison, and fails with 500 at what is sick.
func choosy(x *chat.Exchange) {
	switch {
	case strings.HasPrefix(x.Entry.Text, "poison"):
		x.Answer(400, http.Header{"Content-Type": {"application/json"}}, chat.ErrorBody(x.Entry.Hook))
	case strings.HasPrefix(x.Entry.Text, "sick"):
		x.Answer(500, nil, "")
	default:
		x.OK()
	}
}

// probing has lanes that are refused tried again at once.
func probing(w *world) { w.limits.rejected = time.Millisecond }

// healingAtTheHead refuses everything for so many posts, and each channel's from
// then on until the oldest message that it has not taken comes: what is sent past
// that one would be out of order.
func healingAtTheHead(posts int) chat.Behaviour {
	var mu sync.Mutex
	oldest, well := map[string]string{}, map[string]bool{}
	return chat.Func(func(x *chat.Exchange) {
		mu.Lock()
		defer mu.Unlock()
		channel, text := x.Entry.Channel, x.Entry.Text
		if o, ok := oldest[channel]; !ok || len(text) < len(o) || len(text) == len(o) && text < o {
			oldest[channel] = text
		}
		if posts--; posts < 0 && text == oldest[channel] {
			well[channel] = true
		}
		if well[channel] {
			x.OK()
			return
		}
		x.Answer(400, http.Header{"Content-Type": {"application/json"}}, chat.ErrorBody(x.Entry.Hook))
	})
}

// deaths are the dead letters, by event.
func (w *world) deaths() map[uint64]queue.Dead {
	w.t.Helper()
	all := map[uint64]queue.Dead{}
	if err := w.queue.DeadLetters(w.context(), func(_ uint64, d queue.Dead) bool { all[d.ID.Seq] = d; return true }); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// The only lane of a destination holds messages that are always refused: nothing
// can get through beside it, and what stands behind them does.
func TestRefusedHeadOfTheOnlyLaneIsBuried(t *testing.T) {
	for name, titles := range map[string][]string{
		"at the head":              {"poison", "1", "2", "3"},
		"in the middle":            {"1", "2", "poison", "3"},
		"two, one by one":          {"1", "poison 1", "2", "3", "poison 2", "4"},
		"four, side by side":       {"poison 1", "poison 2", "poison 3", "poison 4", "1"},
		"before one that gets 500": {"poison 1", "sick 1", "1", "2"},
		"behind one that gets 500": {"sick 1", "poison 1", "1", "2"},
		"by turns":                 {"sick 1", "poison 1", "sick 2", "poison 2", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, probing)
			w.chat.Set("hooka", chat.Func(choosy))
			w.deliver("a", titles...)
			want, good := map[uint64]string{}, []string{}
			for i, title := range titles {
				want[uint64(i+1)] = queue.OutcomeDelivered
				if len(title) > 1 {
					want[uint64(i+1)] = queue.OutcomeDead
				} else {
					good = append(good, title)
				}
			}
			equal(t, "outcomes", want, w.settled(len(titles)))
			equal(t, "posts", good, chat.Texts(w.chat.Posts("hooka")))
			for id, d := range w.deaths() {
				if !strings.HasPrefix(d.Reason, "refused by the receiver: ") || d.Attempts < poisonAfter {
					t.Errorf("%d was given up after %d attempts because %q", id, d.Attempts, d.Reason)
				}
			}
		})
	}
}

// Each of several lanes stands before a message that is refused, and waits for
// another to get through.
func TestRefusedHeadsOfAllLanesAreBuried(t *testing.T) {
	w := newWorld(t, probing)
	w.chat.Set("hooka", chat.Func(choosy))
	const lanes = 4
	for i := range lanes {
		w.deliver(fmt.Sprintf("a#c%d", i), "poison", "1", "2")
	}
	got := w.settled(3 * lanes)
	for i := range uint64(lanes) {
		equal(t, "outcomes", [3]string{queue.OutcomeDead, queue.OutcomeDelivered, queue.OutcomeDelivered}, [3]string{got[3*i+1], got[3*i+2], got[3*i+3]})
		equal(t, "posts", []string{"1", "2"}, ofChannel(w.chat.Posts("hooka"), fmt.Sprintf("c%d", i)))
	}
}

// A message that is refused and has nothing behind it waits. What comes behind
// it does not wait for the next probe.
func TestRefusedMessageAloneWaitsForTheNext(t *testing.T) {
	w := newWorld(t, probing)
	w.chat.Set("hooka", chat.Func(choosy))
	w.deliver("a", "poison")
	w.until("it has been refused often", func() bool {
		l := w.lanes.lane(queue.Lane{Destination: "a"})
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.standing.last
	})
	if s := w.statusOf("a"); s.Held != 1 || s.State != LaneBroken {
		t.Errorf("%+v", s)
	}
	if dead := w.deaths(); len(dead) != 0 {
		t.Errorf("given up with nothing behind: %+v", dead)
	}
	// Nobody probes any more but for what comes.
	w.lanes.lane(queue.Lane{Destination: "a"}).postpone(time.Hour)
	w.deliver("a", "1", "2")
	equal(t, "outcomes", map[uint64]string{1: queue.OutcomeDead, 2: queue.OutcomeDelivered, 3: queue.OutcomeDelivered}, w.settled(3))
}

// The chat comes back between the probe that is refused and the message behind
// it: late and out of order is better than not at all.
func TestRefusedHeadIsTriedOnceMore(t *testing.T) {
	w := newWorld(t, probing)
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		if len(w.chat.Posts("hooka")) == 0 && x.Entry.Text == "1" {
			x.Answer(400, nil, chat.ErrorBody("hooka"))
			return
		}
		x.OK()
	}))
	w.deliver("a", numbered(1, 3)...)
	equal(t, "posts", []string{"2", "1", "3"}, w.posts("hooka", 3))
	if dead := w.deaths(); len(dead) != 0 {
		t.Errorf("dead letters: %+v", dead)
	}
}

// postpone leaves the lane alone for so long. It returns once nobody probes it.
func (l *lane) postpone(d time.Duration) {
	for {
		l.mu.Lock()
		if l.standing.last && len(l.flying) == 1 && time.Now().Before(l.standing.until) {
			l.standing.until = time.Now().Add(d)
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		runtime.Gosched()
	}
}
