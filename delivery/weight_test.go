package delivery

import (
	"fmt"
	"strings"
	"sync/atomic"
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

// A heavy message that gets through at once is not written to the disk again; one
// that has to be repeated does not wait in memory.
func TestHeavyMessageIsParkedOnlyToWait(t *testing.T) {
	w := newWorld(t, nil)
	w.bulky("a", "1", strings.Repeat("x", w.lanes.share()+1))
	equal(t, "outcomes", map[uint64]string{1: queue.OutcomeDelivered}, w.settled(1))
	if strings.Contains(w.log.String(), "lane parked") {
		t.Error("it was parked")
	}
	var tries atomic.Int64
	w.chat.Set("hookb", chat.Func(func(x *chat.Exchange) {
		if tries.Add(1) == 1 {
			x.Answer(500, nil, "")
			return
		}
		x.OK()
	}))
	w.bulky("b", "2", strings.Repeat("x", w.lanes.share()+1))
	equal(t, "outcomes", map[uint64]string{1: queue.OutcomeDelivered, 2: queue.OutcomeDelivered}, w.settled(2))
	if !strings.Contains(w.log.String(), `"lane parked","address":"b","reason":"server_error"`) {
		t.Errorf("it waited in memory, or was parked for another reason:\n%s", w.log)
	}
}
