package gitlab

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is a time that stands still until it is moved.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) pass(d time.Duration) { c.ns.Add(int64(d)) }
func at(c *clock, o Options) Options  { o.Now = c.now; return o }

// start starts a GitLab with the group acme, whose project acme/api has the
// maintainer mia, the developer dan and the owner olga.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.AddGroup("acme")
	s.AddProject("acme/api")
	for user, role := range map[string]int{"mia": Maintainer, "dan": Developer, "olga": Owner} {
		s.Member(user, "acme", role)
		s.AddToken(user, User{Name: user, Scopes: []string{"api"}})
	}
	s.AddToken("stranger", User{Name: "stranger", Scopes: []string{"api"}})
	s.AddToken("reader", User{Name: "mia", Scopes: []string{"read_api"}, Expires: "2026-04-01"})
	s.AddToken("root", User{Name: "root", Scopes: []string{"api"}, Admin: true})
	return s
}

// ask asks as that token.
func ask(t *testing.T, s *Server, token, method, path, body string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, s.URL()+"/api/v4/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("PRIVATE-TOKEN", token)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

// TestRoles: who may not see something is told that it is not there, and who may not
// change it that it is forbidden.
func TestRoles(t *testing.T) {
	s := start(t, Options{Minor: 9})
	for _, tt := range []struct {
		token, method, path, body string
		want                      int
		says                      string
	}{
		{"none", "GET", "projects/acme%2Fapi", "", 401, "401 Unauthorized"},
		{"stranger", "GET", "projects/acme%2Fapi", "", 404, "404 Project Not Found"},
		{"stranger", "GET", "projects/acme%2Fapi/hooks", "", 404, "404 Project Not Found"},
		{"stranger", "GET", "groups/acme/hooks", "", 404, "404 Group Not Found"},
		{"dan", "GET", "projects/acme%2Fapi", "", 200, "acme/api"},
		{"dan", "GET", "projects/acme%2Fapi/hooks", "", 403, "403 Forbidden"},
		{"mia", "GET", "projects/acme%2Fapi/hooks", "", 200, "[]"},
		{"mia", "GET", "groups/acme/hooks", "", 403, "403 Forbidden"},
		{"olga", "GET", "groups/acme/hooks", "", 200, "[]"},
		{"root", "GET", "groups/acme/hooks", "", 200, "[]"},
		{"reader", "GET", "projects/acme%2Fapi/hooks", "", 200, "[]"},
		{"reader", "POST", "projects/acme%2Fapi/hooks", `{"url":"https://relay.example/x"}`, 403, "insufficient_scope"},
		{"reader", "GET", "personal_access_tokens/self", "", 200, `"expires_at":"2026-04-01"`},
		{"mia", "GET", "personal_access_tokens/self", "", 200, `"expires_at":null`},
		{"root", "GET", "user", "", 200, `"is_admin":true`},
	} {
		if code, _, body := ask(t, s, tt.token, tt.method, tt.path, tt.body); code != tt.want || !strings.Contains(body, tt.says) {
			t.Errorf("%s %s %s: %d %s", tt.token, tt.method, tt.path, code, body)
		}
	}
}

// TestFree: without Premium groups have no webhooks.
func TestFree(t *testing.T) {
	s := start(t, Options{Minor: 9, Free: true})
	if code, _, _ := ask(t, s, "olga", "GET", "groups/acme/hooks", ""); code != 404 {
		t.Errorf("%d", code)
	}
}

// TestPages: 100 a page at most, calls of webhooks 20.
func TestPages(t *testing.T) {
	s := start(t, Options{Minor: 9})
	for i := range 7 {
		s.AddProject(fmt.Sprintf("acme/x%d", i))
	}
	for range 120 {
		s.AddHook("acme/api", Hook{URL: "https://other.example/"})
	}
	code, header, body := ask(t, s, "mia", "GET", "projects/acme%2Fapi/hooks?per_page=500", "")
	var hooks []any
	_ = json.Unmarshal([]byte(body), &hooks)
	if code != 200 || len(hooks) != 100 || header.Get("X-Next-Page") != "2" {
		t.Errorf("%d, %d hooks, next %q", code, len(hooks), header.Get("X-Next-Page"))
	}
	if _, header, _ = ask(t, s, "mia", "GET", "projects/acme%2Fapi/hooks?per_page=100&page=2", ""); header.Get("X-Next-Page") != "" {
		t.Errorf("next %q", header.Get("X-Next-Page"))
	}
	_, header, _ = ask(t, s, "mia", "GET", "projects?pagination=keyset&per_page=3", "")
	if link := header.Get("Link"); !strings.Contains(link, "id_after=") || !strings.Contains(link, `rel="next"`) {
		t.Errorf("link %q", link)
	}
	id := s.Hooks("acme/api")[0].ID
	if code, _, _ := ask(t, s, "mia", "GET", hookPath(id)+"/events?per_page=100", ""); code != 400 {
		t.Errorf("100 calls a page: %d", code)
	}
}

func hookPath(id int64) string {
	text, _ := json.Marshal(id)
	return "projects/acme%2Fapi/hooks/" + string(text)
}

// TestToken: GitLab shows no token, and a new URL without one takes it away.
func TestToken(t *testing.T) {
	s := start(t, Options{Minor: 9})
	_, _, body := ask(t, s, "mia", "POST", "projects/acme%2Fapi/hooks", `{"url":"https://relay.example/x","token":"canary","job_events":true}`)
	if strings.Contains(body, "canary") {
		t.Error("the token is shown")
	}
	h := s.Hooks("acme/api")[0]
	if h.Token != "canary" || !h.Triggers["push_events"] || !h.Triggers["job_events"] {
		t.Errorf("%+v", h)
	}
	if code, _, _ := ask(t, s, "mia", "PUT", hookPath(h.ID), `{"push_events":false}`); code != 400 {
		t.Errorf("without a URL: %d", code)
	}
	ask(t, s, "mia", "PUT", hookPath(h.ID), `{"url":"https://relay.example/x","push_events":false}`)
	if h := s.Hooks("acme/api")[0]; h.Token != "canary" || h.Triggers["push_events"] {
		t.Errorf("after the same URL: %+v", h)
	}
	ask(t, s, "mia", "PUT", hookPath(h.ID), `{"url":"https://relay.example/y"}`)
	if h := s.Hooks("acme/api")[0]; h.Token != "" {
		t.Errorf("after another URL: %+v", h)
	}
	if code, _, _ := ask(t, s, "mia", "POST", "projects/acme%2Fapi/hooks", `{"url":"relay"}`); code != 422 {
		t.Errorf("no URL: %d", code)
	}
}

// TestVersions: what older versions do not have.
func TestVersions(t *testing.T) {
	for n, want := range map[int][]bool{0: {false, false, false}, 1: {true, false, false}, 3: {true, true, false}, 4: {true, true, true}} {
		s := start(t, Options{Minor: n})
		id := s.AddHook("acme/api", Hook{URL: "https://relay.example/x"})
		_, _, body := ask(t, s, "mia", "GET", hookPath(id), "")
		events, _, _ := ask(t, s, "mia", "GET", hookPath(id)+"/events", "")
		resend, _, text := ask(t, s, "mia", "POST", hookPath(id)+"/events/1/resend", "")
		got := []bool{strings.Contains(body, "description"), events == 200, resend == 404 && strings.Contains(text, "404 Not found")}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("17.%d (-want +got):\n%s", n, diff)
		}
	}
}

// receiver answers webhooks with a status that can be changed.
func receiver(t *testing.T) (*httptest.Server, *atomic.Int64, *atomic.Int64) {
	var status, count atomic.Int64
	status.Store(202)
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		count.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(r.Close)
	return r, &status, &count
}

// TestLog: a call is logged with what it was answered, without the token and without
// addresses of people; one that got no answer as an internal error, which is a
// failure of the server; after 7 days it is gone.
func TestLog(t *testing.T) {
	c := newClock()
	s := start(t, at(c, Options{Minor: 9}))
	r, status, _ := receiver(t)
	id := s.AddHook("acme/api", Hook{URL: r.URL, Token: "canary"})
	payload := []byte(`{"user_email":"ada@acme.example","commits":[{"author":{"name":"Ada","email":"ada@acme.example"}}]}`)
	s.Fire("acme/api", "push_events", "Push Hook", payload)
	status.Store(503)
	s.Fire("acme/api", "push_events", "Push Hook", payload)
	status.Store(401)
	s.Fire("acme/api", "push_events", "Push Hook", []byte(`{"x":"`+strings.Repeat("x", largestData)+`"}`))
	r.Close()
	s.Fire("acme/api", "push_events", "Push Hook", payload)
	s.Fire("acme/api", "tag_push_events", "Tag Push Hook", payload)
	calls := func(filter string) (statuses []string, text string) {
		_, _, body := ask(t, s, "mia", "GET", hookPath(id)+"/events?status="+filter, "")
		var list []struct {
			Status string `json:"response_status"`
		}
		_ = json.Unmarshal([]byte(body), &list)
		for _, x := range list {
			statuses = append(statuses, x.Status)
		}
		return statuses, body
	}
	all, text := calls("")
	if diff := cmp.Diff([]string{"internal error", "401", "503", "202"}, all); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.Contains(text, "canary") || strings.Contains(text, "ada@") || !strings.Contains(text, `{"oversize":true}`) || !strings.Contains(text, "created_at") || !strings.Contains(text, "Idempotency-Key") {
		t.Error(text)
	}
	if failed, _ := calls("server_failure,client_failure"); len(failed) != 3 {
		t.Errorf("failed: %v", failed)
	}
	c.pass(keptFor)
	if left, _ := calls(""); left != nil {
		t.Errorf("after 7 days: %v", left)
	}
}

// TestDisabling: after four failures in a row a webhook is switched off for a minute,
// then for two; meanwhile it is neither called nor logged. A test runs anyway, and if
// it gets through all is forgotten.
func TestDisabling(t *testing.T) {
	c := newClock()
	s := start(t, at(c, Options{Minor: 9, AutoDisable: true}))
	r, status, count := receiver(t)
	id := s.AddHook("acme/api", Hook{URL: r.URL})
	status.Store(500)
	var called []int64
	for range 12 {
		s.Fire("acme/api", "push_events", "Push Hook", []byte("{}"))
		called = append(called, count.Load())
		c.pass(30 * time.Second)
	}
	// The fourth failure switches off for 60 s, the fifth for 120 s.
	if diff := cmp.Diff([]int64{1, 2, 3, 4, 4, 5, 5, 5, 5, 6, 6, 6}, called); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(s.Hooks("acme/api")[0].Calls); n != 6 {
		t.Errorf("%d calls are logged", n)
	}
	if _, _, body := ask(t, s, "mia", "GET", hookPath(id), ""); !strings.Contains(body, `"alert_status":"temporarily_disabled"`) || strings.Contains(body, `"disabled_until":null`) {
		t.Error(body)
	}
	status.Store(202)
	if code, _, body := ask(t, s, "mia", "POST", hookPath(id)+"/test/push_events", ""); code != 201 {
		t.Errorf("test: %d %s", code, body)
	}
	if _, _, body := ask(t, s, "mia", "GET", hookPath(id), ""); !strings.Contains(body, `"alert_status":"executable"`) {
		t.Error(body)
	}
	s.Disable(id, mostFailures+1)
	if _, _, body := ask(t, s, "mia", "GET", hookPath(id), ""); !strings.Contains(body, `"alert_status":"disabled"`) {
		t.Error(body)
	}
}

// TestSelfManaged: unless an administrator wants it, no webhook is switched off.
func TestSelfManaged(t *testing.T) {
	s := start(t, Options{Minor: 9})
	r, status, count := receiver(t)
	s.AddHook("acme/api", Hook{URL: r.URL})
	status.Store(500)
	for range 10 {
		s.Fire("acme/api", "push_events", "Push Hook", []byte("{}"))
	}
	if count.Load() != 10 {
		t.Errorf("called %d times", count.Load())
	}
}

// TestResend: under the same key, five a minute, and not once the URL has changed.
func TestResend(t *testing.T) {
	c := newClock()
	s := start(t, at(c, Options{Minor: 9}))
	r, _, _ := receiver(t)
	id := s.AddHook("acme/api", Hook{URL: r.URL})
	s.Fire("acme/api", "push_events", "Push Hook", []byte("{}"))
	call, _ := json.Marshal(s.Hooks("acme/api")[0].Calls[0].ID)
	var codes []int
	for range 6 {
		code, _, _ := ask(t, s, "mia", "POST", hookPath(id)+"/events/"+string(call)+"/resend", "")
		codes = append(codes, code)
	}
	if diff := cmp.Diff([]int{201, 201, 201, 201, 201, 429}, codes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	calls := s.Hooks("acme/api")[0].Calls
	if len(calls) != 6 || calls[5].Header["Idempotency-Key"] != calls[0].Header["Idempotency-Key"] {
		t.Errorf("%d calls", len(calls))
	}
	c.pass(time.Minute)
	ask(t, s, "mia", "PUT", hookPath(id), `{"url":"`+r.URL+`/other"}`)
	if code, _, _ := ask(t, s, "mia", "POST", hookPath(id)+"/events/"+string(call)+"/resend", ""); code != 422 {
		t.Errorf("after another URL: %d", code)
	}
}

// TestTest: a test takes a commit, and five a minute are allowed.
func TestTest(t *testing.T) {
	c := newClock()
	s := start(t, at(c, Options{Minor: 9}))
	r, _, _ := receiver(t)
	id := s.AddHook("acme/api", Hook{URL: r.URL})
	s.Empty("acme/api")
	var codes []int
	for range 6 {
		code, _, _ := ask(t, s, "mia", "POST", hookPath(id)+"/test/push_events", "")
		codes = append(codes, code)
	}
	if diff := cmp.Diff([]int{422, 422, 422, 422, 422, 429}, codes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLimit: too many requests are answered 429, with when to come again.
func TestLimit(t *testing.T) {
	c := newClock()
	s := start(t, at(c, Options{Minor: 9, Limit: 2}))
	var codes []int
	var header http.Header
	for range 3 {
		var code int
		code, header, _ = ask(t, s, "mia", "GET", "user", "")
		codes = append(codes, code)
	}
	if !slices.Equal(codes, []int{200, 200, 429}) || header.Get("Retry-After") != "60" || header.Get("RateLimit-Limit") != "2" || header.Get("RateLimit-Reset") == "" {
		t.Errorf("%v %v", codes, header)
	}
	c.pass(time.Minute)
	if code, _, _ := ask(t, s, "mia", "GET", "user", ""); code != 200 {
		t.Errorf("a minute later: %d", code)
	}
}

// TestRedirect: a GitLab that has moved says where to.
func TestRedirect(t *testing.T) {
	s := start(t, Options{Minor: 9})
	s.Redirect("https://elsewhere.example")
	if code, header, _ := ask(t, s, "mia", "GET", "user", ""); code != 301 || header.Get("Location") != "https://elsewhere.example/api/v4/user" {
		t.Errorf("%d %v", code, header)
	}
}

// TestCallLimit: calls beyond the limit of a top-level group are neither made nor
// logged.
func TestCallLimit(t *testing.T) {
	c := newClock()
	s := start(t, at(c, Options{Minor: 9, Calls: 2, Undated: true}))
	r, _, count := receiver(t)
	id := s.AddHook("acme/api", Hook{URL: r.URL})
	for range 3 {
		s.Fire("acme/api", "push_events", "Push Hook", []byte("{}"))
	}
	if n := len(s.Hooks("acme/api")[0].Calls); count.Load() != 2 || n != 2 {
		t.Errorf("%d calls, %d in the log", count.Load(), n)
	}
	if _, _, body := ask(t, s, "mia", "GET", hookPath(id)+"/events", ""); strings.Contains(body, "created_at") {
		t.Error("the calls have a time")
	}
}

// TestGroups: the webhook of a group is called for all projects below it.
func TestGroups(t *testing.T) {
	s := start(t, Options{Minor: 9})
	r, _, count := receiver(t)
	s.AddHook("acme", Hook{URL: r.URL})
	s.AddHook("acme/api", Hook{URL: r.URL})
	s.Fire("acme/api", "push_events", "Push Hook", []byte("{}"))
	if count.Load() != 2 {
		t.Errorf("called %d times", count.Load())
	}
}

// TestTrace: the trace of a job is of any size, here of 100 MiB.
func TestTrace(t *testing.T) {
	s := start(t, Options{Minor: 9})
	r, err := http.NewRequest(http.MethodGet, s.URL()+"/api/v4/projects/acme%2Fapi/jobs/1/trace", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("PRIVATE-TOKEN", "dan")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n < traceBytes {
		t.Errorf("%d bytes, %v", n, err)
	}
}
