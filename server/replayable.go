package server

import (
	"context"

	"github.com/gitlab-mattermost/relay/queue"
)

// Which of the filtered events are replayed.
const (
	replayableNew   = "new"   // those from GitLab without a replay that was delivered or is in progress
	replayableAgain = "again" // all from GitLab
)

// maxReplays is how many replays are read, the newest ones. Older ones are ignored.
const maxReplays = 1 << 17

// replayable reads which events are wanted; "" means all.
func (q *question) replayable() (string, error) {
	word, err := q.text("replayable")
	if err == nil && word != "" && word != replayableNew && word != replayableAgain {
		err = wrong("replayable %q is none; there is %s and %s", word, replayableNew, replayableAgain)
	}
	return word, err
}

// replayed is what is known of replays.
type replayed struct {
	latest  map[queue.ID]*queue.Trace // by what came from GitLab
	skipped map[queue.ID]bool
}

// onlyReplayable narrows a query to the events that a replay by filters sends: never
// replays themselves, and for replayableNew no event whose latest replay was delivered
// or is in progress.
func (a *api) onlyReplayable(ctx context.Context, query *queue.EventQuery, word string) (replayed, error) {
	known := replayed{skipped: map[queue.ID]bool{}}
	if word == replayableNew {
		page, err := a.queue.EventPage(ctx, queue.EventQuery{
			Since: query.Since, Limit: maxReplays, Undecided: query.Undecided,
			Decided: func(d *queue.Decision) bool { return d.Replay.Of != queue.ID{} },
		})
		if err != nil {
			return known, err
		}
		known.latest = latestReplays(page.Events)
	}
	decided, settled := query.Decided, query.Settled
	query.Decided = func(d *queue.Decision) bool {
		original := d.Replay.Of == queue.ID{}
		return original && decided(d) && (d.Outcome != "" || known.wanted(d.ID)) // without outcome it is not asked for by settled
	}
	query.Settled = func(t *queue.Trace, parked func(queue.Lane) bool) bool {
		return (settled == nil || settled(t, parked)) && known.wanted(t.ID)
	}
	return known, nil
}

// latestReplays returns the latest replay of each event from GitLab. A replay of a
// replay counts for the original event.
func latestReplays(newestFirst []*queue.Trace) map[queue.ID]*queue.Trace {
	of := map[queue.ID]queue.ID{}
	for _, t := range newestFirst {
		of[t.ID] = t.Decision().Replay.Of
	}
	latest := map[queue.ID]*queue.Trace{}
	for _, t := range newestFirst {
		first := t.ID
		for next, ok := of[first]; ok && next.Less(first); next, ok = of[first] {
			first = next
		}
		if latest[first] == nil {
			latest[first] = t
		}
	}
	return latest
}

// wanted reports whether an event has no replay that was delivered or is in progress.
// Others are added to skipped.
func (r replayed) wanted(id queue.ID) bool {
	t := r.latest[id]
	if t == nil || inVain(t) {
		return true
	}
	r.skipped[id] = true
	return false
}

// inVain reports whether a replay was delivered to no address, waits for none, and
// repeats no other replay of the same request.
func inVain(t *queue.Trace) bool {
	d := t.Decision()
	if d.Outcome == "" || d.Outcome == queue.OutcomeRepeat || len(d.Repeats) > 0 {
		return false
	}
	for _, p := range d.Deliveries {
		if s := t.Settlement(p.Lane); s == nil || s.Outcome == queue.OutcomeDelivered {
			return false
		}
	}
	return true
}

// skippedOn counts the skipped events of a page. Those older than its last event
// belong to the next page.
func (r replayed) skippedOn(p queue.EventPage) int {
	if !p.More {
		return len(r.skipped)
	}
	n := 0
	for id := range r.skipped {
		if p.Events[len(p.Events)-1].ID.Less(id) {
			n++
		}
	}
	return n
}
