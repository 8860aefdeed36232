package server

import (
	"context"
	"io"
	"net/http"
	"strings"
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
		d.usual.held = usualBudget
		begin := time.Now()
		go func() {
			time.Sleep(bodyWait - time.Second)
			d.usual.give(usualBudget)
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

// A large body counts for as long as anybody has it, not only until it is stored.
func TestLargeBodyCountsUntilItIsGone(t *testing.T) {
	var k kept
	d := door(t, &k, io.Discard)
	d.opt.MaxBody, d.wait = queue.MaxBodyLimit, 300*time.Millisecond
	body := `{"a":"` + strings.Repeat("x", 20<<20) + `"}`
	post := func() int { return answer(d, request("POST", "/hooks/gitlab", body)).Code }
	if got := post(); got != http.StatusAccepted {
		t.Fatalf("the first: %d", got)
	}
	if got := post(); got != http.StatusServiceUnavailable {
		t.Errorf("beside one that is kept: %d", got)
	}
	k.hooks[0].Body = nil
	d.wait = 10 * time.Second
	if got := post(); got != http.StatusAccepted {
		t.Errorf("after it has gone: %d", got)
	}
}
