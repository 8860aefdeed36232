package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// hurried makes hours of pauses minutes: it scales what the relay waits between
// attempts, and nothing else.
var hurried = []string{"--pace", "0.01"}

// channels is a relay.yaml with one hook and a route for each of n channels, of
// which the project acme/p<i> goes to c<i>.
func channels(hook string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "destinations: {mm: %q}\nroutes:\n", hook)
	for i := range n {
		fmt.Fprintf(&b, "  - {when: {projects: acme/p%d, events: issue.open}, to: \"mm#c%d\"}\n", i, i)
	}
	return b.String()
}

// told are the issues that were posted to a channel, or to all with "*", in
// order.
func told(t *testing.T, posts []chat.Entry, channel string) []string {
	t.Helper()
	all := []string{}
	for _, e := range posts {
		if channel == "*" || e.Channel == channel {
			all = append(all, issueOf(t, e))
		}
	}
	return all
}

func issueLine(project string, from, to int) []string {
	all := []string{}
	for n := from; n <= to; n++ {
		all = append(all, fmt.Sprintf("%s#%d", project, n))
	}
	return all
}

// gauge reads one value of /metrics; the name includes the labels.
func (p *process) gauge(name string) string {
	p.t.Helper()
	_, body := p.get("/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return value
		}
	}
	return ""
}

// until waits for a gauge to have a value.
func (p *process) until(name, value string) {
	p.t.Helper()
	for ctx := soon(p.t); p.gauge(name) != value; {
		if ctx.Err() != nil {
			p.t.Fatalf("%s is %q, not %s", name, p.gauge(name), value)
		}
		wait := time.NewTimer(20 * time.Millisecond)
		<-wait.C
	}
}

// TestMisspeltChannel: one of a hook's 40 channels does not exist. The other 39
// get everything, in order, while it breaks; it is said to be broken, and
// nothing of it is lost.
func TestMisspeltChannel(t *testing.T) {
	t.Parallel()
	const n, each = 40, 6
	const id = "m9xk3ktb6pyw" // which is in no word of an answer
	mattermost := chatServer(t)
	missing := chat.Func(func(x *chat.Exchange) {
		if x.Entry.Channel == "c0" {
			x.Answer(http.StatusNotFound, http.Header{"Content-Type": {"application/json"}}, `{"id":"web.incoming_webhook.channel.app_error","message":"Couldn't find the channel.","status_code":404}`)
			return
		}
		x.OK()
	})
	mattermost.Set(id, missing)
	relay := install(t, channels(mattermost.URL(id), n)+"report: mm#c1\n", "--pace", "0.002").start()
	for round := 1; round <= each; round++ {
		if err := pool(n, 1, func(i int) error { relay.accept(issueHook, issue(fmt.Sprintf("acme/p%d", i), round, 0)); return nil }); err != nil {
			t.Fatal(err)
		}
		if round == each/2 {
			relay.until(`relay_broken_addresses{destination="mm"}`, "1")
		}
	}
	relay.until(`relay_parked_deliveries{destination="mm"}`, fmt.Sprint(each))
	reports := func(e chat.Entry) bool { return !issueURL.Match(e.Raw) }
	var posts []chat.Entry
	said := ""
	for least := (n-1)*each + 1; !strings.Contains(said, "`mm#c0` is broken"); least++ { // in one post with the refusal, or in another one
		var err error
		if posts, err = mattermost.WaitPosts(soon(t), id, least); err != nil {
			t.Fatal(err)
		}
		said = ""
		for _, e := range posts {
			if reports(e) {
				said += e.Text + "\n"
			}
		}
	}
	if strings.Count(said, "`mm#c0` refuses messages") != 1 || strings.Count(said, "is broken") != 1 {
		t.Errorf("reports: %q", said)
	}
	posts = slices.DeleteFunc(posts, reports)
	for i := 1; i < n; i++ {
		if diff := cmp.Diff(issueLine(fmt.Sprintf("acme/p%d", i), 1, each), told(t, posts, fmt.Sprintf("c%d", i))); diff != "" {
			t.Errorf("posts to c%d (-want +got):\n%s", i, diff)
		}
	}
	for _, a := range relay.attempts() {
		if a.Address != "mm#c0" && a.Outcome != "delivered" {
			t.Errorf("an attempt for %s: %s", a.Address, a.Outcome)
		}
	}

	mattermost.Set(id, chat.OK())
	relay.until(`relay_broken_addresses{destination="mm"}`, "0")
	relay.until(`relay_parked_deliveries{destination="mm"}`, "0")
	if diff := cmp.Diff(issueLine("acme/p0", 1, each), told(t, slices.DeleteFunc(mattermost.Posts(id), reports), "c0")); diff != "" {
		t.Errorf("posts to c0 (-want +got):\n%s", diff)
	}
	relay.terminate()
}

// deadLetters is how many the relay has.
func (p *process) deadLetters() string { return p.gauge("relay_dead_letters") }

// TestMattermostRefusesEverything: its database is down, and it answers 400 to
// everything for as long as the relay tries ten times in vain. Nothing is
// buried, and all of it comes in order once it heals: at each channel when it is
// asked about the oldest message there, since one that heals between this one
// and the next is told late of those that were passed by.
func TestMattermostRefusesEverything(t *testing.T) {
	t.Parallel()
	const n, each = 5, 20
	mattermost := chatServer(t)
	relay := install(t, channels(mattermost.URL("hook"), n), "--pace", "0.002").start()
	send := func(round int) {
		for i := range n {
			relay.accept(issueHook, issue(fmt.Sprintf("acme/p%d", i), round, 0))
		}
	}
	send(1)
	if _, err := mattermost.WaitPosts(soon(t), "hook", n); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	healing, well := false, map[string]bool{}
	mattermost.Set("hook", chat.Func(func(x *chat.Exchange) {
		mu.Lock()
		well[x.Entry.Channel] = well[x.Entry.Channel] || healing && bytes.Contains(x.Entry.Raw, []byte("/-/issues/2)"))
		ok := well[x.Entry.Channel]
		mu.Unlock()
		if ok {
			x.OK()
			return
		}
		x.Answer(400, http.Header{"Content-Type": {"application/json"}}, `{"id":"web.incoming_webhook.invalid.app_error","message":"Invalid webhook.","status_code":400}`)
	}))
	for round := 2; round <= each; round++ {
		send(round)
	}
	if _, err := mattermost.WaitN(soon(t), "hook", 2*n+10*n); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	healing = true
	mu.Unlock()
	posts, err := mattermost.WaitPosts(soon(t), "hook", n*each)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if diff := cmp.Diff(issueLine(fmt.Sprintf("acme/p%d", i), 1, each), told(t, posts, fmt.Sprintf("c%d", i))); diff != "" {
			t.Errorf("posts to c%d (-want +got):\n%s", i, diff)
		}
	}
	if dead := relay.deadLetters(); dead != "0" {
		t.Errorf("%s dead letters", dead)
	}
	if !strings.Contains(relay.stderr.String(), `"destination broken"`) {
		t.Error("the log does not say that the destination is broken")
	}
}

// TestPoison: one message gets 500 whenever it is tried. It alone is buried;
// the rest of its channel comes in order, and another channel's without a stop.
func TestPoison(t *testing.T) {
	t.Parallel()
	const n = 30
	mattermost := chatServer(t)
	mattermost.Set("hook", chat.Func(func(x *chat.Exchange) {
		if strings.Contains(string(x.Entry.Raw), "acme/p0/-/issues/7)") {
			x.Answer(500, http.Header{"Content-Type": {"application/json"}}, `{"id":"api.post.create_webhook_post.creating.app_error","message":"Error creating post.","status_code":500}`)
			return
		}
		x.OK()
	}))
	relay := install(t, channels(mattermost.URL("hook"), 2), hurried...).start()
	for i := 1; i <= n; i++ {
		relay.accept(issueHook, issue("acme/p0", i, 0))
		relay.accept(issueHook, issue("acme/p1", i, 0))
	}
	posts, err := mattermost.WaitPosts(soon(t), "hook", 2*n-1)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(issueLine("acme/p0", 1, n), func(s string) bool { return s == "acme/p0#7" })
	if diff := cmp.Diff(want, told(t, posts, "c0")); diff != "" {
		t.Errorf("posts to c0 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(issueLine("acme/p1", 1, n), told(t, posts, "c1")); diff != "" {
		t.Errorf("posts to c1 (-want +got):\n%s", diff)
	}
	relay.until("relay_dead_letters", "1")
	relay.await(&relay.stderr, regexp.MustCompile(`"delivery given up".*"mm#c0".*refused by the receiver: 500`))
}

// TestAllDestinationsHang: GitLab is answered as ever, and everything comes in
// order when they answer again.
func TestAllDestinationsHang(t *testing.T) {
	t.Parallel()
	const n, each = 5, 40
	mattermost := chatServer(t)
	var yaml strings.Builder
	yaml.WriteString("destinations:\n")
	for i := range n {
		fmt.Fprintf(&yaml, "  d%d: %q\n", i, mattermost.URL(fmt.Sprintf("hook%d", i)))
		mattermost.Set(fmt.Sprintf("hook%d", i), chat.Hang())
	}
	yaml.WriteString("routes:\n")
	for i := range n {
		fmt.Fprintf(&yaml, "  - {when: {projects: acme/p%d, events: issue.open}, to: d%d}\n", i, i)
	}
	relay := install(t, yaml.String(), hurried...).start()
	ctx := soon(t)
	var slowest [n]time.Duration
	if err := pool(n, n, func(i int) error {
		for round := 1; round <= each; round++ {
			begin := time.Now()
			a, err := roundTrip(webhook(ctx, relay.hook, issueHook, issue(fmt.Sprintf("acme/p%d", i), round, 0)))
			if err == nil && a.status != http.StatusAccepted {
				err = fmt.Errorf("webhook %d of acme/p%d is answered %d %s", round, i, a.status, a.body)
			}
			if err != nil {
				return err
			}
			slowest[i] = max(slowest[i], time.Since(begin))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("the slowest of %d answers took %s", n*each, slices.Max(slowest[:]).Round(100*time.Microsecond))
	for i := range n {
		mattermost.Set(fmt.Sprintf("hook%d", i), chat.OK())
		mattermost.Release(fmt.Sprintf("hook%d", i))
	}
	for i := range n {
		posts, err := mattermost.WaitPosts(soon(t), fmt.Sprintf("hook%d", i), each)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(issueLine(fmt.Sprintf("acme/p%d", i), 1, each), told(t, posts, "*")); diff != "" {
			t.Errorf("posts to d%d (-want +got):\n%s", i, diff)
		}
	}
}

// TestFlappingDestination: every second request gets a 502. Nothing is posted
// twice, the order holds, and nothing is buried.
func TestFlappingDestination(t *testing.T) {
	t.Parallel()
	const n, each = 3, 40
	mattermost := chatServer(t)
	var requests atomic.Int64
	mattermost.Set("hook", chat.Func(func(x *chat.Exchange) {
		if requests.Add(1)%2 == 0 {
			x.Answer(http.StatusBadGateway, nil, "<html>bad gateway")
			return
		}
		x.OK()
	}))
	relay := install(t, channels(mattermost.URL("hook"), n), hurried...).start()
	for round := 1; round <= each; round++ {
		for i := range n {
			relay.accept(issueHook, issue(fmt.Sprintf("acme/p%d", i), round, 0))
		}
	}
	if _, err := mattermost.WaitPosts(soon(t), "hook", n*each); err != nil {
		t.Fatal(err)
	}
	relay.until(`relay_parked_deliveries{destination="mm"}`, "0")
	posts := mattermost.Posts("hook")
	for i := range n {
		if diff := cmp.Diff(issueLine(fmt.Sprintf("acme/p%d", i), 1, each), told(t, posts, fmt.Sprintf("c%d", i))); diff != "" {
			t.Errorf("posts to c%d (-want +got):\n%s", i, diff)
		}
	}
	if dead := relay.deadLetters(); dead != "0" {
		t.Errorf("%s dead letters", dead)
	}
}

// TestProxy: messages go through the proxy of the environment, past it for
// what NO_PROXY names, and nowhere that the policy forbids.
func TestProxy(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	asked := make(chan string, 100)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String()
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(proxy.Close)
	here := install(t, fmt.Sprintf(`
destinations:
  through: http://chat.invalid/hooks/x
  past: %q
  metadata: http://169.254.169.254/hooks/x
routes: [{when: {events: issue.open}, to: [through, past, metadata]}]
`, mattermost.URL("hook")), hurried...)
	here.env = append(here.env, "HTTP_PROXY="+proxy.URL, "NO_PROXY="+mattermost.Addr())
	relay := here.start()
	relay.accept(issueHook, issue("acme/api", 1, 0))
	if _, err := mattermost.WaitPosts(soon(t), "hook", 1); err != nil {
		t.Fatal(err)
	}
	relay.await(&relay.stderr, regexp.MustCompile(`"delivery attempt".*"metadata".*"egress"`))
	relay.await(&relay.stderr, regexp.MustCompile(`"delivery attempt".*"through".*"delivered"`))
	relay.terminate()
	close(asked)
	for u := range asked {
		if u != "http://chat.invalid/hooks/x" {
			t.Errorf("the proxy was asked for %s", u)
		}
	}
}

// TestParkedAPI: who asks the admin listener hears which address is broken and
// why, and can have it tried.
func TestParkedAPI(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	mattermost.Set("hook", chat.Status(http.StatusForbidden, nil, ""))
	relay := install(t, channels(mattermost.URL("hook"), 1), hurried...).start()
	relay.accept(issueHook, issue("acme/p0", 1, 0))
	relay.until(`relay_broken_addresses{destination="mm"}`, "1")
	status, body := relay.get("/api/v1/parked")
	var list struct {
		Lanes []struct {
			Address, State, Reason, Error string
			Count                         int
		}
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != 200 || len(list.Lanes) != 1 {
		t.Fatalf("%d %s", status, body)
	}
	if l := list.Lanes[0]; l.Address != "mm#c0" || l.State != "broken" || l.Reason != "forbidden" || l.Error != "403 Forbidden" || l.Count != 1 {
		t.Errorf("%+v", l)
	}
	if u, err := url.Parse(mattermost.URL("hook")); err != nil || strings.Contains(body, u.Host) {
		t.Errorf("the list names the host: %s", body)
	}
}
