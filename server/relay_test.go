package server

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gitlab-mattermost/relay/queue"
)

// standIn is a relay of which tests say what it answers. Where they say nothing, all
// is well: it has the destination mm, whose channel closed is closed.
type standIn struct {
	ready, reload error
	config        any
	sources       SourceList
	about         About
	clean         func(string) string
	withheld      func(*queue.Webhook, queue.Lane) error
	lanes         func(context.Context) (LaneList, error)
	take          func(context.Context, Take) (TakenParked, error)
	retry         func(ctx context.Context, address string) ([]TriedLane, error)
}

func (s *standIn) Ready(context.Context) error { return s.ready }
func (s *standIn) Reload() error               { return s.reload }
func (s *standIn) Config() any                 { return s.config }
func (s *standIn) About() About                { return s.about }
func (s *standIn) Sources() SourceList         { return s.sources }

func (s *standIn) Describe(*queue.Webhook) Description {
	return Description{"push", "acme/api", "Fix", "ada"}
}

func (s *standIn) Decide(w *queue.Webhook) any {
	return map[string]any{"config": "relay.yaml", "size": len(w.Body)}
}

func (s *standIn) Lane(address string) (queue.Lane, error) {
	name, channel, _ := strings.Cut(address, "#")
	if name != "mm" {
		return queue.Lane{}, fmt.Errorf("there is no destination %q", name)
	}
	return queue.Lane{Destination: name, Channel: channel}, nil
}

func (s *standIn) Withheld(w *queue.Webhook, from queue.Lane) error {
	if s.withheld != nil {
		return s.withheld(w, from)
	}
	if from.Channel == "closed" {
		return errors.New("withheld from mm#closed: the event is confidential")
	}
	return nil
}

func (s *standIn) Routed(address string) bool { return address != "mm#unrouted" }

func (s *standIn) Take(ctx context.Context, t Take) (TakenParked, error) {
	if s.take == nil {
		return TakenParked{}, queue.ErrNobodyDispatches
	}
	return s.take(ctx, t)
}

func (s *standIn) InWords(lane queue.Lane, text string) string {
	if text == "" {
		return ""
	}
	return lane.Channel + " says " + text
}

func (s *standIn) Lanes(ctx context.Context) (LaneList, error) {
	if s.lanes == nil {
		return LaneList{}, nil
	}
	return s.lanes(ctx)
}

func (s *standIn) Retry(ctx context.Context, address string) ([]TriedLane, error) {
	if s.retry == nil {
		return make([]TriedLane, 2), nil
	}
	return s.retry(ctx, address)
}

func (s *standIn) Clean(text string) string {
	if s.clean == nil {
		return text
	}
	return s.clean(text)
}
