package test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
)

// TestOneAddressTwoRoutes: an address gets an event once, however many routes
// name it.
func TestOneAddressTwoRoutes(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	relay := install(t, fmt.Sprintf(`
destinations:
  team: {url: %q, channel: reviews}
routes:
  - {name: Issues, when: {events: issue}, to: "team#dev"}
  - {name: All of acme, when: {projects: acme/**, events: all}, to: ["team#dev", team]}
  - {name: Reviews, when: {events: issue.open}, to: ["team#reviews", team]}
`, mattermost.URL("hook"))).start()
	for n := 1; n <= 3; n++ {
		relay.accept(issueHook, issue("acme/api", n, 0))
	}
	if _, err := mattermost.WaitPosts(soon(t), "hook", 6); err != nil {
		t.Fatal(err)
	}
	relay.terminate()
	want := []string{"acme/api#1", "acme/api#2", "acme/api#3"}
	if diff := cmp.Diff(map[string][]string{"dev": want, "reviews": want}, perChannel(t, mattermost.Entries("hook"))); diff != "" {
		t.Errorf("posts by channel (-want +got):\n%s", diff)
	}
}

// TestSlackPayload: a destination of kind slack gets Slack's mrkdwn, one of kind
// mattermost Markdown, of the same event.
func TestSlackPayload(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	relay := install(t, fmt.Sprintf(`
destinations:
  ours: {url: %q}
  theirs: {url: %q, kind: slack, channel: partners, username: GitLab, icon: ":fox_face:"}
routes:
  - {when: {events: issue.open}, to: [ours, theirs]}
`, mattermost.URL("ours"), mattermost.URL("theirs"))).start()
	relay.accept(issueHook, issue("acme/api", 7, 0))
	messages := map[string]string{}
	for _, hook := range []string{"ours", "theirs"} {
		posts, err := mattermost.WaitPosts(soon(t), hook, 1)
		if err != nil {
			t.Fatal(err)
		}
		messages[hook] = string(posts[0].Raw)
		if got := posts[0].Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: Content-Type %s, want application/json", hook, got)
		}
	}
	relay.terminate()
	const link = "https://gitlab.example/acme/api/-/issues/7"
	ours, theirs := gjson.Get(messages["ours"], "text").String(), gjson.Get(messages["theirs"], "text").String()
	if !strings.Contains(ours, "]("+link+")") || strings.Contains(ours, "<"+link) {
		t.Errorf("Mattermost's text has no Markdown link: %s", ours)
	}
	if !strings.Contains(theirs, "<"+link+"|") || strings.Contains(theirs, "](") || strings.Contains(theirs, "**") {
		t.Errorf("Slack's text has no link of mrkdwn: %s", theirs)
	}
	if !strings.Contains(theirs, "number &lt;7&gt;") {
		t.Errorf("Slack's text has < and > of the title as they are: %s", theirs)
	}
	want := []string{"partners", "GitLab", ":fox_face:"}
	var got []string
	for _, field := range gjson.GetMany(messages["theirs"], "channel", "username", "icon_emoji") {
		got = append(got, field.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("channel, username and icon of Slack's payload (-want +got):\n%s", diff)
	}
}

// TestResent: GitLab's repeats of one request carry one Idempotency-Key, and
// make one message.
func TestResent(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	relay := install(t, everything(mattermost.URL("hook"))).start()
	for n := 1; n <= 3; n++ {
		for range 2 {
			req := webhook(soon(t), relay.hook, issueHook, issue("acme/api", n, 0))
			req.Header.Set("Idempotency-Key", fmt.Sprintf("key-%d", n))
			a, err := roundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			a.id(t)
		}
	}
	relay.accept(issueHook, issue("acme/api", 4, 0)) // without a key nothing is a repeat
	relay.accept(issueHook, issue("acme/api", 4, 0))
	if _, err := mattermost.WaitPosts(soon(t), "hook", 5); err != nil {
		t.Fatal(err)
	}
	relay.terminate()
	want := []string{"acme/api#1", "acme/api#2", "acme/api#3", "acme/api#4", "acme/api#4"}
	if diff := cmp.Diff(want, perChannel(t, mattermost.Entries("hook"))[""]); diff != "" {
		t.Errorf("posts (-want +got):\n%s", diff)
	}
}

// TestRepeatWindow: the metrics tell how long the window of repeats is. The
// memory limit is the relay's own and as much as the window takes on top; a limit
// of the environment's stays as it is.
func TestRepeatWindow(t *testing.T) {
	t.Parallel()
	const own, table = 150 << 20, 1024*48 + 1024*64 // the smallest part for keys, and for bodies
	for name, c := range map[string]struct {
		env  []string
		want float64
	}{
		"the relay's own":   {nil, own + table},
		"the environment's": {[]string{"GOMEMLIMIT=200MiB"}, 200 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mattermost := chatServer(t)
			here := install(t, everything(mattermost.URL("hook")))
			here.env = append(here.env, c.env...)
			relay := here.start()
			req := webhook(soon(t), relay.hook, issueHook, issue("acme/api", 1, 0))
			req.Header.Set("Idempotency-Key", "key")
			if _, err := roundTrip(req); err != nil {
				t.Fatal(err)
			}
			if _, err := mattermost.WaitPosts(soon(t), "hook", 1); err != nil {
				t.Fatal(err)
			}
			if got := relay.gauge("relay_repeat_window_seconds"); got != "600" {
				t.Errorf("the window is %s s long, want 600", got)
			}
			if got, err := strconv.ParseFloat(relay.gauge("go_gc_gomemlimit_bytes"), 64); err != nil || got != c.want {
				t.Errorf("the memory limit is %.0f bytes (%v), want %.0f", got, err, c.want)
			}
			relay.terminate()
		})
	}
}
