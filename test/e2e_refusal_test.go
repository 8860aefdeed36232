package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// maxBody is what the relay of TestRefusals takes, in bytes.
const maxBody = 16 << 20

// nested is a JSON object whose deepest value is nested so deep.
func nested(depth int) []byte {
	return fmt.Appendf(nil, `{"object_kind":"push","a":%s1%s}`, strings.Repeat("[", depth-1), strings.Repeat("]", depth-1))
}

// unclosed are 12 million brackets, which overflow the stack of a parser that
// calls itself.
var unclosed = bytes.Repeat([]byte("["), 12_000_000)

// refusal is a request that the relay must not take.
type refusal struct {
	name   string
	method string // POST unless it says so
	path   string // the source's unless it says so
	header http.Header
	body   []byte
	chunks bool // no Content-Length
	want   int
}

var refusals = []refusal{
	{name: "no token", header: http.Header{"X-Gitlab-Token": nil}, want: 401},
	{name: "wrong token", header: http.Header{"X-Gitlab-Token": {"wrong"}}, want: 401},
	{name: "token and more", header: http.Header{"X-Gitlab-Token": {gitlabToken + "1"}}, want: 401},
	{name: "beginning of the token", header: http.Header{"X-Gitlab-Token": {gitlabToken[:5]}}, want: 401},
	{name: "wrong token and no JSON", header: http.Header{"X-Gitlab-Token": {"wrong"}}, body: []byte("{"), want: 401},
	{name: "unknown source", path: "/hooks/nobody", want: 404},
	{name: "no path", path: "/", want: 404},
	{name: "GET", method: http.MethodGet, want: 405},
	{name: "PUT", method: http.MethodPut, want: 405},
	{name: "empty", body: []byte{}, want: 400},
	{name: "no JSON", body: []byte("payload=%7B%7D"), want: 400},
	{name: "half of the JSON", body: []byte(`{"object_kind":"push"`), want: 400},
	{name: "more than the JSON", body: []byte(`{"object_kind":"push"}}`), want: 400},
	{name: "an array", body: []byte(`[{"object_kind":"push"}]`), want: 400},
	{name: "a string", body: []byte(`"push"`), want: 400},
	{name: "null", body: []byte(`null`), want: 400},
	{name: "nested 1,001 deep", body: nested(1001), want: 400},
	{name: "brackets", body: unclosed, want: 400},
	{name: "brackets in an object", body: append([]byte(`{"a":`), unclosed...), want: 400},
	{name: "too large, in chunks", body: issue("acme/api", 666, maxBody), chunks: true, want: 413},
	{name: "compressed", header: http.Header{"Content-Encoding": {"gzip"}}, want: 415},
}

func (r *refusal) request(ctx context.Context, t *testing.T, hook string) *http.Request {
	t.Helper()
	u, err := url.Parse(hook)
	if err != nil {
		t.Fatal(err)
	}
	if r.path != "" {
		u.Path = r.path
	}
	body := r.body
	if body == nil {
		body = issue("acme/api", 666, 0)
	}
	req := webhook(ctx, u.String(), issueHook, body)
	if r.method != "" {
		req.Method = r.method
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.chunks {
		req.Body, req.GetBody, req.ContentLength = io.NopCloser(bytes.NewReader(body)), nil, -1
	}
	return req
}

// TestRefusals: each refusal has its status and the one short shape, and leaves
// nothing behind.
func TestRefusals(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	relay := install(t, everything(mattermost.URL("hook")), "--max-body", fmt.Sprint(maxBody)).start()
	for _, r := range refusals {
		a, err := roundTrip(r.request(soon(t), t, relay.hook))
		relay.running()
		if err != nil {
			t.Errorf("%s: %v", r.name, err)
			continue
		}
		a.refused(t, r.name, r.want)
		if r.want == 405 && a.header.Get("Allow") != "POST" {
			t.Errorf("%s: Allow: %q, want POST", r.name, a.header.Get("Allow"))
		}
	}
	for name, want := range map[string]int{
		"Content-Length: 16777217\r\nX-Gitlab-Token: " + gitlabToken:                              413,
		"Content-Length: 1000\r\nX-Gitlab-Token: wrong":                                           401,
		"Content-Length: 1000\r\nContent-Encoding: gzip\r\nX-Gitlab-Token: " + gitlabToken:        415,
		"Transfer-Encoding: chunked\r\nX-Gitlab-Token: wrong":                                     401,
		"Content-Length: 99999999999999999\r\nX-Gitlab-Token: " + gitlabToken:                     413,
		"Content-Length: 16777217\r\nX-Gitlab-Token: " + gitlabToken + "\r\nExpect: 100-continue": 413,
	} {
		headersOnly(t, relay.hook, name).refused(t, "before the body: "+name, want)
	}

	if id := relay.accept(issueHook, issue("acme/api", 1, 0)); id != "1-0" {
		t.Errorf("the first good webhook has id %s, want 1-0: something was stored before", id)
	}
	relay.accept("Push Hook", nested(1000)) // as deep as it may be; it is routed too
	relay.accept(issueHook, issue("acme/api", 2, 0))
	posts, err := mattermost.WaitPosts(soon(t), "hook", 3)
	if err != nil {
		t.Fatal(err)
	}
	relay.terminate()
	if n := mattermost.Count("hook"); n != 3 || issueOf(t, posts[0]) != "acme/api#1" || issueOf(t, posts[2]) != "acme/api#2" {
		t.Errorf("%d posts, the first and third about %s and %s", n, issueOf(t, posts[0]), issueOf(t, posts[2]))
	}
}

// refused checks that an answer is a refusal of this status in the shape that
// all have.
func (a answer) refused(t *testing.T, name string, status int) {
	t.Helper()
	if a.status != status {
		t.Errorf("%.60s: answered %d %s, want %d", name, a.status, a.body, status)
	}
	if kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type")); err != nil || kind != "application/json" {
		t.Errorf("%.60s: Content-Type %q, want application/json", name, a.header.Get("Content-Type"))
	}
	var shape map[string]string
	if err := json.Unmarshal([]byte(a.body), &shape); err != nil || len(shape) != 1 || shape["error"] == "" || len(a.body) > 300 {
		t.Errorf("%.60s: answered %s, want a short {\"error\":\"…\"}", name, a.body)
	}
}

// headersOnly sends the head of a request and no body, and returns the answer.
func headersOnly(t *testing.T, hook, header string) answer {
	t.Helper()
	u, err := url.Parse(hook)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", u.Path, u.Host, header); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %v", header, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", header, err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// TestSignatures signs with the reference library of Standard Webhooks, which
// GitLab follows.
func TestSignatures(t *testing.T) {
	t.Parallel()
	const key, other = "whsec_b3JkaW5hcnktb3JkaW5hcnktb3JkaW5hcnktMDE=", "whsec_c29tZW9uZS1lbHNlLXNvbWVvbmUtZWxzZS0wMDE="
	mattermost := chatServer(t)
	here := install(t, `sources: {gitlab: {signing_key: "${KEY}", token: "${TOKEN}"}}`+everything(mattermost.URL("hook")))
	here.env = append(here.env, "KEY="+key)
	relay := here.start()
	now := time.Now()
	var want, got []string
	for i, c := range []struct {
		name     string
		key      string
		at       time.Time
		tampered bool
		token    string
		want     int
	}{
		{"signed", key, now, false, "", 202},
		{"tampered with", key, now, true, "", 401},
		{"tampered with, beside the token", key, now, true, gitlabToken, 401},
		{"signed, beside the token", key, now, false, gitlabToken, 202},
		{"another key", other, now, false, "", 401},
		{"an hour old", key, now.Add(-time.Hour), false, "", 401},
		{"from the future", key, now.Add(time.Hour), false, "", 401},
		{"nothing", "", now, false, "", 401},
		{"token alone", "", now, false, gitlabToken, 202},
	} {
		body := issue("acme/api", i, 0)
		sent := body
		if c.tampered {
			sent = bytes.Replace(body, []byte("number"), []byte("Number"), 1)
		}
		req := webhook(soon(t), relay.hook, issueHook, sent)
		req.Header.Set("X-Gitlab-Token", c.token)
		if c.key != "" {
			sign(t, req, c.key, c.name, c.at, body)
		}
		if c.want == 202 {
			want = append(want, fmt.Sprintf("acme/api#%d", i))
		}
		a, err := roundTrip(req)
		switch {
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != 202:
			a.refused(t, c.name, c.want)
		case a.status != 202:
			t.Errorf("%s: answered %d %s, want 202", c.name, a.status, a.body)
		}
	}
	if _, err := mattermost.WaitPosts(soon(t), "hook", len(want)); err != nil {
		t.Fatal(err)
	}
	relay.terminate()
	for _, e := range mattermost.Entries("hook") {
		got = append(got, issueOf(t, e))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("posts (-want +got):\n%s", diff)
	}
}

// TestCapturedWebhook: a signed webhook that somebody has captured and sends again
// under another Idempotency-Key, or another X-Gitlab-Event, is a repeat of the first,
// also for a relay that was started again since.
func TestCapturedWebhook(t *testing.T) {
	t.Parallel()
	const key = "whsec_b3JkaW5hcnktb3JkaW5hcnktb3JkaW5hcnktMDE="
	mattermost := chatServer(t)
	here := install(t, `sources: {gitlab: {signing_key: "${KEY}"}}`+everything(mattermost.URL("hook")))
	here.env = append(here.env, "KEY="+key)
	relay := here.start()
	now, body := time.Now(), issue("acme/api", 1, 0)
	send := func(idempotency, event string) string {
		req := webhook(soon(t), relay.hook, event, body)
		req.Header.Del("X-Gitlab-Token")
		req.Header.Set("Idempotency-Key", idempotency)
		sign(t, req, key, "signed-id", now, body)
		a, err := roundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		return a.id(t)
	}
	first := send("one", issueHook)
	if _, err := mattermost.WaitPosts(soon(t), "hook", 1); err != nil {
		t.Fatal(err)
	}
	again := send("another", issueHook)
	relay.comes(here, "GitLab sent it again: it came as "+first, "explain", again)
	relay.terminate()
	relay = here.start()
	again = send("a third", issueHook)
	relay.comes(here, "GitLab sent it again: it came as "+first, "explain", again)
	again = send("a fourth", "System Hook")
	relay.comes(here, "it came as "+first+": this is the same signed webhook under another X-Gitlab-Event", "explain", again)
	relay.terminate()
	if n := len(mattermost.Entries("hook")); n != 1 {
		t.Errorf("it was posted %d times", n)
	}
}

// sign signs a body for a request, which need not be the one that it sends.
func sign(t *testing.T, req *http.Request, key, id string, at time.Time, body []byte) {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(id, at, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", fmt.Sprint(at.Unix()))
	req.Header.Set("Webhook-Signature", signature)
}
