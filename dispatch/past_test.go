package dispatch

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/routes"
)

// nobody is a table that sends nothing anywhere but "slow".
type nobody struct{ byProject }

func (n nobody) MatchAt(e *events.Event, _ time.Time) routes.Decision {
	if e.Project.Path == "slow" {
		return n.byProject.MatchAt(e, time.Time{})
	}
	return routes.Decision{Because: "no route wants it"}
}

// An event is decided again after a crash, by routes that are others: what was
// delivered, and what is parked, stays its delivery.
func TestChangedRoutesForgetNoDelivery(t *testing.T) {
	dir := t.TempDir()
	s := newStage(t, dir)
	slow := s.store("slow")
	quick, parked := s.store("quick"), s.store("parked")
	for range 3 {
		it := s.take()
		switch it.ID {
		case quick:
			s.settle(it)
		case parked:
			if _, err := s.Queue.Park(t.Context(), delivery.LaneOf(it.Address), []queue.Parked{{ID: it.ID, Webhook: *it.Webhook}}); err != nil {
				t.Fatal(err)
			}
			it.Done()
		}
	}
	for range 2 {
		s.stop()
		s = newStage(t, dir, func(o *Options) { o.Routes = nobody{} })
		if it := s.take(); it.ID != slow {
			t.Fatalf("%s is delivered again to %s", it.ID, it.Address)
		}
		end := s.store("slow")
		it := s.take()
		if it.ID != end {
			t.Fatalf("%s is delivered again to %s", it.ID, it.Address)
		}
		s.settle(it)
		if err := s.Journal.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]string{"quick": queue.OutcomeDelivered, "parked": ""}, s.outcomes(t, quick, parked)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	page, err := s.Queue.EventPage(context.Background(), queue.EventQuery{
		Decided: func(d *queue.Decision) bool { return d.Outcome == queue.OutcomeRouted },
	})
	if err != nil || len(page.Events) != 5 {
		t.Errorf("%d events are routed (%v), want all 5", len(page.Events), err)
	}
}

// outcomes are those of some events, by destination.
func (s *stage) outcomes(t *testing.T, ids ...queue.ID) map[string]string {
	t.Helper()
	page, err := s.Queue.EventPage(t.Context(), queue.EventQuery{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range page.Events {
		if !slices.Contains(ids, e.ID) {
			continue
		}
		for _, p := range e.Decision().Deliveries {
			got[p.Lane.Destination] = ""
			if p.Route != "R" {
				t.Errorf("%s went to %s by route %q", e.ID, p.Lane.Destination, p.Route)
			}
			if settled := e.Settlement(p.Lane); settled != nil {
				got[p.Lane.Destination] = settled.Outcome
			}
		}
	}
	return got
}
