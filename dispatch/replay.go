package dispatch

import (
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/routes"
)

// Direct decides on an event for one address, whatever the routes say; see
// [routes.Table.Direct].
type Direct func(e *events.Event, a configs.Address) routes.Decision

// match decides where an event goes, as the routes in force say.
func (d *Dispatcher) match(e *events.Event, w *queue.Webhook) routes.Decision {
	return Decide(d.Routes, d.Direct, e, w)
}

// Decide says where an event goes: a replay for one address goes there or nowhere.
func Decide(m Matcher, direct Direct, e *events.Event, w *queue.Webhook) routes.Decision {
	replay, _ := w.Replay()
	if replay.To == "" {
		return m.MatchAt(e, Arrival(w))
	}
	a, err := configs.ParseAddress(replay.To)
	if err != nil {
		return routes.Decision{Because: "the replay named something that is no address"}
	}
	return direct(e, a)
}

// Arrival is when a webhook was received, for the times of routes. For a replay it is
// the zero time: whoever asks for a replay wants it now.
func Arrival(w *queue.Webhook) time.Time {
	if _, again := w.Replay(); again {
		return time.Time{}
	}
	return w.Received
}
