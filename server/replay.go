package server

import (
	"context"
	"crypto/rand"
	"net/http"

	"github.com/gitlab-mattermost/relay/queue"
)

// replay stores an event again: POST /api/v1/events/{id}/replay.
func (a *api) replay(ctx context.Context, r *question) (any, error) {
	to, err := a.to(r)
	if err != nil {
		return nil, err
	}
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	if err := r.rejectUnknown(); err != nil {
		return nil, err
	}
	t, err := a.stored(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := a.open(t.Webhook, to); err != nil {
		return nil, err
	}
	id, err := a.queue.StoreReplay(ctx, t.Webhook, queue.Replay{Of: t.ID, To: to}, key)
	if err != nil {
		return nil, err
	}
	r.status = http.StatusAccepted
	return Replayed{ID: id.String(), Status: "accepted", ReplayOf: t.ID.String(), ReplayTo: to}, nil
}

// to reads the one address of a replay, if the request names one.
func (a *api) to(r *question) (string, error) {
	to, err := r.text("to")
	if err != nil || to == "" {
		return "", err
	}
	lane, err := a.relay.Lane(to)
	if err != nil {
		return "", wrong("to: %s", err)
	}
	return addressOf(lane), nil
}

// open refuses a replay to an address from which it would be withheld.
func (a *api) open(w *queue.Webhook, to string) error {
	if to == "" {
		return nil
	}
	lane, err := a.relay.Lane(to)
	if err != nil {
		return wrong("to: %s", err)
	}
	if err := a.relay.Withheld(w, lane); err != nil {
		return withheld(err)
	}
	return nil
}

// key is the request's Idempotency-Key, or a new one.
func (q *question) key() (string, error) {
	key := q.GetHeader("Idempotency-Key")
	if len(key) > 256 {
		return "", wrong("Idempotency-Key is longer than 256 characters")
	}
	if key == "" {
		key = rand.Text()
	}
	return key, nil
}
