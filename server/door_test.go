package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"golang.org/x/sync/semaphore"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

// TestMain lets the tests that wait, for clients that are cut off, wait side by
// side.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "16"); err != nil { // -parallel still wins
		panic(err) // the name is the testing package's
	}
	goleak.VerifyTestMain(m)
}

// storeFunc is a queue.
type storeFunc func(ctx context.Context, w *queue.Webhook) (queue.ID, error)

func (f storeFunc) Store(ctx context.Context, w *queue.Webhook) (queue.ID, error) { return f(ctx, w) }

type kept struct {
	mu    sync.Mutex
	hooks []*queue.Webhook
}

func (k *kept) Store(_ context.Context, w *queue.Webhook) (queue.ID, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hooks = append(k.hooks, w)
	return queue.ID{Seq: uint64(len(k.hooks)), Index: 0}, nil
}

const token = "right-token-canary"

func door(t *testing.T, store Store, log io.Writer) *Door {
	t.Helper()
	proof, err := events.NewProof(events.ProofConfig{Tokens: []string{token}})
	if err != nil {
		t.Fatal(err)
	}
	return NewDoor(Options{
		Sources: []Source{{Name: "gitlab", Paths: []string{"/hooks/gitlab", "/new_event"}, Proof: proof}},
		Store:   store, MaxBody: 1 << 10, Log: slog.New(slog.NewJSONHandler(log, nil)), Registerer: prometheus.NewRegistry(),
	})
}

func request(method, path, body string, header ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Gitlab-Token", token)
	r.Header.Set("X-Gitlab-Event", "Push Hook")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func answer(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAcceptedWebhookIsStoredAsItCame(t *testing.T) {
	var k kept
	r := request("POST", "/new_event", `{"a": 1}`, "Idempotency-Key", "k1", "Authorization", "Basic eDp5", "Webhook-Signature", "v1,x", "X-Custom", "c")
	w := answer(door(t, &k, io.Discard), r)
	if w.Code != http.StatusAccepted || strings.TrimSpace(w.Body.String()) != `{"id":"1-0","status":"accepted"}` {
		t.Fatalf("answered %d %s", w.Code, w.Body)
	}
	got := k.hooks[0]
	if got.Received.IsZero() {
		t.Error("no time of arrival")
	}
	want := &queue.Webhook{
		Source: "gitlab", Received: got.Received, Body: []byte(`{"a": 1}`),
		Header: []queue.Field{{Name: "X-Gitlab-Event", Value: "Push Hook"}, {Name: "Idempotency-Key", Value: "k1"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	chunked := request("POST", "/hooks/gitlab", "")
	chunked.Body, chunked.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat(" ", 2000))), -1
	short := request("POST", "/hooks/gitlab", "")
	short.Body, short.ContentLength = io.NopCloser(strings.NewReader(`{"a`)), 100
	unread := request("POST", "/hooks/gitlab", "", "X-Gitlab-Token", "wrong")
	unread.Body, unread.ContentLength = io.NopCloser(failing{}), 100
	codings := request("POST", "/hooks/gitlab", `{}`)
	codings.Header["Content-Encoding"] = []string{"identity", "gzip"}
	for name, c := range map[string]struct {
		request *http.Request
		status  int
	}{
		"unknown path":         {request("POST", "/hooks/nobody", `{}`), 404},
		"unknown path, GET":    {request("GET", "/x", ``), 404},
		"another path beneath": {request("POST", "/hooks/gitlab/x", `{}`), 404},
		"no path":              {request("POST", "/", `{}`), 404},
		"GET":                  {request("GET", "/hooks/gitlab", ``), 405},
		"POST to healthz":      {request("POST", "/healthz", ``), 405},
		"compressed":           {request("POST", "/hooks/gitlab", `{}`, "Content-Encoding", "gzip"), 415},
		"compressed twice":     {request("POST", "/hooks/gitlab", `{}`, "Content-Encoding", "identity, gzip"), 415},
		"two codings":          {codings, 415},
		"POST to readyz":       {request("POST", "/readyz", ``), 405},
		"too large":            {request("POST", "/hooks/gitlab", strings.Repeat(" ", 1025)), 413},
		"too large in chunks":  {chunked, 413},
		"wrong token":          {request("POST", "/hooks/gitlab", `{}`, "X-Gitlab-Token", "wrong"), 401},
		"no token":             {request("POST", "/hooks/gitlab", `{}`, "X-Gitlab-Token", ""), 401},
		"wrong token, no body": {unread, 401},
		"not JSON":             {request("POST", "/hooks/gitlab", `{"a":`), 400},
		"no object":            {request("POST", "/hooks/gitlab", `[1]`), 400},
		"empty":                {request("POST", "/hooks/gitlab", ``), 400},
		"ended early":          {short, 400},
		"too deep":             {request("POST", "/hooks/gitlab", `{"a":`+strings.Repeat("[", 900)), 400},
	} {
		t.Run(name, func(t *testing.T) {
			var k kept
			w := answer(door(t, &k, io.Discard), c.request)
			var body map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body) != 1 || body["error"] == "" {
				t.Errorf("the answer is %q: want one error", w.Body)
			}
			if w.Code != c.status {
				t.Errorf("answered %d %s, want %d", w.Code, w.Body, c.status)
			}
			if len(k.hooks) != 0 {
				t.Error("it was stored")
			}
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { panic("the body was read before the token was checked") }

func TestQueueThatDoesNotStore(t *testing.T) {
	for _, failure := range []error{queue.ErrFull, context.DeadlineExceeded, errors.New("canary in an inner error")} {
		store := storeFunc(func(context.Context, *queue.Webhook) (queue.ID, error) { return queue.ID{}, failure })
		w := answer(door(t, store, io.Discard), request("POST", "/hooks/gitlab", `{}`))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%v: answered %d %v %s", failure, w.Code, w.Header(), w.Body)
		}
	}
}

// A client that hangs up does not stop the commit: the queue's context goes on.
func TestHangUpDoesNotStopTheCommit(t *testing.T) {
	ctx, hangUp := context.WithCancel(t.Context())
	stored := false
	store := storeFunc(func(ctx context.Context, _ *queue.Webhook) (queue.ID, error) {
		hangUp()
		stored = ctx.Err() == nil
		return queue.ID{Seq: 1}, nil
	})
	answer(door(t, store, io.Discard), request("POST", "/hooks/gitlab", `{}`).WithContext(ctx))
	if !stored {
		t.Error("the queue was told to stop")
	}
}

func TestBodiesInFlightAreBounded(t *testing.T) {
	d := door(t, &kept{}, io.Discard)
	d.wait = time.Millisecond
	full := fill(d.verified.usual)
	w := answer(d, request("POST", "/hooks/gitlab", `{}`))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if d.verified.usual.Release(full); fill(d.verified.usual) != full {
		t.Error("not all was given back")
	}
}

// fill takes all that a semaphore has left, in whole KiB, and returns how much.
func fill(s *semaphore.Weighted) (n int64) {
	for s.TryAcquire(1 << 10) {
		n += 1 << 10
	}
	return n
}

// stalled is a body of which one byte comes.
type stalled struct {
	came bool
	wait chan struct{} // closed when the rest is awaited
	end  chan struct{}
}

func (s *stalled) Read(p []byte) (int, error) {
	if !s.came {
		s.came = true
		return copy(p, "{"), nil
	}
	close(s.wait)
	<-s.end
	return 0, io.ErrUnexpectedEOF
}

// Senders whose signature only the body can disprove announce all the memory
// that there is, and send next to nothing.
func TestAnnouncedLengthsTakeNoMemory(t *testing.T) {
	signed, err := events.NewProof(events.ProofConfig{SigningKeys: [][]byte{make([]byte, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	known, err := events.NewProof(events.ProofConfig{Tokens: []string{token}})
	if err != nil {
		t.Fatal(err)
	}
	const most = 25 << 20
	d := NewDoor(Options{
		Sources: []Source{{Name: "signed", Paths: []string{"/hooks/signed"}, Proof: signed}, {Name: "gitlab", Paths: []string{"/hooks/gitlab"}, Proof: known}},
		Store:   &kept{}, MaxBody: most, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	var unverified sync.WaitGroup
	end := make(chan struct{})
	for range 3 { // more than there is room for
		body := &stalled{wait: make(chan struct{}), end: end}
		r := request("POST", "/hooks/signed", "", "Webhook-Id", "a", "Webhook-Timestamp", strconv.FormatInt(time.Now().Unix(), 10), "Webhook-Signature", "v1,AAAA", "X-Gitlab-Token", "")
		r.Body, r.ContentLength = io.NopCloser(body), most
		unverified.Go(func() {
			if w := answer(d, r); w.Code != http.StatusBadRequest {
				t.Errorf("an unverified sender got %d %s", w.Code, w.Body)
			}
			select {
			case <-body.wait:
			default:
				close(body.wait) // refused before its body was read
			}
		})
		<-body.wait
	}
	if w := answer(d, request("POST", "/hooks/gitlab", `{}`)); w.Code != http.StatusAccepted {
		t.Errorf("meanwhile an honest webhook gets %d %s", w.Code, w.Body)
	}
	close(end)
	unverified.Wait()
	if !d.unverified.usual.TryAcquire(40<<20) || !d.unverified.large.TryAcquire(32<<20) {
		t.Error("not all was given back")
	}
}

// GitLab stops sending to a URL that is answered 404.
func TestSlashesTooManyDoNotCount(t *testing.T) {
	for _, path := range []string{"/hooks/gitlab/", "//hooks/gitlab", "/hooks//gitlab", "///hooks//gitlab//", "/new_event/"} {
		var k kept
		r := request("POST", "/", `{}`)
		r.URL.Path = path
		if w := answer(door(t, &k, io.Discard), r); w.Code != http.StatusAccepted || len(k.hooks) != 1 {
			t.Errorf("%s: answered %d %s", path, w.Code, w.Body)
		}
		if r.URL.Path != path {
			t.Errorf("%s was made %s in the caller's request", path, r.URL.Path)
		}
	}
	if w := answer(door(t, &kept{}, io.Discard), request("GET", "/healthz/", "")); w.Code != http.StatusOK {
		t.Errorf("/healthz/: answered %d", w.Code)
	}
}

// A path that is no source's is logged as it came, but for what does harm.
func TestRefusedPathIsLogged(t *testing.T) {
	var log bytes.Buffer
	d := door(t, &kept{}, &log)
	long := strings.Repeat("ä", 500)
	for path, want := range map[string]string{
		"/hook/gitlab":         "/hook/gitlab",
		"/\x1b[31m\r\n\u202ex": "/\uFFFD[31m\uFFFD\uFFFD\uFFFDx",
		"/\xff":                "/\uFFFD",
		"/" + long:             "/" + long[:2*(maxShown-1)] + "…",
		`/","level":"ERROR`:    `/","level":"ERROR`,
		"/hooks/gitlab/extra/": "/hooks/gitlab/extra",
	} {
		log.Reset()
		r := request("POST", "/", `{}`)
		r.URL.Path = path
		answer(d, r)
		var line struct{ Level, Path, Outcome string }
		if err := json.Unmarshal(log.Bytes(), &line); err != nil || line.Level != "WARN" || line.Path != want || line.Outcome != "not_found" {
			t.Errorf("%q: %v, logged %+v, want the path %q", path, err, line, want)
		}
	}
	log.Reset()
	for range 5000 {
		answer(d, request("POST", "/wp-login.php", ""))
	}
	if lines := bytes.Count(log.Bytes(), []byte("\n")); lines < 20 || lines > 200 {
		t.Errorf("%d lines about 5000 requests of a scanner", lines)
	}
	log.Reset()
	if answer(d, request("POST", "/hooks/gitlab", `{}`, "X-Gitlab-Token", "wrong")); !strings.Contains(log.String(), "unauthorized") {
		t.Errorf("behind them a wrong token is not logged: %q", log.String())
	}
}

// /readyz of the public listener tells whether webhooks can be stored, and asks
// the queue at most once a second, whoever asks it.
func TestPublicReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := door(t, &kept{}, io.Discard)
		asked, failure := 0, errors.New("canary")
		ready := cached(func(context.Context) error { asked++; return failure })
		d.engine = newEngine(slog.New(slog.DiscardHandler))
		d.engine.GET("/readyz", readyz(ready))
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 {
			w := answer(d, request("GET", "/readyz", "").WithContext(gone))
			if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "canary") {
				t.Fatalf("answered %d %s", w.Code, w.Body)
			}
		}
		failure = nil
		time.Sleep(readyCache + time.Millisecond)
		if w := answer(d, request("GET", "/readyz", "")); w.Code != http.StatusOK {
			t.Errorf("answered %d %s", w.Code, w.Body)
		}
		if asked != 2 {
			t.Errorf("the queue was asked %d times, want 2", asked)
		}
	})
}

func TestPanicLeaksNothing(t *testing.T) {
	var log bytes.Buffer
	store := storeFunc(func(context.Context, *queue.Webhook) (queue.ID, error) { panic("canary") })
	w := answer(door(t, store, &log), request("POST", "/hooks/gitlab", `{}`))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("answered %d", w.Code)
	}
	for _, secret := range []string{token, "canary"} {
		if strings.Contains(log.String()+w.Body.String(), secret) {
			t.Errorf("%q is in the log or the answer:\n%s%s", secret, log.String(), w.Body)
		}
	}
	if !strings.Contains(log.String(), "panic") {
		t.Error("the log does not tell of the panic")
	}
}

func TestUpdateChangesTheSources(t *testing.T) {
	d := door(t, &kept{}, io.Discard)
	proof, err := events.NewProof(events.ProofConfig{Tokens: []string{"new"}})
	if err != nil {
		t.Fatal(err)
	}
	d.Update([]Source{{Name: "lab", Paths: []string{"/hooks/lab"}, Proof: proof}})
	for path, c := range map[string]struct {
		token  string
		status int
	}{"/hooks/gitlab": {token, 404}, "/hooks/lab": {"new", 202}} {
		if w := answer(d, request("POST", path, `{}`, "X-Gitlab-Token", c.token)); w.Code != c.status {
			t.Errorf("%s: answered %d, want %d", path, w.Code, c.status)
		}
	}
}

func admin(opt AdminOptions) func(method, path string, header ...string) *httptest.ResponseRecorder {
	opt.Log, opt.Gatherer = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	if opt.Relay == nil {
		opt.Relay = &standIn{config: map[string]int{"routes": 1}}
	}
	h := NewAdmin(opt)
	return func(method, path string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.Host = "127.0.0.1:8081"
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
			switch header[i] {
			case "Host":
				r.Host = header[i+1]
			case "HTTP":
				r.ProtoMinor = 0
			}
		}
		return answer(h, r)
	}
}

func TestHealth(t *testing.T) {
	relay := &standIn{ready: errors.New("canary")}
	do := admin(AdminOptions{Relay: relay})
	if w := do("GET", "/healthz"); w.Code != 200 {
		t.Errorf("/healthz: %d", w.Code)
	}
	if w := do("GET", "/readyz"); w.Code != 503 || strings.Contains(w.Body.String(), "canary") {
		t.Errorf("/readyz: %d %s", w.Code, w.Body)
	}
	relay.ready = nil
	for path, status := range map[string]int{"/readyz": 200, "/metrics": 200, "/hooks/gitlab": 404} {
		if w := do("GET", path); w.Code != status {
			t.Errorf("%s: %d, want %d", path, w.Code, status)
		}
	}
}

func TestAdminIsGuarded(t *testing.T) {
	const secret = "admin-canary"
	bearer := []string{"Authorization", "Bearer " + secret}
	for name, c := range map[string]struct {
		opt    AdminOptions
		header []string
		status int
	}{
		"loopback":                     {AdminOptions{Loopback: true}, nil, 200},
		"loopback by name":             {AdminOptions{Loopback: true}, []string{"Host", "localhost:8081"}, 200},
		"loopback, a rebound name":     {AdminOptions{Loopback: true}, []string{"Host", "evil.example:8081"}, 403},
		"loopback, a page elsewhere":   {AdminOptions{Loopback: true}, []string{"Origin", "https://evil.example"}, 403},
		"loopback, its own page":       {AdminOptions{Loopback: true}, []string{"Origin", "http://127.0.0.1:8081"}, 200},
		"open address without a token": {AdminOptions{}, nil, 403},
		"open address, no bearer":      {AdminOptions{Token: secret}, nil, 401},
		"open address, wrong bearer":   {AdminOptions{Token: secret}, []string{"Authorization", "Bearer x"}, 401},
		"open address, basic":          {AdminOptions{Token: secret}, []string{"Authorization", secret}, 401},
		"open address, bearer":         {AdminOptions{Token: secret}, bearer, 200},
		"loopback with a token":        {AdminOptions{Token: secret, Loopback: true}, nil, 401},
		"a page of another site":       {AdminOptions{Loopback: true}, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"one on another port":          {AdminOptions{Loopback: true}, []string{"Sec-Fetch-Site", "same-site"}, 403},
		"a page of its own":            {AdminOptions{Loopback: true}, []string{"Sec-Fetch-Site", "same-origin"}, 200},
		"typed by hand":                {AdminOptions{Loopback: true}, []string{"Sec-Fetch-Site", "none"}, 200},
		"another site, with the token": {AdminOptions{Token: secret}, append([]string{"Sec-Fetch-Site", "cross-site"}, bearer...), 403},
		"Forwarded":                    {AdminOptions{Loopback: true}, []string{"Forwarded", "for=192.0.2.1"}, 401},
		"Forwarded, empty":             {AdminOptions{Loopback: true}, []string{"Forwarded", ""}, 401},
		"X-Forwarded-For":              {AdminOptions{Loopback: true}, []string{"X-Forwarded-For", "127.0.0.1"}, 401},
		"X-Forwarded-Proto":            {AdminOptions{Loopback: true}, []string{"X-Forwarded-Proto", "https"}, 401},
		"X-Real-IP":                    {AdminOptions{Loopback: true}, []string{"X-Real-IP", "192.0.2.1"}, 401},
		"Via":                          {AdminOptions{Loopback: true}, []string{"Via", "1.1 proxy"}, 401},
		"CF-Connecting-IP":             {AdminOptions{Loopback: true}, []string{"CF-Connecting-IP", "192.0.2.1"}, 401},
		"HTTP/1.0, as nginx":           {AdminOptions{Loopback: true}, []string{"HTTP", "1.0"}, 401},
		"a proxy, with the token":      {AdminOptions{Loopback: true, Token: secret}, append([]string{"X-Forwarded-For", "192.0.2.1", "Host", "relay.example"}, bearer...), 200},
	} {
		t.Run(name, func(t *testing.T) {
			do := admin(c.opt)
			for _, w := range []*httptest.ResponseRecorder{do("GET", "/api/v1/config", c.header...), do("POST", "/-/reload", c.header...)} {
				if w.Code != c.status || strings.Contains(w.Body.String(), secret) {
					t.Errorf("answered %d %s, want %d", w.Code, w.Body, c.status)
				}
			}
			for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
				if w := do("GET", path, c.header...); w.Code != 200 {
					t.Errorf("%s: %d", path, w.Code)
				}
			}
		})
	}
}

func TestReloadThatFailsSaysWhy(t *testing.T) {
	do := admin(AdminOptions{Loopback: true, Relay: &standIn{reload: errors.New("relay.yaml:3:1: error: unknown key")}})
	w := do("POST", "/-/reload")
	if w.Code != 422 || !strings.Contains(w.Body.String(), "relay.yaml:3:1") {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if w := do("GET", "/-/reload"); w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
}

// TestProxied knows the signs of proxies, and takes nothing for one that programs
// and browsers send.
func TestProxied(t *testing.T) {
	for _, name := range strings.Fields(`Via Forwarded X-Forwarded-For X-Forwarded-Host X_Forwarded_For X-Forwarded X-Real-IP X-Client-IP Client-IP
		X-Cluster-Client-IP True-Client-IP Fastly-Client-IP CF-Connecting-IP CF-Ray CDN-Loop Fly-Client-IP X-Azure-ClientIP X-Appengine-User-IP
		X-ProxyUser-IP X-Original-URL X-Rewrite-URL X-Envoy-External-Address X-Nginx-Proxy X-Scheme X-Host Proxy-Connection X-Amzn-Trace-Id
		Ali-CDN-Real-IP Tailscale-User-Login`) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set(name, "x")
		if !proxied(r) {
			t.Errorf("%s is not taken for a proxy's", name)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, name := range strings.Fields(`Accept Accept-Encoding Accept-Language Authorization Cache-Control Content-Type Cookie Dnt If-None-Match
		Origin Pragma Priority Range Referer Sec-Ch-Ua Sec-Fetch-Site Te Traceparent Upgrade-Insecure-Requests User-Agent X-Requested-With X-Scheming`) {
		r.Header.Set(name, "x")
	}
	if proxied(r) {
		t.Errorf("taken for a proxy's: %v", r.Header)
	}
}
