package test

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
	"github.com/gitlab-mattermost/relay/test/cluster"
)

// natsCluster begins to build and start a NATS cluster of three servers, which
// is there until the end of the test. The function that it returns waits for it.
func natsCluster(t *testing.T) func() *cluster.Cluster {
	t.Helper()
	dir, ctx := t.TempDir(), soon(t)
	var c *cluster.Cluster
	var failed error
	up := make(chan struct{})
	go func() {
		defer close(up)
		var binary string
		if binary, failed = cluster.Build(ctx, root, dir); failed == nil {
			c, failed = cluster.Start(ctx, cluster.Options{Binary: binary, Dir: filepath.Join(dir, "nats")})
		}
	}()
	t.Cleanup(func() {
		<-up
		if failed != nil {
			return
		}
		c.Close()
		if t.Failed() {
			for _, n := range c.Nodes {
				t.Logf("%s printed:\n%s", n.Name, tailOf(n.Log()))
			}
		}
	})
	return func() *cluster.Cluster {
		t.Helper()
		if <-up; failed != nil {
			t.Fatal(failed)
		}
		return c
	}
}

// startAtOnce starts so many relays at the same moment.
func startAtOnce(t *testing.T, here *installation, n int) []*process {
	t.Helper()
	relays := make([]*process, n)
	var all sync.WaitGroup
	for i := range relays {
		all.Go(func() { relays[i] = here.start() })
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return relays
}

// TestCluster: two relays begin at the same moment on an empty cluster. The
// server that leads the stream of webhooks is killed while webhooks come in,
// then the relay that posts.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("the election of a leader takes up to 9 s")
	}
	const channels = 3
	begun := natsCluster(t) // it takes time, which the other tests need not see
	t.Parallel()
	mattermost, nats := chatServer(t), begun()
	here := install(t, perProject(mattermost.URL("hook"), channels), "--nats-url", nats.URL(), "--replicas", "3")
	relays := startAtOnce(t, here, 2)
	for n := 1; n <= 10; n++ {
		relays[n%2].acceptIssues(channels, n, n)
	}
	if _, err := mattermost.WaitPosts(soon(t), "hook", channels*10); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(issues(channels, 1, 10), perChannel(t, mattermost.Entries("hook"))); diff != "" {
		t.Errorf("posts by channel while all is well (-want +got):\n%s", diff)
	}

	code, _, stderr := here.run("serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats-url", nats.URL())
	if code != 1 || !strings.Contains(stderr, "it has 3 copies and --replicas says 1") {
		t.Errorf("a relay that was not told of the copies ends with %d and says %s", code, stderr)
	}

	leader, err := nats.Leader(t.Context(), queue.Events)
	if err != nil {
		t.Fatal(err)
	}
	leader.Kill()
	begin := time.Now()
	relays[0].acceptIssues(channels, 11, 15) // 202, or the test fails
	t.Logf("webhooks were accepted %s after %s, the leader, was killed", time.Since(begin).Round(time.Millisecond), leader.Name)
	relays[1].acceptIssues(channels, 16, 20)
	everyIssue(t, mattermost, channels, 20, 0)
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	if err := nats.Settled(soon(t)); err != nil {
		t.Fatal(err)
	}

	active, standby := relays[0], relays[1]
	if len(standby.attempts()) > 0 {
		active, standby = standby, active
	}
	mattermost.Set("hook", chat.Delay(20*time.Millisecond))
	standby.acceptIssues(channels, 21, 40)
	if _, err := mattermost.WaitPosts(soon(t), "hook", channels*25); err != nil {
		t.Fatal(err)
	}
	active.kill()
	mattermost.Set("hook", chat.OK())
	begin = time.Now()
	standby.acceptIssues(channels, 41, 41)
	everyIssue(t, mattermost, channels, 41, 1)
	t.Logf("the other relay had posted everything %s after the kill", time.Since(begin).Round(time.Millisecond))
	standby.terminate()
}
