package dispatch

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/queue"
)

// One delivery stays open while the relay is restarted again and again: what
// was settled or parked above it in the first run, or in one between, must be
// known to every later one, although each recovers from what the last one
// recorded.
func TestSecondRestartRemembersWhatIsSettled(t *testing.T) {
	dir := t.TempDir()
	s := newStage(t, dir)
	slow := s.store("slow")
	s.store("quick")
	s.store("parked")
	for range 3 {
		it := s.take()
		switch it.Address.Destination {
		case "quick":
			s.settle(it)
		case "parked":
			if _, err := s.Queue.Park(t.Context(), delivery.LaneOf(it.Address), []queue.Parked{{ID: it.ID, Webhook: *it.Webhook}}); err != nil {
				t.Fatal(err)
			}
			it.Done()
		}
	}
	for restart := range 3 {
		s.stop()
		s = newStage(t, dir)
		end := s.store("end")
		var got []string
		for it := s.take(); ; it = s.take() {
			if it.ID == end {
				s.settle(it)
				break
			}
			got = append(got, it.ID.String()+" "+it.Address.String())
		}
		if diff := cmp.Diff([]string{slow.String() + " slow"}, got); diff != "" {
			t.Errorf("delivered after restart %d (-want +got):\n%s", restart+1, diff)
		}
	}
}

// The relay dies after it took over, before it dispatches: what it writes until
// then must name what it recovered, so that the next start recovers it again.
func TestStartThatDispatchesNothingForgetsNothing(t *testing.T) {
	dir := t.TempDir()
	s := newStage(t, dir)
	slow := s.store("slow")
	s.store("quick")
	for range 2 {
		if it := s.take(); it.ID != slow {
			s.settle(it)
		}
	}
	s.stop()
	for range 2 {
		q, j, state := lead(t, queue.Options{Dir: dir})
		New(options(q, j, state, &hands{}, io.Discard))
		if err := j.Write(t.Context(), &queue.LaneState{Lane: queue.Lane{Destination: "other"}, State: queue.LaneParked}); err != nil {
			t.Fatal(err)
		}
		q.Close() // nothing more reaches the disk
		j.Close()
	}
	s = newStage(t, dir)
	s.store("end")
	if it := s.take(); it.ID != slow {
		t.Errorf("first delivered: %s to %s", it.ID, it.Address)
	}
	if it := s.take(); it.Address.Destination != "end" {
		t.Errorf("then delivered: %s to %s", it.ID, it.Address)
	}
}
