package delivery

import (
	"errors"
	"slices"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
)

var laneOld = queue.Lane{Destination: "a", Channel: "old"}

// waiting starts a world in which so many messages wait for a#old, whose channel is gone.
func waiting(t *testing.T, n int) (*world, *told) {
	t.Helper()
	w := newWorld(t, nil)
	tell := w.listen()
	w.chat.Set("hooka", refusing(404, unknownChannel, "old"))
	w.deliver("a#old", numbered(1, n)...)
	w.forgotten()
	w.until("it is parked", func() bool { return w.statusOf("a#old").State != LaneOpen })
	return w, tell
}

// takeAll takes with so many asked about in each call, and returns what was asked about.
func (w *world) takeAll(most int, take func(title string) string) (asked []string) {
	w.t.Helper()
	for at, more := (queue.Place{}), true; more; {
		var err error
		at, more, err = w.lanes.TakeParked(w.context(), laneOld, at, most, func(p *queue.Parked) (string, string, error) {
			title := gjson.GetBytes(p.Webhook.Body, "title").Str
			asked = append(asked, title)
			return take(title), "by hand", nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return asked
}

// All that waits for an address is taken, in order: it is settled, the lane opens, and
// what comes later is delivered. People who heard of the trouble hear of its end.
func TestTakeParked(t *testing.T) {
	for _, most := range []int{1, 3, 100} {
		w, tell := waiting(t, 7)
		w.until("it is told", func() bool { return slices.Contains(tell.kinds(), "refused a#old") })
		equal(t, "asked about", numbered(1, 7), w.takeAll(most, func(string) string { return "moved" }))
		want := map[uint64]string{}
		for i := range 7 {
			want[uint64(i+1)] = "moved"
		}
		equal(t, "settled", want, w.settled(7))
		w.until("the lane is open", func() bool { return w.statusOf("a#old").State == LaneOpen })
		equal(t, "relief", []string{"✅ Nothing waits for `a#old` any more: its messages were moved or dropped."}, tell.relieved())
		w.chat.Set("hooka", chat.OK())
		w.deliver("a#old", "8")
		equal(t, "posted", []string{"8"}, w.posts("hooka", 1))
	}
}

// What is not wanted stays in the line, in order, also over a restart; what was taken
// does not come back.
func TestTakeSomeOfParked(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w, _ := waiting(t, 6)
		odd := func(title string) string {
			if (title[0]-'0')%2 == 1 {
				return "dropped"
			}
			return ""
		}
		equal(t, "asked about", numbered(1, 6), w.takeAll(2, odd))
		w.settled(3)
		if restart {
			w.stop()
			w.start()
		}
		w.until("the others wait", func() bool { return w.statusOf("a#old").Held == 3 })
		equal(t, "asked about again", []string{"2", "4", "6"}, w.takeAll(100, func(string) string { return "" }))
		w.chat.Set("hooka", chat.OK())
		equal(t, "posted", []string{"2", "4", "6"}, w.posts("hooka", 3))
		w.until("the lane is open", func() bool { return w.statusOf("a#old").State == LaneOpen })
	}
}

// An error ends it: what was taken before stays taken, and the rest waits.
func TestTakeParkedFails(t *testing.T) {
	w, _ := waiting(t, 3)
	no := errors.New("no")
	n := 0
	_, _, err := w.lanes.TakeParked(w.context(), laneOld, queue.Place{}, 10, func(*queue.Parked) (string, string, error) {
		if n++; n == 2 {
			return "", "", no
		}
		return "moved", "", nil
	})
	if !errors.Is(err, no) {
		t.Fatal(err)
	}
	w.chat.Set("hooka", chat.OK())
	equal(t, "posted", []string{"2", "3"}, w.posts("hooka", 2))
	if _, _, err := w.lanes.TakeParked(w.context(), queue.Lane{Destination: "nowhere"}, queue.Place{}, 1, nil); err == nil {
		t.Error("an unknown destination is no error")
	}
	at, more, err := w.lanes.TakeParked(w.context(), queue.Lane{Destination: "b"}, queue.Place{}, 1, nil)
	if at != (queue.Place{}) || more || err != nil {
		t.Errorf("an open lane: %v %v %v", at, more, err)
	}
}
