package test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// TestAnswersDoNotWait: GitLab has its answers while the chat server keeps its
// first request open.
func TestAnswersDoNotWait(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	closed := make(chan struct{})
	var once sync.Once
	mattermost.Set("hook", chat.Func(func(x *chat.Exchange) {
		x.Wait()
		once.Do(func() { close(closed) })
	}))
	relay := install(t, everything(mattermost.URL("hook"))).start()
	relay.accept(issueHook, issue("acme/api", 1, 0))
	if _, err := mattermost.WaitN(soon(t), "hook", 1); err != nil {
		t.Fatal(err)
	}
	slowest := time.Duration(0)
	for n := 2; n <= 21; n++ {
		begin := time.Now()
		relay.accept(issueHook, issue("acme/api", n, 0))
		slowest = max(slowest, time.Since(begin))
	}
	select {
	case <-closed:
		t.Error("the relay's first request to the chat was over before 20 webhooks were answered")
	default:
	}
	t.Logf("the slowest of 20 answers took %s", slowest.Round(100*time.Microsecond))
}

// TestDeadDestination: what one destination never answers piles up, and another
// one notices nothing of it.
func TestDeadDestination(t *testing.T) {
	t.Parallel()
	const waiting, living = 2000, 100
	mattermost := chatServer(t)
	mattermost.Set("dead", chat.Hang())
	here := install(t, fmt.Sprintf(`
destinations: {dead: %q, living: %q}
routes:
  - {when: {projects: acme/dead, events: issue.open}, to: dead}
  - {when: {projects: acme/living, events: issue.open}, to: living}
`, mattermost.URL("dead"), mattermost.URL("living")), hurried...) // a slow machine piles up for longer than an attempt may take
	relay := here.start()

	pile := make(chan error, 1)
	half := make(chan struct{})
	ctx := soon(t)
	go func() {
		pile <- pool(waiting, 8, func(i int) error {
			if i == waiting/2 {
				close(half)
			}
			a, err := roundTrip(webhook(ctx, relay.hook, issueHook, issue("acme/dead", i+1, 8<<10)))
			if err == nil && a.status != 202 {
				err = fmt.Errorf("webhook %d is answered %d %s", i, a.status, a.body)
			}
			return err
		})
	}()
	select {
	case <-half:
	case err := <-pile:
		t.Fatal(err)
	}
	begin := time.Now()
	var want []string
	for n := 1; n <= living; n++ {
		relay.accept(issueHook, issue("acme/living", n, 0))
		want = append(want, fmt.Sprintf("acme/living#%d", n))
	}
	posts, err := mattermost.WaitPosts(soon(t), "living", living)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d messages to the living destination took %s", living, time.Since(begin).Round(time.Millisecond))
	if err := <-pile; err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range posts {
		got = append(got, issueOf(t, e))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("posts to the living destination (-want +got):\n%s", diff)
	}
	if n := len(mattermost.Posts("dead")); n != 0 {
		t.Errorf("%d posts to the dead destination", n)
	}
	relay.memory(250 << 20)

	// And nothing of the pile is lost.
	mattermost.Set("dead", chat.OK())
	mattermost.Release("dead")
	begin = time.Now()
	posts, err = mattermost.WaitPosts(soon(t), "dead", waiting)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d messages to the destination that came back took %s", waiting, time.Since(begin).Round(time.Millisecond))
	times := map[string]int{}
	for _, e := range posts {
		times[issueOf(t, e)]++
	}
	if len(times) != waiting {
		t.Errorf("%d of %d issues were posted", len(times), waiting)
	}
	relay.memory(250 << 20)
}

// memory logs how much memory the process had at most, and wants it to be below
// a number of bytes.
func (p *process) memory(most int) {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if os.IsNotExist(err) {
		return // no Linux
	}
	if err != nil {
		p.t.Fatal(err)
	}
	kilobytes := map[string]int{}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kilobytes[name], _ = strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
	}
	peak := kilobytes["VmHWM"] << 10
	p.t.Logf("memory: %d MiB, at most %d MiB", kilobytes["VmRSS"]>>10, peak>>20)
	if peak == 0 || peak > most && !raceDetector {
		p.t.Errorf("it took %d MiB of memory, want at most %d MiB", peak>>20, most>>20)
	}
}
