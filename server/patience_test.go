package server

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// A webhook that has waited for memory waits so much less for the queue: GitLab
// does not wait for both.
func TestOnePatienceForAllWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := door(t, storeFunc(func(ctx context.Context, _ *queue.Webhook) (queue.ID, error) {
			<-ctx.Done()
			return queue.ID{}, context.Cause(ctx)
		}), io.Discard)
		d.opt.StoreTimeout = 9 * time.Second // as with a server elsewhere
		full := fill(d.verified.usual)
		begin := time.Now()
		go func() {
			time.Sleep(bodyWait - time.Second)
			d.verified.usual.Release(full)
		}()
		w := answer(d, request("POST", "/hooks/gitlab", `{}`))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("answered %d %v", w.Code, w.Header())
		}
		if took := time.Since(begin); took != patience {
			t.Errorf("it took %s, want %s", took, patience)
		}
	})
}
