package delivery

import (
	"cmp"
	"time"

	"github.com/gitlab-mattermost/relay/formatters"
	"github.com/gitlab-mattermost/relay/queue"
)

// Unpark makes the delivery again that was parked.
func Unpark(p queue.Parked, lane queue.Lane) *Item { return unpark(p, AddressOf(lane), false) }

// Try writes a delivery's message as its lane would, and forgets it: whoever
// asks wants to know whether the process survives that.
func (s *Lanes) Try(it *Item) {
	l := s.lane(LaneOf(it.Address))
	if l == nil {
		return
	}
	dest := l.dest.config.Load()
	if dest == nil {
		return
	}
	_, _ = s.formatter.Render(s.kill, formatters.Request{ // what it returns will be returned again
		Event: it.Event, Kind: dest.Kind, Channel: cmp.Or(l.name.Channel, dest.Channel), Look: it.Look, Mention: it.Mention,
		People: s.people(l.name.Destination), Now: time.Now(), Received: it.Webhook.FirstReceived(),
	})
}
