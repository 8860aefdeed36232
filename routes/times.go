package routes

import (
	"slices"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// MatchAt is [Table.Match] for an event whose webhook came at a time. At the zero time,
// which a replay has, the times of routes do not matter.
func (t *Table) MatchAt(e *events.Event, at time.Time) Decision {
	s := t.subject(e)
	s.arrive(at)
	return t.decide(s, nil)
}

// ExplainAt is [Table.Explain] for an event whose webhook came at a time, as for
// [Table.MatchAt].
func (t *Table) ExplainAt(e *events.Event, at time.Time) Explanation {
	s := t.subject(e)
	s.arrive(at)
	return t.explain(s)
}

// arrive notes when the webhook came.
func (s *subject) arrive(at time.Time) {
	if !at.IsZero() {
		s.at = at.UnixNano()
	}
}

// timesKey asks whether the webhook came in one of some times. Without a time it lets the
// route take the event, in when as in except.
func timesKey(w configs.Conditions, untimed bool) (key, bool) {
	if w.Times == nil {
		return key{}, false
	}
	named := w.Named
	return key{
		name: keyTimes, want: texts(w.Times),
		match: func(s *subject) bool {
			if s.at == 0 {
				return untimed
			}
			at := time.Unix(0, s.at)
			return slices.ContainsFunc(named, func(t *configs.Times) bool { return t.Include(at) })
		},
		got: func(s *subject) []string {
			if s.at == 0 {
				return nil
			}
			return []string{time.Unix(0, s.at).In(named[0].Spans[0].Zone).Format("Mon 2006-01-02 15:04 MST")}
		},
		note: func(s *subject) string {
			if s.at == 0 {
				return "times do not matter without a time of arrival"
			}
			return ""
		},
	}, true
}

// takenAnother tells whether a route takes the event at other times: then it is claimed,
// and not for unrouted.
func (t *Table) takenAnother(s *subject) bool {
	if !t.timed || s.at == 0 {
		return false
	}
	other := t.subject(s.event)
	for _, d := range t.decide(other, nil).Deliveries {
		if d.Route != unroutedName {
			return true
		}
	}
	return false
}
