package delivery

import (
	"fmt"
	"testing"

	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// Lanes that wait for a destination hold no bodies: however many wait with
// however large ones, they are read again when they are posted.
func TestWaitingLanesHoldNoBodies(t *testing.T) {
	w := newWorld(t, nil)
	w.chat.Set("hooka", chat.Status(500, nil, ""))
	const lanes = 4
	for i := range lanes {
		w.bulky(fmt.Sprintf("a#c%d", i), fmt.Sprint(i+1), string(make([]byte, heavy)))
		w.deliver(fmt.Sprintf("a#c%d", i), "next")
	}
	w.forgotten() // all is on disk
	held := func() (n int) {
		for _, l := range w.lanes.all() {
			l.mu.Lock()
			for _, j := range l.flying {
				if l.parked && j.fromLine() {
					n += j.item.size()
				}
			}
			n += bodies(l.line.batch)
			l.mu.Unlock()
		}
		return n
	}
	w.until("nothing is held", func() bool { return held() < heavy })
	w.chat.Set("hooka", chat.OK())
	for id, outcome := range w.settled(2 * lanes) {
		if outcome != queue.OutcomeDelivered {
			t.Errorf("%d: %s", id, outcome)
		}
	}
	for i := range lanes {
		equal(t, "posts", []string{fmt.Sprint(i + 1), "next"}, ofChannel(w.chat.Posts("hooka"), fmt.Sprintf("c%d", i)))
	}
}
