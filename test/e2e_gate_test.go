package test

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// secretIssue is a confidential issue whose title is in clear in each post.
func secretIssue(project string, n int) []byte {
	body := bytes.Replace(issue(project, n, 0), []byte(`"action":"open"`), []byte(`"action":"open","confidential":true`), 1)
	return bytes.Replace(body, []byte("number "), []byte("topsecret "), 1)
}

// resend sends a webhook as GitLab's Resend does: under the key of the first time.
func (p *process) resend(event, key string, body []byte) string {
	p.t.Helper()
	req := webhook(soon(p.t), p.hook, event, body)
	req.Header.Set("Idempotency-Key", key)
	a, err := roundTrip(req)
	if err != nil {
		p.t.Fatal(err)
	}
	return a.id(p.t)
}

// TestGateHoldsWhatWaits: a chat is away while confidential events wait for it; then
// somebody takes the channel out of confidential, and the chat comes back. Nothing
// confidential is posted there, by a reload as by a restart. The events are listed as
// withheld, and once the channel may have them, a Resend and a replay bring them.
func TestGateHoldsWhatWaits(t *testing.T) {
	t.Parallel()
	const confidentialHook = "Confidential Issue Hook"
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %t", restart), func(t *testing.T) {
			t.Parallel()
			mattermost := chatServer(t)
			yaml := func(gate, only, fence string) string {
				return fmt.Sprintf("sources: {gitlab: {token: \"${TOKEN}\"}}\ndestinations:\n  mm: {url: %q%s}\n  partner: {url: %q%s}\n"+
					"include: {files: team.yaml, projects: [acme/%s]}\nroutes: [{name: Issues, when: {projects: acme/api, events: issue}, to: [mm#dev, partner]}]\n",
					mattermost.URL("mm"), gate, mattermost.URL("k3tb6pyw"), only, fence)
			}
			open, closed := yaml(", confidential: [dev]", "", "pay"), yaml("", ", only: {visibility: public}", "other")
			here := install(t, "destinations: {}")
			here.write("team.yaml", "routes: [{name: Team, when: {events: issue}, to: mm#pay}]\n")
			here.write("relay.yaml", open)
			for _, hook := range []string{"mm", "k3tb6pyw"} {
				mattermost.Set(hook, chat.Status(http.StatusServiceUnavailable, nil, ""))
			}
			relay := here.start("--pace", "0.002")
			secret := relay.resend(confidentialHook, "one", secretIssue("acme/api", 1)) // to partner it is withheld from the first
			relay.accept(issueHook, issue("acme/api", 2, 0))
			relay.accept(issueHook, issue("acme/pay", 3, 0))
			relay.until(`relay_parked_deliveries{destination="mm"}`, "3")
			relay.until(`relay_parked_deliveries{destination="partner"}`, "1")

			if restart {
				relay.terminate()
				here.write("relay.yaml", closed)
				relay = here.start("--pace", "0.002")
			} else {
				here.write("relay.yaml", closed)
				relay.await(&relay.stderr, regexp.MustCompile(`"relay.yaml loaded"`))
			}
			for _, hook := range []string{"mm", "k3tb6pyw"} {
				mattermost.Set(hook, chat.OK())
			}
			posts, err := mattermost.WaitPosts(soon(t), "mm", 1)
			if err != nil {
				t.Fatal(err)
			}
			if got := issueOf(t, posts[0]); got != "acme/api#2" {
				t.Errorf("posted %s, want acme/api#2 alone", got)
			}
			relay.comes(here, `(?m)^`+secret+` .* withheld .* mm#dev \(withheld: confidential\)`, "events", "--outcome", "withheld")
			relay.comes(here, `✗ mm#dev \(route Issues\): withheld when its turn came: confidential`, "explain", secret)
			relay.comes(here, `(?m)mm#pay \(withheld: fence\)`, "events", "--outcome", "withheld")
			relay.comes(here, `(?m) delivered .* partner \(withheld: only\)`, "events", "--outcome", "withheld")
			relay.until(`relay_parked_deliveries{destination="mm"}`, "0")
			relay.until(`relay_dead_letters`, "0")

			here.write("relay.yaml", open)
			relay.await(&relay.stderr, regexp.MustCompile(map[bool]string{true: `"relay.yaml loaded"`, false: `(?s)"relay.yaml loaded".*"relay.yaml loaded"`}[restart]))
			relay.resend(confidentialHook, "one", secretIssue("acme/api", 1))
			if _, err = mattermost.WaitPosts(soon(t), "mm", 2); err != nil {
				t.Fatal(err)
			}
			relay.ask(here, "replay", secret)
			if _, err = mattermost.WaitPosts(soon(t), "mm", 3); err != nil {
				t.Fatal(err)
			}
			relay.terminate()
			for _, e := range mattermost.Posts("mm")[1:] {
				if e.Channel != "dev" || !strings.Contains(e.Text, "topsecret") {
					t.Errorf("posted to %q: %q", e.Channel, e.Text)
				}
			}
			if n := len(mattermost.Posts("k3tb6pyw")); n > 0 {
				t.Errorf("partner got %d messages through a closed gate", n)
			}
		})
	}
}
