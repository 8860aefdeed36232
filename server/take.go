package server

import (
	"context"
	"fmt"

	"github.com/gitlab-mattermost/relay/queue"
)

// Outcomes of messages that were taken out of the line of their address, beside those of
// package queue.
const (
	OutcomeMoved   = "moved"   // to another address
	OutcomeDropped = "dropped" // because nobody wants it any more
)

// Take asks for messages to be taken out of the line of an address.
type Take struct {
	Address string `json:"address"`
	To      string `json:"to,omitempty"` // where they go; "": they are dropped

	After queue.Place `json:"after"` // in the line
}

// TakenParked is what became of some of the messages that waited for an address.
type TakenParked struct {
	Moved   []MovedMessage `json:"moved"`
	Dropped []string       `json:"dropped"` // ids of events
	Kept    []KeptMessage  `json:"kept"`
	Next    string         `json:"next,omitempty"` // page of those behind these
}

// placePage is how a page names a place in a line.
const placePage = "%d.%d"

// Behind makes the answer name the place in the line to continue behind.
func (t *TakenParked) Behind(at queue.Place) { t.Next = fmt.Sprintf(placePage, at.Seq, at.Index) }

// MovedMessage is a message that goes to another address now.
type MovedMessage struct {
	EventID string `json:"event_id"`
	ID      string `json:"id"` // of the event that it is stored as
}

// KeptMessage is a message that still waits for its own address.
type KeptMessage struct {
	EventID string `json:"event_id"`
	Error   string `json:"error"` // for people
}

// moveParked sends what waits for an address to another one: POST /api/v1/parked/move.
func (a *api) moveParked(ctx context.Context, r *question) (any, error) {
	to, err := a.to(r)
	if err != nil {
		return nil, err
	}
	if to == "" {
		return nil, wrong("to: name the address that the messages go to")
	}
	return a.takeParked(ctx, r, to)
}

// dropParked drops what waits for an address: POST /api/v1/parked/drop.
func (a *api) dropParked(ctx context.Context, r *question) (any, error) {
	return a.takeParked(ctx, r, "")
}

func (a *api) takeParked(ctx context.Context, r *question, to string) (any, error) {
	t := Take{To: to}
	var err error
	if t.Address, err = r.text("address"); err != nil {
		return nil, err
	}
	page, err := r.text("page")
	if err != nil {
		return nil, err
	}
	if err := r.rejectUnknown(); err != nil {
		return nil, err
	}
	if page != "" {
		if _, err := fmt.Sscanf(page, placePage, &t.After.Seq, &t.After.Index); err != nil {
			return nil, wrong("page: it takes what the last answer said under next")
		}
	}
	if t.Address == "" {
		return nil, wrong("address: name the one whose messages are meant")
	}
	lane, err := a.relay.Lane(t.Address)
	if err != nil {
		return nil, wrong("address: %s", err)
	}
	if t.Address = addressOf(lane); t.Address == to {
		return nil, wrong("to: the messages wait for %s already", to)
	}
	out := TakenParked{Moved: []MovedMessage{}, Dropped: []string{}, Kept: []KeptMessage{}}
	taken, err := a.relay.Take(ctx, t)
	if err != nil {
		return nil, err
	}
	out.Moved, out.Dropped, out.Kept, out.Next = append(out.Moved, taken.Moved...), append(out.Dropped, taken.Dropped...), append(out.Kept, taken.Kept...), taken.Next
	return out, nil
}

// takenAway reports whether an outcome is of a delivery that somebody took out of its line.
func takenAway(outcome string) bool {
	return outcome == OutcomeMoved || outcome == OutcomeDropped
}
