package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// ask runs a command against a running relay, wants it to succeed, and returns
// what it prints.
func (p *process) ask(i *installation, args ...string) string {
	p.t.Helper()
	code, stdout, stderr := i.run(append(args, "--admin-url", "http://"+p.admin)...)
	if code != 0 {
		p.t.Fatalf("relay %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// refuse wants a command to fail with this exit code, and returns what it says.
func (p *process) refuse(i *installation, want int, args ...string) string {
	p.t.Helper()
	code, stdout, stderr := i.run(append(args, "--admin-url", "http://"+p.admin)...)
	if code != want {
		p.t.Errorf("relay %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, want, stdout, stderr)
	}
	return stderr
}

// comes asks a command again and again until what it prints matches: the journal
// is written a moment after what it tells of.
func (p *process) comes(i *installation, want string, args ...string) []string {
	p.t.Helper()
	pattern := regexp.MustCompile(want)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for ctx := soon(p.t); ; {
		text := p.ask(i, args...)
		if m := pattern.FindStringSubmatch(text); m != nil {
			return m
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			p.t.Fatalf("relay %s does not come to print %s:\n%s", strings.Join(args, " "), want, text)
		}
	}
}

// TestNothingAppears: somebody misses a message. The list of events has it as
// unrouted, and explain says which key of which route kept it, then and now; and
// when the route is mended, the event is sent after all.
func TestNothingAppears(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	const routes = "destinations: {mm: %q}\nroutes:\n  - {name: Team, when: {projects: %s, events: issue}, to: mm#dev}\n"
	here := install(t, fmt.Sprintf(routes, mattermost.URL("hook"), "acme/api"))
	relay := here.start()
	id := relay.accept(issueHook, issue("acme/web", 7, 0))

	relay.comes(here, `(?m)^`+id+` .* unrouted +issue.open +acme/web +\S+ +nearest Team: projects: want acme/api, got acme/web$`, "events", "--project", "acme/*", "--outcome", "unrouted")
	text := relay.ask(here, "explain", id)
	for _, want := range []string{
		"event " + id + `: issue.open in acme/web "number <7>"`,
		"then, ", "no route took it; nearest was Team: projects: want acme/api, got acme/web",
		"now, by relay.yaml:", "✗ when.projects  want acme/api  got acme/web", "goes nowhere",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("explain %s does not say %q:\n%s", id, want, text)
		}
	}

	here.write("relay.yaml", "sources: {gitlab: {token: \"${TOKEN}\"}}\n"+fmt.Sprintf(routes, mattermost.URL("hook"), "acme/**"))
	relay.await(&relay.stderr, regexp.MustCompile(`"relay.yaml loaded"`))
	text = relay.ask(here, "explain", id, "--expect", "mm#dev")
	if !strings.Contains(text, "nearest was Team") || !strings.Contains(text, "goes to mm#dev (route Team)") {
		t.Errorf("after the change explain says:\n%s", text)
	}
	again := regexp.MustCompile(`(?m)^(\S+) replays ` + id + `$`).FindStringSubmatch(relay.ask(here, "replay", "--outcome", "unrouted", "--since", "1h"))
	if again == nil {
		t.Fatal("replay does not say as what")
	}
	posts, err := mattermost.WaitPosts(soon(t), "hook", 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := issueOf(t, posts[0]); got != "acme/web#7" {
		t.Errorf("posted %s", got)
	}
	relay.comes(here, `then, .*\n  ✓ mm#dev \(route Team\): delivered, `, "explain", again[1])
	relay.comes(here, `was replayed as `+again[1], "explain", id)
	relay.terminate()
	if n := mattermost.Count("hook"); n != 1 {
		t.Errorf("%d posts, want 1", n)
	}
}

// TestDeadLetterIsReplayedOnce: a destination is taken out of relay.yaml while
// messages wait for it. They are listed as dead letters, and once it is back
// they are delivered exactly once, however often that is asked for.
func TestDeadLetterIsReplayedOnce(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	mattermost.Set("hook", chat.Status(404, nil, ""))
	const other = "sources: {gitlab: {token: \"${TOKEN}\"}}\ndestinations: {screen: {kind: log}%s}\nroutes: [{when: {events: issue}, to: %s}]\n"
	with := fmt.Sprintf(other, fmt.Sprintf(", mm: %q", mattermost.URL("hook")), "mm#dev")
	here := install(t, with)
	relay := here.start()
	id := relay.accept(issueHook, issue("acme/api", 1, 0))
	relay.comes(here, `(?m)^mm#dev +parked +1 `, "parked", "list")
	here.write("relay.yaml", fmt.Sprintf(other, "", "screen"))
	number := relay.comes(here, `(?m)^(\d+) +`+id+` .* mm#dev +issue.open +acme/api +.*no longer in relay.yaml`, "deadletters", "list", "--project", "acme/**")[1]
	relay.comes(here, `(?m)^`+id+` .* dead +issue.open .* dead letter `+number+`\)`, "events", "--outcome", "dead")
	shown := relay.ask(here, "deadletters", "show", number)
	if !strings.Contains(shown, `dead letter `+number+`: issue.open in acme/api "number <1>" for mm#dev`) || !strings.Contains(shown, "X-Gitlab-Event: Issue Hook") {
		t.Errorf("shown as:\n%s", shown)
	}
	if text := relay.refuse(here, 2, "deadletters", "replay", number); !strings.Contains(text, "its own address is gone") {
		t.Errorf("replay to an address that is gone: %s", text)
	}

	mattermost.Set("hook", chat.OK())
	before := mattermost.Count("hook")
	here.write("relay.yaml", with)
	relay.comes(here, `"mm"`, "explain", id, "-o", "json") // its own relay.yaml
	relay.await(&relay.stderr, regexp.MustCompile(`(?s)"relay.yaml loaded".*"relay.yaml loaded"`))
	again := regexp.MustCompile(`dead letter ` + number + `: (\S+) replays ` + id + ` to mm#dev`).FindStringSubmatch(relay.ask(here, "deadletters", "replay", number))
	if again == nil {
		t.Fatal("replay does not say as what")
	}
	if _, err := mattermost.WaitPosts(soon(t), "hook", 1); err != nil {
		t.Fatal(err)
	}
	if text := relay.refuse(here, 1, "deadletters", "replay", number); !strings.Contains(text, "there is no dead letter "+number) {
		t.Errorf("asked again: %s", text)
	}
	if text := relay.ask(here, "deadletters", "list"); text != "no dead letters\n" {
		t.Errorf("the list after the replay:\n%s", text)
	}
	relay.comes(here, `(?m)^`+again[1]+` .* delivered +issue.open +acme/api +\S+ +mm#dev, replays `+id, "events")
	relay.terminate()
	if n := mattermost.Count("hook") - before; n != 1 {
		t.Errorf("%d posts after the replay, want 1", n)
	}
}

// TestParkedIsRetried: an address refuses, so that its messages wait; the list
// says why and when it is tried next, and once it is mended nobody has to wait
// for that.
func TestParkedIsRetried(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	mattermost.Set("hook", chat.Status(404, nil, ""))
	here := install(t, everything(mattermost.URL("hook")))
	relay := here.start()
	for n := 1; n <= 3; n++ {
		relay.accept(issueHook, issue("acme/api", n, 0))
	}
	line := relay.comes(here, `(?m)^\S+ +parked +3 .* in ([345]m\d+s|6m0s) +there is no incoming webhook at this URL`, "parked", "list")
	t.Log(line[0])
	var list struct {
		Lanes []struct {
			Address, State, Event, Reason string
			Count                         int
			Next                          time.Time `json:"next_probe"`
			Oldest                        time.Time
		}
		Live bool
	}
	if err := json.Unmarshal([]byte(relay.ask(here, "parked", "list", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Lanes) != 1 || !list.Live || list.Lanes[0].Event != "1-0" || list.Lanes[0].Oldest.IsZero() || !list.Lanes[0].Next.After(list.Lanes[0].Oldest) {
		t.Errorf("the list holds %+v", list)
	}
	mattermost.Set("hook", chat.OK())
	if text := relay.ask(here, "parked", "retry", list.Lanes[0].Address); text != list.Lanes[0].Address+" takes messages again\n" {
		t.Errorf("retry says %q", text)
	}
	posts, err := mattermost.WaitPosts(soon(t), "hook", 3)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"acme/api#1", "acme/api#2", "acme/api#3"}, perChannel(t, posts)[""]); diff != "" {
		t.Errorf("posts (-want +got):\n%s", diff)
	}
	relay.comes(here, `^nothing is parked\n$`, "parked", "list")
	if text := relay.ask(here, "parked", "retry", "--all"); text != "nothing is parked there\n" {
		t.Errorf("retry of nothing says %q", text)
	}
	relay.terminate()
}

// TestReplayIsIdempotent: the same request for a replay, sent again because its
// answer was lost, posts once, also when the relay was killed in between.
func TestReplayIsIdempotent(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	here := install(t, everything(mattermost.URL("hook")))
	relay := here.start()
	id := relay.accept(issueHook, fmt.Appendf(nil, `{"object_kind":"issue","user":{"name":"Jane"},"project":{"path_with_namespace":"acme/api","web_url":"https://gitlab.example/acme/api"},
		"object_attributes":{"iid":1,"title":"Old","action":"open","created_at":%q,"updated_at":%[1]q,"url":"https://gitlab.example/acme/api/-/issues/1"}}`,
		time.Now().Add(-3*time.Hour).UTC().Format("2006-01-02 15:04:05 UTC")))
	if _, err := mattermost.WaitPosts(soon(t), "hook", 1); err != nil {
		t.Fatal(err)
	}
	mattermost.Set("hook", chat.Hang()) // the replay is on its way when the relay dies
	first := relay.ask(here, "replay", id, "--idempotency-key", "one")
	if _, err := mattermost.WaitN(soon(t), "hook", 2); err != nil {
		t.Fatal(err)
	}
	relay.kill()
	mattermost.Set("hook", chat.OK())
	relay = here.start()
	second := relay.ask(here, "replay", id, "--idempotency-key", "one")
	third := relay.ask(here, "replay", id, "--idempotency-key", "two")
	if first != second || second == third {
		t.Errorf("replayed as %q, again as %q, with another key as %q", first, second, third)
	}
	posts, err := mattermost.WaitPosts(soon(t), "hook", 3)
	if err != nil {
		t.Fatal(err)
	}
	last := relay.accept(issueHook, issue("acme/api", 2, 0))
	relay.comes(here, `(?m)^`+last+` .* delivered `, "events")
	relay.terminate()
	if n := len(posted(mattermost, "hook")); n != 4 {
		t.Errorf("%d posts, want 4: the event, two replays, and the last one", n)
	}
	if text := string(posts[2].Raw); strings.Contains(text, " late") {
		t.Errorf("the issue is old, but its webhook has just come: %s", text)
	}
}

// TestReplayLeaksNothing: what is confidential goes nowhere that may not have
// it, whoever asks for it.
func TestReplayLeaksNothing(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	here := install(t, fmt.Sprintf("destinations: {mm: {url: %q, confidential: [security]}}\nroutes: [{when: {events: issue}, to: mm#dev}]\n", mattermost.URL("hook")))
	relay := here.start()
	secret := strings.Replace(string(issue("acme/api", 1, 0)), `"object_attributes":{`, `"object_attributes":{"confidential":true,`, 1)
	id := relay.accept("Confidential Issue Hook", []byte(secret))
	relay.comes(here, `(?m)^`+id+` .* withheld .* withheld from mm#dev \(confidential\)`, "events", "--outcome", "withheld")
	if text := relay.refuse(here, 1, "replay", id, "--to", "mm#dev"); !strings.Contains(text, "withheld from mm#dev: the event is confidential") {
		t.Errorf("replay to a channel that may not have it: %s", text)
	}
	relay.ask(here, "replay", id) // by the routes, which hold it back too
	relay.ask(here, "replay", id, "--to", "mm#security")
	posts, err := mattermost.WaitPosts(soon(t), "hook", 1)
	if err != nil {
		t.Fatal(err)
	}
	relay.comes(here, `(?s)2-0 .* withheld `, "events")
	relay.terminate()
	if diff := cmp.Diff(map[string][]string{"security": {"acme/api#1"}}, perChannel(t, mattermost.Entries("hook"))); diff != "" || len(posts) != 1 {
		t.Errorf("posts by channel (-want +got):\n%s", diff)
	}
}

// TestStandbyAnswers: of two relays on one NATS server, the one that stands by
// answers from what both have, and passes on what only the other can do.
func TestStandbyAnswers(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	active, standby := pair(t, mattermost, 1)
	here := install(t, everything(mattermost.URL("hook")))
	mattermost.Set("hook", chat.Status(404, nil, ""))
	id := active.accept(issueHook, issue("acme/1", 2, 0))
	standby.comes(here, `(?m)^`+id+` .* parked +issue.open `, "events")
	standby.comes(here, "(?m)^chat#c1 +parked +1 .* no channel `c1` in the webhook's team", "parked", "list")
	if text := standby.ask(here, "explain", id); !strings.Contains(text, "no channel `c1` in the webhook's team, or it is archived (404)") {
		t.Errorf("the standby explains it without the attempt:\n%s", text)
	}
	mattermost.Set("hook", chat.OK())
	if text := standby.ask(here, "parked", "retry", "--all"); text != "chat#c1 takes messages again\n" {
		t.Errorf("the standby's retry says %q", text)
	}
	if _, err := mattermost.WaitPosts(soon(t), "hook", 2); err != nil {
		t.Fatal(err)
	}
	standby.ask(here, "replay", id)
	if _, err := mattermost.WaitPosts(soon(t), "hook", 3); err != nil {
		t.Fatal(err)
	}
	mattermost.Set("hook", chat.Status(404, nil, ""))
	active.accept(issueHook, issue("acme/1", 3, 0))
	standby.comes(here, `(?m)^chat#c1 +parked +1 `, "parked", "list")
	if text := standby.ask(here, "parked", "move", "chat#c1", "chat#renamed"); text != "1 message moved from chat#c1 to chat#renamed\n" {
		t.Errorf("the standby's move says %q", text)
	}
	standby.comes(here, `(?m)^chat#renamed +parked +1 `, "parked", "list")
	mattermost.Set("hook", chat.OK())
	standby.ask(here, "parked", "retry", "--all")
	standby.comes(here, `(?m) delivered .* chat#renamed, replays `, "events")
	active.kill()
	if text := standby.ask(here, "events", "--limit", "1"); !strings.Contains(text, "issue.open") {
		t.Errorf("without the other relay, events says:\n%s", text)
	}
}

// TestLongTitle: a title that is long and has no space is shown in the list as far as
// there is room.
func TestLongTitle(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	here := install(t, everything(mattermost.URL("hook")))
	relay := here.start()
	title := strings.Repeat("修", 200)
	relay.accept(issueHook, bytes.ReplaceAll(issue("acme/api", 1, 0), []byte("number "), []byte(title)))
	relay.comes(here, `"title": "修{119}…"`, "events", "-o", "json")
	relay.terminate()
}

// TestAdminPagesHoldNoSecret walks every page of the admin API after everything
// went wrong with secrets in every place.
func TestAdminPagesHoldNoSecret(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	here, names := secretInstallation(t, mattermost)
	token := here.write("admin-token", canary+"-admin-token-of-the-test\n")
	relay := here.start("--admin-token-file", token)
	good := sendSecrets(t, relay)
	if _, err := mattermost.WaitPosts(soon(t), hookSecret("fine"), good); err != nil {
		t.Error(err)
	}
	secret, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	page := func(method, path string) (int, string) {
		req, err := http.NewRequestWithContext(context.WithoutCancel(soon(t)), method, "http://"+relay.admin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
		a, err := roundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		leaks(t, method+" "+path, a.body)
		return a.status, a.body
	}
	if status, _ := relay.get("/api/v1/events"); status != http.StatusUnauthorized {
		t.Errorf("without its token: %d, want 401", status)
	}
	var list struct{ Events []struct{ ID string } }
	_, text := page(http.MethodGet, "/api/v1/events?limit=200")
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Events) < good {
		t.Fatalf("%d events, want %d: %v", len(list.Events), good, err)
	}
	for _, e := range list.Events {
		for _, path := range []string{"", "/body", "/decision"} {
			if status, text := page(http.MethodGet, "/api/v1/events/"+e.ID+path); status != http.StatusOK {
				t.Errorf("%s%s: %d %s", e.ID, path, status, text)
			} else if !json.Valid([]byte(text)) {
				t.Errorf("%s%s is no JSON", e.ID, path)
			}
		}
	}
	for path, want := range map[string]int{
		"/api/v1/parked": 200, "/api/v1/sources": 200, "/api/v1/config": 200, "/api/v1/deadletters": 200,
	} {
		status, text := page(http.MethodGet, path)
		if status != want {
			t.Errorf("%s: %d %s, want %d", path, status, text, want)
		}
	}
	env := append(here.env, "RELAY_ADMIN_TOKEN_FILE="+token)
	here.env = env
	for _, args := range [][]string{{"events"}, {"parked", "list"}, {"deadletters", "list"}, {"explain", list.Events[0].ID}, {"events", "-o", "json"}} {
		code, stdout, stderr := here.run(append(args, "--admin-url", "http://"+relay.admin)...)
		if code != 0 {
			t.Errorf("relay %s: exit %d\n%s", strings.Join(args, " "), code, stderr)
		}
		leaks(t, "relay "+strings.Join(args, " "), stdout+stderr)
	}
	for _, name := range names {
		if _, text := page(http.MethodGet, "/api/v1/parked?address="+name); text == "" {
			t.Errorf("no answer for %s", name)
		}
	}
	relay.signal(15)
	relay.exit()
	leaks(t, "the log", relay.stderr.String())
}
