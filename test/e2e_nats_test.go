package test

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// natsServer is a NATS server of another process, as far as a relay can tell,
// set up as one should be for a relay. It returns its URL.
func natsServer(t *testing.T) string {
	t.Helper()
	return startNATS(t).ClientURL()
}

func startNATS(t *testing.T) *server.Server {
	t.Helper()
	nats, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: 32 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	nats.Start()
	t.Cleanup(func() {
		nats.Shutdown()
		nats.WaitForShutdown()
	})
	if !nats.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not come up")
	}
	return nats
}

var (
	standingBy = regexp.MustCompile(`standing by`)
	fenced     = regexp.MustCompile(`another relay has taken over`)
)

// takeoverLimit is how long a standby may take until it posts: twice its
// silence of 5 s, and as much again for a busy machine.
const takeoverLimit = 20 * time.Second

// TestExternalNATS kills the relay that uses a NATS server, and starts another.
func TestExternalNATS(t *testing.T) {
	t.Parallel()
	const channels = 3
	mattermost := chatServer(t)
	here := install(t, perProject(mattermost.URL("hook"), channels), "--nats-url", natsServer(t))
	relay := here.start()
	relay.acceptIssues(channels, 1, 5)
	if _, err := mattermost.WaitPosts(soon(t), "hook", channels*5); err != nil {
		t.Fatal(err)
	}
	mattermost.Set("hook", chat.Hang())
	relay.acceptIssues(channels, 6, 10)
	if _, err := mattermost.WaitN(soon(t), "hook", channels*5+channels); err != nil {
		t.Fatal(err)
	}
	relay.kill()
	mattermost.Set("hook", chat.OK())
	begin := time.Now()
	relay = here.start()
	relay.acceptIssues(channels, 11, 11)
	if _, err := mattermost.WaitPosts(soon(t), "hook", channels*11); err != nil {
		t.Fatal(err)
	}
	t.Logf("all were posted %s after the new start", time.Since(begin).Round(time.Millisecond))
	relay.terminate()
	if diff := cmp.Diff(issues(channels, 1, 11), perChannel(t, posted(mattermost, "hook"))); diff != "" {
		t.Errorf("posts by channel (-want +got):\n%s", diff)
	}
}

// pair are two relays on one NATS server: the first dispatches, the second
// stands by. Both take webhooks.
func pair(t *testing.T, mattermost *chat.Server, channels int) (active, standby *process) {
	t.Helper()
	here := install(t, perProject(mattermost.URL("hook"), channels), "--nats-url", natsServer(t))
	active = here.start()
	active.acceptIssues(channels, 1, 1)
	if _, err := mattermost.WaitPosts(soon(t), "hook", channels); err != nil {
		t.Fatal(err)
	}
	standby = here.start()
	standby.await(&standby.stderr, standingBy)
	return active, standby
}

// TestTwoRelays: both take webhooks and one posts them; when it is killed the
// other goes on.
func TestTwoRelays(t *testing.T) {
	t.Parallel()
	const channels = 3
	mattermost := chatServer(t)
	active, standby := pair(t, mattermost, channels)
	for n := 2; n <= 20; n += 2 {
		active.acceptIssues(channels, n, n)
		standby.acceptIssues(channels, n+1, n+1)
	}
	if _, err := mattermost.WaitPosts(soon(t), "hook", channels*21); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(issues(channels, 1, 21), perChannel(t, mattermost.Entries("hook"))); diff != "" {
		t.Errorf("posts by channel while both run (-want +got):\n%s", diff)
	}
	if n := len(standby.attempts()); n > 0 {
		t.Errorf("the relay that stands by posted %d times", n)
	}

	mattermost.Set("hook", chat.Delay(20*time.Millisecond))
	standby.acceptIssues(channels, 22, 40)
	if _, err := mattermost.WaitPosts(soon(t), "hook", channels*25); err != nil {
		t.Fatal(err)
	}
	active.kill()
	begin := time.Now()
	standby.acceptIssues(channels, 41, 41)
	before := len(posted(mattermost, "hook"))
	entries, err := mattermost.WaitPosts(soon(t), "hook", before+1)
	if err != nil {
		t.Fatal(err)
	}
	took := entries[before].At.Sub(begin)
	t.Logf("the other relay posted %s after the kill", took.Round(time.Millisecond))
	if took > takeoverLimit {
		t.Errorf("it took %s until the other relay posted, want at most %s", took, takeoverLimit)
	}
	mattermost.Set("hook", chat.OK())
	everyIssue(t, mattermost, channels, 41, 1)
	standby.terminate()
	everyIssue(t, mattermost, channels, 41, 1)
}

// TestPausedRelayIsFenced: a relay that stood still while another took over
// posts nothing more of what it holds, but what it had begun: one message a lane
// comes twice at most.
func TestPausedRelayIsFenced(t *testing.T) {
	t.Parallel()
	const channels = 2
	mattermost := chatServer(t)
	active, standby := pair(t, mattermost, channels)
	standby.acceptIssues(channels, 2, 5)
	if _, err := mattermost.WaitPosts(soon(t), "hook", channels*5); err != nil {
		t.Fatal(err)
	}
	mattermost.Set("hook", chat.Hang())
	standby.acceptIssues(channels, 6, 30)
	if _, err := mattermost.WaitN(soon(t), "hook", channels*6); err != nil {
		t.Fatal(err)
	}
	active.signal(syscall.SIGSTOP)
	mattermost.Set("hook", chat.OK())
	mattermost.Release("hook") // what it had begun is posted, and it does not hear of it
	everyIssue(t, mattermost, channels, 30, 1)
	before := mattermost.Count("hook")
	active.signal(syscall.SIGCONT)
	active.await(&active.stderr, fenced)
	active.acceptIssues(channels, 31, 31)
	everyIssue(t, mattermost, channels, 31, 1)
	active.terminate()
	standby.terminate()
	everyIssue(t, mattermost, channels, 31, 1)
	for channel, about := range perChannel(t, mattermost.Entries("hook")[before:]) {
		late := slices.DeleteFunc(about, func(s string) bool { return strings.HasSuffix(s, "#31") })
		if late = slices.Compact(late); len(late) > 1 {
			t.Errorf("%s: the relay that had stood still went on with %s", channel, late)
		}
	}
}

// everyIssue waits until issues 1 to last of each project are posted, and wants
// them in order, with at most so many repeats a lane.
func everyIssue(t *testing.T, mattermost *chat.Server, projects, last, repeats int) {
	t.Helper()
	ctx := soon(t)
	for n := projects * last; ; n++ {
		if _, err := mattermost.WaitPosts(ctx, "hook", n); err != nil {
			t.Fatal(err)
		}
		missing := 0
		for channel, want := range issues(projects, 1, last) {
			got := perChannel(t, posted(mattermost, "hook"))[channel]
			if !slices.Contains(got, want[len(want)-1]) {
				missing++
				continue
			}
			var once []string
			for _, about := range got {
				if !slices.Contains(once, about) {
					once = append(once, about)
				}
			}
			if diff := cmp.Diff(want, once); diff != "" {
				t.Errorf("%s, repeats left out (-want +got):\n%s", channel, diff)
			}
			if n := len(got) - len(once); n > repeats {
				t.Errorf("%s: %d repeats, want at most %d", channel, n, repeats)
			}
		}
		if missing == 0 {
			return
		}
	}
}

// TestLastGoodWithExternalNATS: the last good copy of relay.yaml is kept below --data
// where the queue is elsewhere, too.
func TestLastGoodWithExternalNATS(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	const good = "destinations: {chat: \"${HOOK}\"}\nroutes: [{when: {events: all}, to: chat}]\n"
	here := install(t, good, "--nats-url", natsServer(t))
	here.env = append(here.env, "HOOK="+mattermost.URL("hook"))
	relay := here.start()
	relay.accept(issueHook, issue("acme/api", 1, 0))
	awaitPost(t, mattermost, "hook", "acme/api#1")
	relay.terminate()

	here.write("relay.yaml", "sources: {gitlab: {token: \"${TOKEN}\"}}\n"+good+"mistake: true\n")
	relay = here.start()
	relay.await(&relay.stderr, regexp.MustCompile(`the relay started with the last good copy of it`))
	relay.accept(issueHook, issue("acme/api", 2, 0))
	awaitPost(t, mattermost, "hook", "acme/api#2")
	relay.terminate()
}
