package gitlab

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Call is a call of a webhook in its log (app/models/hooks/web_hook_log.rb).
type Call struct {
	ID      int64
	URL     string
	Trigger string // "push_hooks"
	Header  map[string]string
	Data    json.RawMessage
	Status  string // "202", or "internal error"
	Time    time.Time

	sent []byte // what Data was before it was redacted
}

const (
	// internalError is what a call that got no answer is stored as
	// (app/services/web_hook_service.rb, ERROR_STATUS).
	internalError = "internal error"
	// keptFor is how long calls are kept (web_hook_log.rb: partitions; docs: 7 days).
	keptFor = 7 * 24 * time.Hour
	// largestData is what is logged of a payload at most; of a larger one only that
	// it was (web_hook_log.rb, OVERSIZE_REQUEST_DATA). GitLab's own bound is the one
	// of its job queue.
	largestData = 1 << 20
	// freeFailures may be in a row before a webhook is switched off, mostFailures
	// before it is for good (app/models/concerns/web_hooks/auto_disabling.rb).
	freeFailures, mostFailures = 3, 39
	firstPause, longestPause   = time.Minute, 24 * time.Hour
	// testsPerMinute is for test and for resend (doc/api/project_webhooks.md).
	testsPerMinute = 5
)

// Fire has something happen in a project: its webhooks and those of the groups above
// it are called, one after the other. A webhook that is switched off is not called,
// and not logged either (web_hook_service.rb: 'Hook disabled').
func (s *Server) Fire(project, trigger, event string, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.places {
		if p.path != project && !(p.group && strings.HasPrefix(project, p.path+"/")) {
			continue
		}
		for _, h := range p.hooks {
			if h.Triggers[trigger] && !s.disabled(h) && !s.throttled(project) {
				s.call(h, trigger, event, rand.Text(), payload)
			}
		}
	}
}

// throttled counts a call against the limit of its top-level group. What is too much
// is not called, and not in the webhook's log.
func (s *Server) throttled(project string) bool {
	top, _, _ := strings.Cut(project, "/")
	return s.o.Calls > 0 && s.within("calls "+top, s.o.Calls)
}

// call sends a webhook and logs it. The server's lock is held: calls come one after
// the other.
func (s *Server) call(h *Hook, trigger, event, key string, payload []byte) (status string) {
	header := map[string]string{
		"Content-Type": "application/json", "User-Agent": fmt.Sprintf("GitLab/17.%d.0", s.o.Minor), "X-Gitlab-Event": event,
		"X-Gitlab-Instance": s.URL(), "X-Gitlab-Webhook-UUID": rand.Text(), "X-Gitlab-Event-UUID": rand.Text(), "Idempotency-Key": key,
	}
	if h.Token != "" {
		header["X-Gitlab-Token"] = h.Token
	}
	status = post(h.URL, header, payload)
	if h.Token != "" {
		header["X-Gitlab-Token"] = "[REDACTED]"
	}
	s.lastID++
	h.Calls = append(h.Calls, Call{
		ID: s.lastID, URL: h.URL, Trigger: strings.TrimSuffix(trigger, "_events") + "_hooks", Header: header,
		Data: logged(payload), Status: status, Time: s.o.Now(), sent: payload,
	})
	// 2xx and 3xx are success (web_hook_service.rb, response_category).
	if status[0] == '2' || status[0] == '3' {
		h.failures, h.disabledUntil, h.dead = 0, time.Time{}, false
	} else {
		s.failed(h)
	}
	return status
}

func post(url string, header map[string]string, payload []byte) string {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(payload))
	if err != nil {
		return internalError
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	client := http.Client{
		Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(r)
	if err != nil {
		return internalError
	}
	res.Body.Close()
	return strconv.Itoa(res.StatusCode)
}

// logged is a payload as the log shows it (web_hook_log.rb, redact_user_emails).
func logged(payload []byte) json.RawMessage {
	if len(payload) > largestData {
		return json.RawMessage(`{"oversize":true}`)
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return json.RawMessage("{}")
	}
	text, _ := json.Marshal(withoutEmails(v)) // it was JSON before
	return text
}

func withoutEmails(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if _, is := x.(string); is && strings.HasSuffix(k, "email") {
				v[k] = "[REDACTED]"
			} else {
				v[k] = withoutEmails(x)
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutEmails(v[i])
		}
	}
	return v
}

// failed counts a failure: from the fourth in a row on the webhook is switched off,
// for a minute, then for twice as long each time, and for good behind the 39th
// (auto_disabling.rb). Self-managed this is off unless an administrator wants it.
func (s *Server) failed(h *Hook) {
	h.failures++
	switch {
	case !s.o.AutoDisable || h.failures <= freeFailures:
	case h.failures > mostFailures:
		h.dead = true
	default:
		pause := min(firstPause<<min(h.failures-freeFailures-1, 20), longestPause)
		h.disabledUntil = s.o.Now().Add(pause)
	}
}

func (s *Server) disabled(h *Hook) bool { return h.dead || s.o.Now().Before(h.disabledUntil) }

func (s *Server) alertStatus(h *Hook) string {
	switch {
	case h.dead:
		return "disabled"
	case s.disabled(h):
		return "temporarily_disabled"
	}
	return "executable"
}

// listCalls is GET …/events: the calls of the last 7 days, newest first, 20 a page at
// most (lib/api/hooks/events.rb: per_page takes 1 to 20).
func (s *Server) listCalls(r *asked) answer {
	_, h, refused := s.hookOf(r)
	if h == nil || s.o.Minor < 3 {
		return orNotFound(refused)
	}
	q := r.URL.Query()
	if n, err := strconv.Atoi(q.Get("per_page")); q.Has("per_page") && (err != nil || n < 1 || n > 20) {
		return answer{status: http.StatusBadRequest, body: map[string]any{"error": "per_page does not have a valid value"}}
	}
	var list []map[string]any
	for _, c := range slices.Backward(h.Calls) {
		if s.o.Now().Sub(c.Time) < keptFor && ofStatus(c.Status, q.Get("status")) {
			list = append(list, s.callJSON(c))
		}
	}
	return s.page(r, list)
}

func orNotFound(a answer) answer {
	if a.status == 0 {
		return answer{status: http.StatusNotFound, body: map[string]any{"error": "404 Not Found"}}
	}
	return a
}

func (s *Server) callJSON(c Call) map[string]any {
	out := map[string]any{
		"id": c.ID, "url": c.URL, "trigger": c.Trigger, "request_headers": c.Header, "request_data": c.Data,
		"response_headers": map[string]string{}, "response_body": "", "execution_duration": 0.1, "response_status": c.Status,
	}
	if !s.o.Undated { // lib/api/entities/web_hook_log.rb
		out["created_at"] = c.Time.UTC().Format(time.RFC3339Nano)
	}
	return out
}

// ofStatus is the filter `status`: codes and categories, of which server_failure has
// what got no answer too (app/models/hooks/…/web_hook_logs_finder.rb).
func ofStatus(status, filter string) bool {
	if filter == "" {
		return true
	}
	return slices.ContainsFunc(strings.Split(filter, ","), func(f string) bool {
		switch f {
		case "successful":
			return status[0] == '2'
		case "client_failure":
			return status[0] == '4'
		case "server_failure":
			return status[0] == '5' || status == internalError
		}
		return status == f
	})
}

// resend is POST …/events/:id/resend: five a minute, 422 once the webhook has another
// URL, under the same Idempotency-Key (lib/api/hooks/resend_hook.rb,
// app/services/web_hooks/events/resend_service.rb).
func (s *Server) resend(r *asked) answer {
	p, h, refused := s.hookOf(r)
	if h == nil || s.o.Minor < 4 {
		return orNotFound(refused)
	}
	i := slices.IndexFunc(h.Calls, func(c Call) bool { return strconv.FormatInt(c.ID, 10) == r.PathValue("event") })
	switch {
	case i < 0:
		return says(http.StatusNotFound, "404 Not found")
	case s.within(fmt.Sprint("resend ", p.id, r.user.Name), testsPerMinute):
		return says(http.StatusTooManyRequests, map[string]any{"error": "This endpoint has been requested too many times. Try again later."})
	case h.Calls[i].URL != h.URL:
		return says(http.StatusUnprocessableEntity, "The hook URL has changed. Unable to resend")
	}
	c := h.Calls[i]
	s.call(h, strings.TrimSuffix(c.Trigger, "_hooks")+"_events", c.Header["X-Gitlab-Event"], c.Header["Idempotency-Key"], c.sent)
	return answer{status: http.StatusCreated, body: map[string]any{"response_status": 200}}
}

// test is POST …/test/:trigger: five a minute, 422 without anything to make the
// payload of; it runs although the webhook is switched off, and if it gets through
// the failures are forgotten (lib/api/hooks/trigger_test.rb,
// app/services/test_hooks/base_service.rb: force).
func (s *Server) test(r *asked) answer {
	p, h, refused := s.hookOf(r)
	switch {
	case h == nil:
		return refused
	case s.within(fmt.Sprint("test ", p.id, r.user.Name), testsPerMinute):
		return says(http.StatusTooManyRequests, map[string]any{"error": "This endpoint has been requested too many times. Try again later."})
	case p.empty:
		return says(http.StatusUnprocessableEntity, "Ensure the project has at least one commit.")
	}
	status := s.call(h, r.PathValue("trigger"), "Push Hook", rand.Text(), []byte(`{"object_kind":"push","project":{"path_with_namespace":"`+p.path+`"}}`))
	if status[0] != '2' && status[0] != '3' {
		return says(http.StatusUnprocessableEntity, status)
	}
	return says(http.StatusCreated, "201 Created")
}
