package delivery

import (
	"encoding/json"
	"log/slog"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

// Item is one delivery: one event for one address.
type Item struct {
	ID      queue.ID
	Nonce   queue.Nonce
	Webhook *queue.Webhook
	Event   *events.Event
	Address configs.Address
	Route   string
	File    string // of the route, if the configuration limits what that file may route
	Look    configs.Look
	Mention []string // as the chat writes them

	// Done is called once, when the journal or RELAY_PARKED holds the delivery
	// and its event may be forgotten.
	Done func()

	light         bool   // Webhook has no body, and Event is nil
	name, project string // of the event, then

	waiting time.Time // since when it stands in its lane
	parked  bool      // it stands in RELAY_PARKED too, or is about to
}

// LaneOf is the lane of an address.
func LaneOf(a configs.Address) queue.Lane { return queue.Lane(a) }

// AddressOf is the address of a lane.
func AddressOf(l queue.Lane) configs.Address { return configs.Address(l) }

func (i *Item) size() int { return len(i.Webhook.Body) }

// note is what a parked delivery remembers beside its webhook.
type note struct {
	Route   string       `json:"route"`
	File    string       `json:"file,omitempty"`
	Look    configs.Look `json:"look"`
	Mention []string     `json:"mention,omitempty"`
}

func (i *Item) park() queue.Parked {
	n, _ := json.Marshal(note{i.Route, i.File, i.Look, i.Mention}) // strings always marshal
	return queue.Parked{ID: i.ID, Nonce: i.Nonce, Webhook: *i.Webhook, Note: n}
}

// unknownFile is the file of a route of which nothing is known. No configuration has
// it, so that what it routed goes only where a route of today sends it.
const unknownFile = "?"

// unpark makes the item again that park wrote. A note that cannot be read costs the
// look and whom the message mentions, and that is logged.
func unpark(p queue.Parked, address configs.Address, light bool, log *slog.Logger) *Item {
	var n note
	if err := json.Unmarshal(p.Note, &n); err != nil {
		n = note{File: unknownFile}
		log.Warn("how a parked delivery shall look cannot be read; it looks as usual", "event_id", p.ID.String(), "address", address.String(), "err", err)
	}
	it := &Item{
		ID: p.ID, Nonce: p.Nonce, Webhook: &p.Webhook, Address: address, Route: n.Route, File: n.File, Look: n.Look, Mention: n.Mention, light: light,
		Done: func() {},
	}
	if !light {
		it.Event = events.Decode(events.NewInput(p.Webhook.Source, p.Webhook.Get, p.Webhook.Body))
	}
	return it
}

// Unpark makes the delivery again that was parked.
func Unpark(p queue.Parked, lane queue.Lane) *Item {
	return unpark(p, AddressOf(lane), false, slog.New(slog.DiscardHandler)) // its lane logs what is wrong
}
