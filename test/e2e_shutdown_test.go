package test

import (
	"fmt"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// stopLimit is how long a relay may take to end after TERM: the 10 s that it
// promises, and half as much for a busy machine.
const stopLimit = 15 * time.Second

var stopping = regexp.MustCompile(`"msg":"stopping`)

// stop sends TERM and returns how long the relay took to end with code 0.
func (p *process) stop() time.Duration {
	p.t.Helper()
	begin := time.Now()
	p.terminate()
	took := time.Since(begin)
	if took > stopLimit {
		p.t.Errorf("it took %s to end, want at most %s", took, stopLimit)
	}
	return took.Round(time.Millisecond)
}

// TestTermUnderTraffic stops a relay while posts are in flight and webhooks
// keep coming. The senders know what was answered; all of that is in the chat
// after the next start, once.
func TestTermUnderTraffic(t *testing.T) {
	t.Parallel()
	const senders = 4
	mattermost := chatServer(t)
	mattermost.Set("hook", chat.Delay(20*time.Millisecond))
	here := install(t, perProject(mattermost.URL("hook"), senders))
	relay := here.start()
	ctx := soon(t)
	accepted := make([]int, senders)
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for n := 1; ; n++ {
				a, err := roundTrip(webhook(ctx, relay.hook, issueHook, issue(fmt.Sprintf("acme/%d", s+1), n, 0)))
				if err != nil || a.status != 202 {
					return // this one is GitLab's to send again
				}
				accepted[s] = n
			}
		})
	}
	if _, err := mattermost.WaitPosts(ctx, "hook", 40); err != nil {
		t.Fatal(err)
	}
	took := relay.stop()
	all.Wait()
	before := len(mattermost.Entries("hook"))

	relay = here.start()
	total := 0
	for s, n := range accepted {
		total += n
		// The one that was not answered may have been stored all the same.
		relay.accept(issueHook, issue(fmt.Sprintf("acme/%d", s+1), n+2, 0))
	}
	for s, n := range accepted {
		awaitPost(t, mattermost, "hook", fmt.Sprintf("acme/%d#%d", s+1, n+2))
	}
	relay.stop()
	got := perChannel(t, mattermost.Entries("hook"))
	for s, n := range accepted {
		channel := fmt.Sprintf("c%d", s+1)
		want := issues(senders, 1, n)[channel]
		if unanswered := fmt.Sprintf("acme/%d#%d", s+1, n+1); len(got[channel]) == n+2 {
			want = append(want, unanswered)
		}
		want = append(want, fmt.Sprintf("acme/%d#%d", s+1, n+2))
		if diff := cmp.Diff(want, got[channel]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", channel, diff)
		}
	}
	t.Logf("ended %s after TERM; %d webhooks answered, %d of them in the chat by then", took, total, before)
}

// TestTermWhileTheChatHangs: what is in flight gets its time, then the relay
// ends all the same.
func TestTermWhileTheChatHangs(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	mattermost.Set("hook", chat.Hang())
	here := install(t, perProject(mattermost.URL("hook"), 2))
	relay := here.start()
	relay.acceptIssues(2, 1, 3)
	if _, err := mattermost.WaitN(soon(t), "hook", 2); err != nil {
		t.Fatal(err)
	}
	t.Logf("ended %s after TERM", relay.stop())
	here.delivers(mattermost, 2, 3)
}

// TestSecondTerm does not wait for what is in flight.
func TestSecondTerm(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	mattermost.Set("hook", chat.Hang())
	here := install(t, perProject(mattermost.URL("hook"), 2))
	relay := here.start()
	relay.acceptIssues(2, 1, 3)
	if _, err := mattermost.WaitN(soon(t), "hook", 2); err != nil {
		t.Fatal(err)
	}
	relay.signal(syscall.SIGTERM)
	relay.await(&relay.stderr, stopping)
	begin := time.Now()
	relay.signal(syscall.SIGTERM)
	code := relay.exit()
	took := time.Since(begin)
	if code != 1 || took > 5*time.Second {
		t.Errorf("ended with %d, %s after the second TERM; want 1, at once", code, took)
	}
	t.Logf("ended %s after the second TERM", took.Round(time.Millisecond))
	here.delivers(mattermost, 2, 3)
}

// delivers starts the relay again, with a chat that answers, and wants each
// issue of the projects in it once, in order.
func (i *installation) delivers(mattermost *chat.Server, projects, last int) {
	i.t.Helper()
	mattermost.ResetLedger()
	mattermost.Set("hook", chat.OK())
	relay := i.start()
	if _, err := mattermost.WaitPosts(soon(i.t), "hook", projects*last); err != nil {
		i.t.Fatal(err)
	}
	relay.terminate()
	if diff := cmp.Diff(issues(projects, 1, last), perChannel(i.t, mattermost.Entries("hook"))); diff != "" {
		i.t.Errorf("posts by channel (-want +got):\n%s", diff)
	}
}
