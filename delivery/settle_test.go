package delivery

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/gitlab-mattermost/relay/queue"
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
