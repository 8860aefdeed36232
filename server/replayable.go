package server

import (
	"context"

	"github.com/gitlab-mattermost/relay/queue"
)

// What of the events that filters choose is to be replayed.
const (
	replayableNew   = "new"   // what came from GitLab, and was not replayed yet, or in vain
	replayableAgain = "again" // what came from GitLab
)

// maxReplays is how many replays are looked at, the newest ones; older ones count
// as if they had not been.
const maxReplays = 1 << 17

// replayable reads which events are wanted: "" is all of them.
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

// onlyReplayable narrows a query to what a replay by its filters is for: no
// replays, which stand for what they replay, and for replayableNew nothing whose
// latest replay got somewhere or is on its way.
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

// latestReplays are the last of those that there are of each event. A replay of
// a replay is one of what came from GitLab.
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

// wanted tells whether an event was not replayed, or in vain, and notes it if it
// was.
func (r replayed) wanted(id queue.ID) bool {
	t := r.latest[id]
	if t == nil || inVain(t) {
		return true
	}
	r.skipped[id] = true
	return false
}

// inVain tells whether nobody got a replay, or waits for it, or had it from
// another replay by the same request.
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

// skippedOn counts what was left out on a page: what is older than its last event
// is on the next one.
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
