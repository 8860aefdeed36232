package gitlab

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	fake "github.com/gitlab-mattermost/relay/test/gitlab"
)

// canary is the access token of every test; no error may show it.
const canary = "glpat-canary-canary-canary"

// begin starts a GitLab whose user mia has the token canary, and a client of it.
func begin(t *testing.T, o fake.Options) (*fake.Server, *Client) {
	t.Helper()
	if o.Minor == 0 {
		o.Minor = 9
	}
	s, err := fake.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.AddToken(canary, fake.User{Name: "mia", Scopes: []string{"api"}})
	return s, client(t, s.URL())
}

func client(t *testing.T, url string) *Client {
	t.Helper()
	c, err := New(Options{URL: url, Token: configs.NewSecret(canary), Transport: http.DefaultTransport, Agent: "relay/test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestErrors: an error says what was asked for and what GitLab answered, and never
// holds the token.
func TestErrors(t *testing.T) {
	s, c := begin(t, fake.Options{})
	ctx := context.Background()
	stranger := func() error { _, err := c.Token(ctx); return err }
	tests := []struct {
		name   string
		broken func()
		want   string
		status int
	}{
		{"redirect", func() { s.Redirect("https://elsewhere.example") }, "ask about the access token: GitLab answers 301 Moved Permanently, and redirects are not followed: is url of api the address that GitLab has now?", 301},
		{"unknown token", func() { s.Redirect(""); c = other(t, s.URL()) }, "ask about the access token: GitLab answers 401 Unauthorized (Unauthorized)", 401},
		{"gone", func() { _ = s.Close() }, "ask about the access token: dial tcp", 0},
	}
	for _, tt := range tests {
		tt.broken()
		err := stranger()
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || Status(err) != tt.status || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v (status %d)", tt.name, err, Status(err))
		}
	}
}

func other(t *testing.T, url string) *Client {
	t.Helper()
	c, err := New(Options{URL: url, Token: configs.NewSecret("canary-other"), Transport: http.DefaultTransport})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// echo answers with whatever it was asked with, as a careless proxy does.
type echo struct{}

func (echo) RoundTrip(r *http.Request) (*http.Response, error) {
	text := `{"message":"not with ` + r.Header.Get("PRIVATE-TOKEN") + `"}`
	return &http.Response{StatusCode: 400, Header: http.Header{}, Body: http.NoBody, Request: r}, &echoed{text}
}

type echoed struct{ text string }

func (e *echoed) Error() string { return e.text }

func TestErrorsHoldNoToken(t *testing.T) {
	c, err := New(Options{URL: "https://gitlab.example", Token: configs.NewSecret(canary), Transport: echo{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Token(context.Background()); err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "[redacted]") {
		t.Errorf("%v", err)
	}
}

// TestAgain: what GitLab refuses as too much is asked once more, and what it failed
// at; but a webhook is not made twice.
func TestAgain(t *testing.T) {
	s, c := begin(t, fake.Options{})
	s.AddProject("acme/api")
	s.Member("mia", "acme", fake.Maintainer)
	ctx := context.Background()
	s.Refuse(2)
	if _, err := c.Token(ctx); err != nil {
		t.Error(err)
	}
	s.Fail(http.MethodGet, 1)
	if _, err := c.Token(ctx); err != nil {
		t.Error(err)
	}
	s.Fail(http.MethodPost, 1)
	_, err := c.do(ctx, call{to: "make a webhook", method: http.MethodPost, path: "projects/acme%2Fapi/hooks", body: map[string]any{"url": "https://relay.example/x"}}, nil)
	if Status(err) != http.StatusBadGateway || len(s.Hooks("acme/api")) != 1 {
		t.Errorf("%v, %d webhooks", err, len(s.Hooks("acme/api")))
	}
}

// TestWait: GitLab says how long to wait, and too long is not waited for.
func TestWait(t *testing.T) {
	answer := func(name, value string) *http.Response {
		return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{http.CanonicalHeaderKey(name): {value}}, Request: &http.Request{Method: http.MethodGet}}
	}
	soon := time.Now().Add(time.Minute)
	for _, tt := range []struct {
		res      *http.Response
		min, max time.Duration
		again    bool
	}{
		{answer("Retry-After", "7"), 7 * time.Second, 8 * time.Second, true},
		{answer("RateLimit-Reset", "soon"), 0, time.Second, true},
		{answer("RateLimit-Reset", strconv.FormatInt(soon.Unix(), 10)), 58 * time.Second, 61 * time.Second, true},
		{answer("Retry-After", "3600"), time.Hour, 2 * time.Hour, false},
	} {
		d := pause(0, 0, 0, tt.res)
		ok, err := again(context.Background(), tt.res, nil)
		if d < tt.min || d > tt.max || ok != tt.again || err != nil {
			t.Errorf("%v: waits %v, again %t, %v", tt.res.Header, d, ok, err)
		}
	}
}

// TestToken: what GitLab says of the token, and what of it is too much.
func TestToken(t *testing.T) {
	s, c := begin(t, fake.Options{})
	now := time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		user   fake.User
		excess string
		left   int
		ends   bool
	}{
		{fake.User{Name: "mia", Scopes: []string{"read_api"}}, "", 0, false},
		{fake.User{Name: "mia", Scopes: []string{"read_api", "read_user"}, Expires: "2026-03-10"}, "", 7, true},
		{fake.User{Name: "mia", Scopes: []string{"write_repository", "api"}, Expires: "2026-03-01"}, "it has the scope api, write_repository", -1, true},
		{fake.User{Name: "root", Scopes: []string{"read_api"}, Admin: true}, "it is an administrator's", 0, false},
	} {
		s.AddToken(canary, tt.user)
		got, err := c.Token(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		left, ends := got.Left(now)
		if diff := cmp.Diff([]any{tt.excess, tt.left, tt.ends, tt.user.Name}, []any{got.Excess(), left, ends, got.User}); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.user, diff)
		}
	}
}
