package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// perProject is a relay.yaml that sends the issues of acme/1 to channel c1, and
// so on.
func perProject(hook string, projects int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "destinations: {chat: %q}\nroutes:\n", hook)
	for i := 1; i <= projects; i++ {
		fmt.Fprintf(&b, "  - {name: Project %d, when: {projects: acme/%d, events: issue.open}, to: \"chat#c%d\"}\n", i, i, i)
	}
	return b.String()
}

// acceptIssues sends issues first to last of each project, one after the other.
func (p *process) acceptIssues(projects, first, last int) {
	p.t.Helper()
	for n := first; n <= last; n++ {
		for i := 1; i <= projects; i++ {
			p.accept(issueHook, issue(fmt.Sprintf("acme/%d", i), n, 0))
		}
	}
}

// perChannel is which issues entries are about, by channel, in order.
func perChannel(t *testing.T, entries []chat.Entry) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, e := range entries {
		out[e.Channel] = append(out[e.Channel], issueOf(t, e))
	}
	return out
}

// issues are issues first to last of each project as perChannel gives them.
func issues(projects, first, last int) map[string][]string {
	out := map[string][]string{}
	for i := 1; i <= projects; i++ {
		for n := first; n <= last; n++ {
			channel := fmt.Sprintf("c%d", i)
			out[channel] = append(out[channel], fmt.Sprintf("acme/%d#%d", i, n))
		}
	}
	return out
}

// posted are all messages that people can see.
func posted(s *chat.Server, hook string) []chat.Entry {
	return slices.DeleteFunc(s.Entries(hook), func(e chat.Entry) bool { return !e.Posted() })
}

// awaitPost waits until a message about an issue was posted and answered.
func awaitPost(t *testing.T, s *chat.Server, hook, about string) {
	t.Helper()
	ctx := soon(t)
	for n := 1; ; {
		entries, err := s.WaitPosts(ctx, hook, n)
		if err != nil {
			t.Fatalf("%s: %v", about, err)
		}
		if slices.ContainsFunc(entries, func(e chat.Entry) bool { return issueOf(t, e) == about }) {
			return
		}
		n = len(entries) + 1
	}
}

// TestStoredBeforeAnswered kills the relay when it has answered 50 webhooks and
// the chat server none of its posts.
func TestStoredBeforeAnswered(t *testing.T) {
	t.Parallel()
	const channels, each = 5, 10
	mattermost := chatServer(t)
	mattermost.Set("hook", chat.Hang())
	here := install(t, perProject(mattermost.URL("hook"), channels))
	relay := here.start()
	relay.acceptIssues(channels, 1, each)
	tried, err := mattermost.WaitN(soon(t), "hook", channels)
	if err != nil {
		t.Fatal(err)
	}
	relay.kill()
	for channel, about := range perChannel(t, tried) {
		// More than one only where answering 50 webhooks took longer than an attempt.
		if about = slices.Compact(about); len(about) != 1 || !strings.HasSuffix(about[0], "#1") {
			t.Errorf("%s: tried %s before the first was posted", channel, about)
		}
	}

	mattermost.ResetLedger()
	mattermost.Set("hook", chat.OK())
	begin := time.Now()
	relay = here.start()
	if _, err := mattermost.WaitPosts(soon(t), "hook", channels*each); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	t.Logf("all %d were posted %s after the new start", channels*each, took.Round(time.Millisecond))
	if took > 15*time.Second {
		t.Errorf("it took %s until all were posted, want at most 15 s", took)
	}
	// What comes last in each lane shows that nothing more was to come.
	relay.acceptIssues(channels, each+1, each+1)
	if _, err := mattermost.WaitPosts(soon(t), "hook", channels*(each+1)); err != nil {
		t.Fatal(err)
	}
	relay.terminate()
	if diff := cmp.Diff(issues(channels, 1, each+1), perChannel(t, mattermost.Entries("hook"))); diff != "" {
		t.Errorf("posts by channel (-want +got):\n%s", diff)
	}
}

// TestKilledAgainAndAgain kills the relay in the middle of its work, three
// times. Each time a lane may repeat the one post that was in flight.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	const channels, each, kills = 4, 20, 3
	mattermost := chatServer(t)
	mattermost.Set("hook", chat.Delay(10*time.Millisecond))
	here := install(t, perProject(mattermost.URL("hook"), channels))
	relay := here.start()
	relay.acceptIssues(channels, 1, each-kills)
	for k := range kills {
		if _, err := mattermost.WaitPosts(soon(t), "hook", (k+1)*channels*each/(kills+2)); err != nil {
			t.Fatal(err)
		}
		relay.kill()
		relay = here.start()
		relay.acceptIssues(channels, each-kills+k+1, each-kills+k+1)
	}
	for i := 1; i <= channels; i++ {
		awaitPost(t, mattermost, "hook", fmt.Sprintf("acme/%d#%d", i, each))
	}
	relay.terminate()
	repeats := 0
	for channel, want := range issues(channels, 1, each) {
		got := perChannel(t, posted(mattermost, "hook"))[channel]
		once := slices.Compact(slices.Clone(got))
		if diff := cmp.Diff(want, once); diff != "" {
			t.Errorf("%s, immediate repeats left out (-want +got):\n%s", channel, diff)
		}
		if n := len(got) - len(once); n > kills {
			t.Errorf("%s: %d repeats after %d kills", channel, n, kills)
		} else {
			repeats += n
		}
	}
	t.Logf("%d kills, %d posts, %d of them repeats", kills, channels*each, repeats)
}

// TestKilledWhileALaneWaits: what was settled two runs ago stays settled,
// also while an older event still waits for its address.
func TestKilledWhileALaneWaits(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	mattermost.Set("slow", chat.Hang())
	here := install(t, fmt.Sprintf(`
destinations: {slow: %q, quick: %q}
routes:
  - {when: {projects: acme/slow, events: issue.open}, to: slow}
  - {when: {projects: acme/quick, events: issue.open}, to: quick}
`, mattermost.URL("slow"), mattermost.URL("quick")))
	relay := here.start()
	relay.accept(issueHook, issue("acme/slow", 1, 0))
	for run := range 3 {
		// The second post says that the first one's outcome is on disk.
		for n := 2*run + 1; n <= 2*run+2; n++ {
			relay.accept(issueHook, issue("acme/quick", n, 0))
			awaitPost(t, mattermost, "quick", fmt.Sprintf("acme/quick#%d", n))
		}
		if _, err := mattermost.WaitN(soon(t), "slow", run+1); err != nil {
			t.Fatal(err)
		}
		relay.kill()
		relay = here.start()
	}
	mattermost.Set("slow", chat.OK())
	mattermost.Release("slow")
	awaitPost(t, mattermost, "slow", "acme/slow#1")
	relay.accept(issueHook, issue("acme/quick", 7, 0))
	awaitPost(t, mattermost, "quick", "acme/quick#7")
	relay.terminate()
	var got []string
	times := map[string]int{}
	for _, about := range perChannel(t, posted(mattermost, "quick"))[""] {
		n := strings.TrimPrefix(about, "acme/quick#")
		got = append(got, n)
		times[n]++
	}
	if diff := cmp.Diff([]string{"1", "2", "3", "4", "5", "6", "7"}, slices.Compact(slices.Clone(got))); diff != "" {
		t.Errorf("posts, immediate repeats left out (-want +got):\n%s", diff)
	}
	for _, n := range []string{"1", "3", "5", "7"} {
		if times[n] != 1 {
			t.Errorf("%s was posted again after its outcome was on disk: %s", n, got)
		}
	}
}
