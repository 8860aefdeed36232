package dispatch

import (
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// The clock on the wall jumps back between two webhooks of the same body: it
// does not make them one event.
func TestClockThatJumpsMakesNoRepeat(t *testing.T) {
	for _, jump := range []time.Duration{-365 * 24 * time.Hour, -time.Hour, time.Hour, 365 * 24 * time.Hour} {
		r := NewRepeats(RepeatsSize, nil)
		at := time.UnixMicro(1700000000000000)
		hook := func(key string, at time.Time) *queue.Webhook {
			return &queue.Webhook{Source: "gitlab", Body: []byte(`{}`), Received: at, Header: []queue.Field{{Name: "Idempotency-Key", Value: key}}}
		}
		r.sameEvent(queue.ID{Seq: 1}, hook("k1", at))
		if _, repeat := r.sameEvent(queue.ID{Seq: 2}, hook("k2", at.Add(jump))); repeat {
			t.Errorf("after a jump of %s another event is taken for the first", jump)
		}
		if _, repeat := r.sameEvent(queue.ID{Seq: 3}, hook("k3", at.Add(jump+time.Second))); !repeat {
			t.Errorf("after a jump of %s the same event from another hook is not recognised", jump)
		}
	}
}
