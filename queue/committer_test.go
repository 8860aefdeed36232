package queue

import (
	"context"
	"errors"
	"testing"
)

// The queue stands, and the sender has been told so: its body must not stay in
// memory behind everything that waits.
func TestWebhookNobodyWaitsForIsLetGo(t *testing.T) {
	q := &Queue{ctx: t.Context()}
	q.committer = &committer{q: q, waiting: make(chan *pending, 1), done: make(chan struct{})} // one that never comes to it
	ctx, hangUp := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := q.Store(ctx, hook(`{}`))
		ended <- err
	}()
	p := <-q.committer.waiting
	if p.hook.Load() == nil {
		t.Fatal("nothing waits to be stored")
	}
	hangUp()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("stored: %v", err)
	}
	if p.hook.Load() != nil {
		t.Error("the body is still held")
	}
}

// What was let go leaves no trace among those that are still waited for.
func TestCommitterPassesOverWhatWasLetGo(t *testing.T) {
	q := open(t, Options{})
	for i := range 3 {
		for range i {
			q.committer.waiting <- &pending{done: make(chan stored, 1)}
		}
		id := store(t, q, `{}`)
		e, err := q.envelope(t.Context(), id.Seq)
		if err != nil || id.Seq != uint64(i+1) || id.Index != 0 || len(e.Webhooks) != 1 {
			t.Errorf("after %d: stored as %s beside %d (%v)", i, id, len(e.Webhooks)-1, err)
		}
	}
}
