package server

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/queue"
)

// unrouted is an event that no route took.
func (d *desk) unrouted() queue.ID {
	d.t.Helper()
	id := d.store(`{}`)
	d.write(&queue.Decision{ID: id, Time: d.now, Received: d.now, Source: "gitlab", Event: "push", Project: "acme/api", Outcome: queue.OutcomeUnrouted})
	return id
}

// replayed replays an event and records what became of that.
func (d *desk) replayed(of queue.ID, outcome string, lanes map[queue.Lane]string) queue.ID {
	d.t.Helper()
	one := read[Replayed](d, http.StatusAccepted, http.MethodPost, "/api/v1/events/"+of.String()+"/replay", "")
	id, err := queue.ParseID(one.ID)
	if err != nil {
		d.t.Fatal(err)
	}
	if outcome == "" {
		return id
	}
	rec := &queue.Decision{
		ID: id, Time: time.Now(), Received: time.Now(), Source: "gitlab", Event: "push", Project: "acme/api", Outcome: outcome, Replay: queue.Replay{Of: of},
	}
	if outcome == queue.OutcomeRepeat {
		rec.Repeats = []queue.Planned{{Lane: dev, Route: "Team", Reason: "it came"}}
	}
	for l := range lanes {
		rec.Deliveries = append(rec.Deliveries, queue.Planned{Lane: l, Route: "Team"})
	}
	d.write(rec)
	for l, how := range lanes {
		if how != "" {
			d.write(&queue.Settled{ID: id, Lane: l, Time: time.Now(), Outcome: how, Attempts: 1})
		}
	}
	return id
}

// What a replay by filters is for: each event that came from GitLab, unless its
// latest replay got somewhere or may yet.
func TestReplayable(t *testing.T) {
	d := newDesk(t)
	wanted := map[string]bool{} // by id
	var all []string
	add := func(want bool, id queue.ID) {
		wanted[id.String()] = want
		all = append([]string{id.String()}, all...)
	}
	add(true, d.unrouted())
	for _, c := range []struct {
		want    bool
		outcome string
		lanes   map[queue.Lane]string
	}{
		{true, queue.OutcomeUnrouted, nil},
		{true, queue.OutcomeWithheld, nil},
		{true, queue.OutcomeRouted, map[queue.Lane]string{dev: queue.OutcomeDead}},
		{false, queue.OutcomeRouted, map[queue.Lane]string{dev: queue.OutcomeDead, person: queue.OutcomeDelivered}},
		{false, queue.OutcomeRouted, map[queue.Lane]string{dev: queue.OutcomeDead, person: ""}},
		{false, queue.OutcomeRouted, map[queue.Lane]string{dev: queue.OutcomeDelivered}},
		{false, queue.OutcomeRepeat, nil},
	} {
		id := d.unrouted()
		add(c.want, id)
		d.replayed(id, c.outcome, c.lanes)
	}
	delivered := map[queue.Lane]string{dev: queue.OutcomeDelivered}
	vainly := d.unrouted() // the latest counts
	d.replayed(vainly, queue.OutcomeRouted, delivered)
	d.replayed(vainly, queue.OutcomeUnrouted, nil)
	add(true, vainly)
	chain := d.unrouted() // a replay of a replay is one of the first
	d.replayed(d.replayed(chain, queue.OutcomeUnrouted, nil), queue.OutcomeRouted, delivered)
	add(false, chain)
	undecided := d.unrouted()
	d.replayed(undecided, "", nil) // nobody has read it yet
	add(false, undecided)

	var fresh []string
	for _, id := range all {
		if wanted[id] {
			fresh = append(fresh, id)
		}
	}
	for query, want := range map[string]struct {
		ids     []string
		skipped int
	}{
		"?replayable=new":                                     {fresh, len(all) - len(fresh)},
		"?replayable=again":                                   {all, 0},
		"?replayable=new&outcome=unrouted":                    {fresh, len(all) - len(fresh)},
		"?replayable=again&outcome=unrouted&since=2001-01-01": {all, 0},
		"?replayable=new&outcome=delivered":                   {nil, 0},
		"?replayable=new&project=other/*":                     {nil, 0},
	} {
		list := get[EventList](d, "/api/v1/events"+query)
		if diff := cmp.Diff(want.ids, ids(list)); diff != "" || list.Skipped != want.skipped {
			t.Errorf("%s: %d skipped, want %d (-want +got):\n%s", query, list.Skipped, want.skipped, diff)
		}
	}
	for limit := 1; limit <= len(fresh); limit++ {
		var got []string
		skipped := 0
		for path := fmt.Sprintf("/api/v1/events?replayable=new&limit=%d", limit); path != ""; {
			list := get[EventList](d, path)
			got, skipped = append(got, ids(list)...), skipped+list.Skipped
			path = ""
			if list.Next != "" {
				path = fmt.Sprintf("/api/v1/events?replayable=new&limit=%d&page=%s", limit, list.Next)
			}
		}
		if diff := cmp.Diff(fresh, got); diff != "" || skipped != len(all)-len(fresh) {
			t.Errorf("in pages of %d: %d skipped (-want +got):\n%s", limit, skipped, diff)
		}
	}
	if status, text := d.ask("GET", "/api/v1/events?replayable=yes", ""); status != http.StatusBadRequest {
		t.Errorf("%d %s", status, text)
	}
}

// An event that nobody has read yet was replayed already too.
func TestReplayableBeforeItIsDecided(t *testing.T) {
	d := newDesk(t)
	first, second := d.store(`{}`), d.store(`{}`)
	d.replayed(first, "", nil)
	list := get[EventList](d, "/api/v1/events?replayable=new&outcome=waiting")
	if diff := cmp.Diff([]string{second.String()}, ids(list)); diff != "" || list.Skipped != 1 {
		t.Errorf("%d skipped (-want +got):\n%s", list.Skipped, diff)
	}
}

func ids(list EventList) (out []string) {
	for _, e := range list.Events {
		out = append(out, e.ID)
	}
	return out
}
