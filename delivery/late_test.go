package delivery

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/formatters"
	"github.com/gitlab-mattermost/relay/queue"
)

// asked is a formatter that tells what it was asked for.
type asked chan formatters.Request

func (a asked) Render(ctx context.Context, r formatters.Request) (formatters.Post, error) {
	a <- r
	return plainly{}.Render(ctx, r)
}

// TestLatenessCountsFromTheWebhook: how late a message is counts from when its
// webhook came, and of a replay from when the original did.
func TestLatenessCountsFromTheWebhook(t *testing.T) {
	requests := make(asked, 1)
	w := newWorld(t, func(w *world) { w.formatter = requests })
	came := time.Now().Add(-2 * time.Hour).Truncate(time.Microsecond)
	first := came.Add(-24 * time.Hour)
	body := []byte(`{"object_kind":"push","title":"x"}`)
	for i, tt := range []struct {
		header []queue.Field
		want   time.Time
	}{
		{nil, came},
		{[]queue.Field{{Name: "Relay-Received", Value: strconv.FormatInt(first.UnixMicro(), 10)}}, first},
	} {
		w.undone.Add(1)
		if err := w.lanes.Deliver(t.Context(), &Item{
			ID:      queue.ID{Seq: uint64(i) + 1},
			Webhook: &queue.Webhook{Source: "gitlab", Received: came, Header: tt.header, Body: body},
			Event:   events.Decode(events.Input{Body: body}), Address: configs.Address{Destination: "a"}, Done: func() { w.undone.Add(-1) },
		}); err != nil {
			t.Fatal(err)
		}
		if r := <-requests; !r.Received.Equal(tt.want) || r.Now.Before(came.Add(2*time.Hour)) {
			t.Errorf("came %v, written %v, want %v", r.Received, r.Now, tt.want)
		}
		w.forgotten()
	}
}
