package delivery

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// short is a parking on a disk that has no room for the first dead letter at once.
type short struct {
	Parking
	tries atomic.Int64
}

func (s *short) Bury(ctx context.Context, d *queue.Dead) (uint64, error) {
	if s.tries.Add(1) == 1 {
		return 0, fmt.Errorf("%w: there is no room", queue.ErrDown)
	}
	return s.Parking.Bury(ctx, d)
}

// The disk is short at a start that finds a destination gone: it waits for room.
func TestBurialsAtTheStartWaitForRoom(t *testing.T) {
	w := withoutDestination(t)
	w.open()
	w.lanes.parking = &short{Parking: w.queue}
	if err := w.lanes.Resume(t.Context(), w.state.Lanes); err != nil {
		t.Fatalf("the start ends: %v", err)
	}
	equal(t, "outcomes", map[uint64]string{1: queue.OutcomeDead, 2: queue.OutcomeDead, 3: queue.OutcomeDead}, w.settled(3))
}

// refusingBurials is a parking that keeps no dead letter of one lane until it may.
type refusingBurials struct {
	Parking
	lane  queue.Lane
	asked chan struct{} // closed when it was asked for one
	once  sync.Once
	may   atomic.Bool
}

func (r *refusingBurials) Bury(ctx context.Context, d *queue.Dead) (uint64, error) {
	if d.Lane == r.lane && !r.may.Load() {
		r.once.Do(func() { close(r.asked) })
		return 0, fmt.Errorf("bury: %w", queue.ErrFull)
	}
	return r.Parking.Bury(ctx, d)
}

// A large dead letter that finds no room holds up its own lane alone: the others
// read their large messages meanwhile.
func TestBurialThatWaitsHoldsUpNoOtherLane(t *testing.T) {
	w := newWorld(t, nil)
	full := &refusingBurials{Parking: w.queue, lane: queue.Lane{Destination: "a"}, asked: make(chan struct{})}
	w.lanes.parking = full
	for _, hook := range []string{"hooka", "hookb"} {
		w.chat.Set(hook, chat.Status(503, nil, ""))
	}
	w.deliver("a", "1")
	w.forgotten() // it is parked, and so is what comes behind it
	w.bulky("a", "broken", strings.Repeat("x", heavy))
	w.forgotten()
	w.chat.Set("hooka", chat.OK())
	<-full.asked
	w.bulky("b", "3", strings.Repeat("x", heavy))
	w.until("it is parked", func() bool { return w.queue.LineCount(queue.Lane{Destination: "b"}).Total > 0 })
	w.chat.Set("hookb", chat.OK())
	w.posts("hookb", 1)
	full.may.Store(true)
	equal(t, "outcomes", map[uint64]string{1: queue.OutcomeDelivered, 2: queue.OutcomeDead, 3: queue.OutcomeDelivered}, w.settled(3))
}
