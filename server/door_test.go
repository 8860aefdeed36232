package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	for name, c := range map[string]struct {
		request *http.Request
		status  int
	}{
		"unknown path":         {request("POST", "/hooks/nobody", `{}`), 404},
		"unknown path, GET":    {request("GET", "/x", ``), 404},
		"trailing slash":       {request("POST", "/hooks/gitlab/", `{}`), 404},
		"GET":                  {request("GET", "/hooks/gitlab", ``), 405},
		"POST to healthz":      {request("POST", "/healthz", ``), 405},
		"compressed":           {request("POST", "/hooks/gitlab", `{}`, "Content-Encoding", "gzip"), 415},
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
	d.flight.Store(bodyBudget)
	w := answer(d, request("POST", "/hooks/gitlab", `{}`))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if n := d.flight.Load(); n != bodyBudget {
		t.Errorf("%d bytes were not given back", n-bodyBudget)
	}
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

func TestAdmin(t *testing.T) {
	ready := errors.New("canary")
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_test_total"}))
	h := NewAdmin(AdminOptions{
		Ready: func(context.Context) error { return ready }, Gatherer: registry, Log: slog.New(slog.DiscardHandler),
	})
	get := func(path string) *httptest.ResponseRecorder { return answer(h, httptest.NewRequest("GET", path, nil)) }
	if w := get("/healthz"); w.Code != 200 {
		t.Errorf("/healthz: %d", w.Code)
	}
	if w := get("/readyz"); w.Code != 503 || strings.Contains(w.Body.String(), "canary") {
		t.Errorf("/readyz: %d %s", w.Code, w.Body)
	}
	ready = nil
	if w := get("/readyz"); w.Code != 200 {
		t.Errorf("/readyz: %d %s", w.Code, w.Body)
	}
	if w := get("/metrics"); w.Code != 200 || !strings.Contains(w.Body.String(), "relay_test_total 0") {
		t.Errorf("/metrics: %d %s", w.Code, w.Body)
	}
	if w := get("/hooks/gitlab"); w.Code != 404 {
		t.Errorf("a hook at the admin listener: %d", w.Code)
	}
}
