package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/gin-gonic/gin"

	"github.com/gitlab-mattermost/relay/queue"
)

const (
	// pageLimit is how many things one answer lists unless it is asked for
	// more, maxPage how many at most.
	pageLimit, maxPage = 50, 200
	// maxQuestion is how much a request may say, in bytes.
	maxQuestion = 64 << 10
	// answerTimeout is how long an answer may take to be found.
	answerTimeout = 30 * time.Second
)

// Relay is the relay that the admin listener speaks for.
type Relay interface {
	// Ready tells whether a webhook could be stored now and what is stored goes out.
	Ready(ctx context.Context) error
	// Reload loads the configuration again; its error is for people.
	Reload() error
	// Config is the configuration in force, without secrets, as JSON.
	Config() any
	// Sources are those in force.
	Sources() SourceList

	// Describe tells what a webhook is about.
	Describe(w *queue.Webhook) Description
	// Decide says what would be decided about a webhook now, as JSON.
	Decide(w *queue.Webhook) any
	// Lane is the lane of an address in relay.yaml; the error is for people.
	Lane(address string) (queue.Lane, error)
	// Withheld says why a webhook would be withheld from an address, for people; nil
	// if it would not.
	Withheld(w *queue.Webhook, from queue.Lane) error

	// Lanes asks the relay that dispatches how its lanes stand, Retry to try those of
	// an address now ("": all), and how many these are.
	Lanes(ctx context.Context) ([]Lane, error)
	Retry(ctx context.Context, address string) ([]TriedLane, error)

	// Clean takes secrets out of a text.
	Clean(text string) string
}

// api is what the admin listener shows of events, dead letters, lanes and
// sources, and what may be done about them. Without a queue it shows nothing.
type api struct {
	relay   Relay
	queue   *queue.Queue
	log     *slog.Logger
	given   answers
	reading chan struct{} // holds one while a payload is sent: they are large
}

func newAPI(opt AdminOptions) *api {
	return &api{relay: opt.Relay, queue: opt.Queue, log: opt.Log, reading: make(chan struct{}, 1)}
}

// Description is what a webhook is about.
type Description struct{ Event, Project, Title string }

// register adds the pages of the API.
func (a *api) register(g *gin.RouterGroup) {
	if a.queue == nil {
		return
	}
	v1 := g.Group("/api/v1")
	for _, page := range []struct {
		method, path string
		answer       func(ctx context.Context, r *question) (any, error)
	}{
		{http.MethodGet, "/events", a.events},
		{http.MethodGet, "/events/:id", a.event},
		{http.MethodGet, "/events/:id/decision", a.decision},
		{http.MethodPost, "/events/:id/replay", a.replay},
		{http.MethodGet, "/deadletters", a.deadLetters},
		{http.MethodGet, "/deadletters/:id", a.deadLetter},
		{http.MethodPost, "/deadletters/:id/replay", a.replayDeadLetter},
		{http.MethodPost, "/deadletters/:id/purge", a.purgeDeadLetter},
		{http.MethodPost, "/deadletters/replay", a.replayDeadLetters},
		{http.MethodPost, "/deadletters/purge", a.purgeDeadLetters},
		{http.MethodGet, "/parked", a.parked},
		{http.MethodPost, "/parked/retry", a.retryParked},
		{http.MethodGet, "/sources", a.sources},
	} {
		v1.Handle(page.method, page.path, func(c *gin.Context) { a.serve(c, page.answer) })
	}
	v1.GET("/events/:id/body", a.body)
}

// serve answers one request in JSON, without secrets. One that is sent again
// under its Idempotency-Key gets the answer that it got; one that asks something
// else under that key is another request.
func (a *api) serve(c *gin.Context, answer func(ctx context.Context, r *question) (any, error)) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), answerTimeout)
	defer cancel()
	private(c)
	q, err := ask(c)
	if err != nil {
		a.refuse(c, err)
		return
	}
	name := q.name()
	if before, ok := a.given.find(name); ok {
		c.Data(before.status, jsonType, before.text)
		return
	}
	v, err := answer(ctx, q)
	if err == nil {
		err = q.unasked()
	}
	if err != nil {
		a.refuse(c, err)
		return
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		a.refuse(c, err)
		return
	}
	clean := []byte(a.relay.Clean(text.String()))
	a.given.keep(name, given{q.status, clean})
	c.Data(q.status, jsonType, clean)
}

const jsonType = "application/json; charset=utf-8"

// answers are those to the last requests with an Idempotency-Key: what a request
// has changed cannot be found in the same state when it is sent again. After a
// restart it is the queue that knows what is there already.
type answers struct {
	mu    sync.Mutex
	byKey map[string]given // by what [question.name] is
	order []string         // oldest first
}

type given struct {
	status int
	text   []byte
}

// maxAnswers is how many answers are remembered.
const maxAnswers = 256

func (a *answers) find(name string) (given, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g, ok := a.byKey[name]
	return g, ok && name != ""
}

func (a *answers) keep(name string, g given) {
	if name == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byKey == nil {
		a.byKey = map[string]given{}
	}
	a.byKey[name] = g
	if a.order = append(a.order, name); len(a.order) > maxAnswers {
		delete(a.byKey, a.order[0])
		a.order = a.order[1:]
	}
}

// private keeps an answer out of caches and from being taken for a page.
func private(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("X-Content-Type-Options", "nosniff")
}

// refuse answers an error: what a person can mend in words, everything else as
// one sentence, with the cause in the log.
func (a *api) refuse(c *gin.Context, err error) {
	var no *refusal
	switch {
	case errors.As(err, &no):
	case errors.Is(err, queue.ErrFull):
		no = &refusal{status: http.StatusServiceUnavailable, text: "the queue is full; ask again when it has room"}
	case errors.Is(err, queue.ErrDown):
		no = &refusal{status: http.StatusServiceUnavailable, text: "the queue cannot be written now; ask again when /readyz says ready"}
	case errors.Is(err, queue.ErrNobodyDispatches):
		no = &refusal{status: http.StatusServiceUnavailable, text: "no relay dispatches at this moment; one takes over within seconds: ask again"}
	case errors.Is(err, context.DeadlineExceeded):
		no = &refusal{status: http.StatusServiceUnavailable, text: "the queue did not answer in time; ask for less, with since and until, or later"}
	default:
		a.log.Error("the admin API failed", "path", c.FullPath(), "err", err)
		no = &refusal{status: http.StatusInternalServerError, text: "the relay failed; its log says why"}
	}
	answerError(c, &refusal{status: no.status, text: a.relay.Clean(no.text)})
}

// question is what a request asks.
type question struct {
	*gin.Context
	asked  map[string]bool // parameters that were looked at
	body   map[string]json.RawMessage
	status int
}

// ask reads a request. A body is a JSON object, or nothing.
func ask(c *gin.Context) (*question, error) {
	q := &question{Context: c, asked: map[string]bool{}, status: http.StatusOK}
	if c.Request.Method != http.MethodPost {
		return q, nil
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxQuestion))
	if err != nil {
		return nil, wrong("the body is longer than %d bytes, or ended early", maxQuestion)
	}
	if len(bytes.TrimSpace(text)) > 0 && json.Unmarshal(text, &q.body) != nil {
		return nil, wrong("the body must be one JSON object, or empty")
	}
	return q, nil
}

// name is what the answer is remembered by: the Idempotency-Key and all that is
// asked; "" without a key.
func (q *question) name() string {
	key := q.GetHeader("Idempotency-Key")
	if key == "" || q.Request.Method != http.MethodPost {
		return ""
	}
	body, _ := json.Marshal(q.body) // it was read as JSON
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %s", key, q.Request.URL.Path, body))
	return string(sum[:])
}

func wrong(format string, args ...any) error {
	return &refusal{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

func withheld(err error) error {
	return &refusal{status: http.StatusUnprocessableEntity, text: err.Error()}
}

func notFound(format string, args ...any) error {
	return &refusal{status: http.StatusNotFound, text: fmt.Sprintf(format, args...)}
}

// text is a parameter: of the query, or for POST of the body.
func (q *question) text(name string) (string, error) {
	q.asked[name] = true
	if q.Request.Method != http.MethodPost {
		return q.Query(name), nil
	}
	raw, ok := q.body[name]
	if !ok || string(raw) == "null" {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		var n json.Number
		if json.Unmarshal(raw, &n) != nil {
			return "", wrong("%s must be a string", name)
		}
		s = n.String()
	}
	return s, nil
}

// unasked refuses parameters that mean nothing: a filter with a misspelt name
// would let everything through. It is asked for once the others are known.
func (q *question) unasked() error {
	names := []string{}
	if q.Request.Method == http.MethodPost {
		for name := range q.body {
			names = append(names, name)
		}
	} else {
		for name := range q.Request.URL.Query() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !q.asked[name] {
			known := make([]string, 0, len(q.asked))
			for name := range q.asked {
				known = append(known, name)
			}
			slices.Sort(known)
			if len(known) == 0 {
				return wrong("%q means nothing here; there are no parameters", name)
			}
			return wrong("%q means nothing here; there is %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

// event is the id in the path.
func (q *question) event() (queue.ID, error) {
	id, err := queue.ParseID(q.Param("id"))
	if err != nil {
		return queue.ID{}, wrong("%s", err)
	}
	return id, nil
}

// number reads a whole number between 1 and most; without one it is def.
func (q *question) number(name string, def, most int) (int, error) {
	s, err := q.text(name)
	if err != nil || s == "" {
		return def, err
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		return 0, wrong("%s must be a number between 1 and %d", name, most)
	}
	return n, nil
}

// time reads a point in time, or how long ago it was.
func (q *question) time(name string) (time.Time, error) {
	s, err := q.text(name)
	if err != nil || s == "" {
		return time.Time{}, err
	}
	t, err := ParseTime(s, time.Now())
	if err != nil {
		return time.Time{}, wrong("%s: %s", name, err)
	}
	return t, nil
}

// ParseTime reads a point in time, as RFC 3339 writes it, or a date, or how long
// before now it was: 90m, 2h, 3d.
func ParseTime(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.Add(-time.Duration(n) * 24 * time.Hour), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: want how long ago, such as 90m, 2h or 3d, or 2026-01-31T14:00:00Z", s)
}

// filter is what events and dead letters are chosen by.
type filter struct {
	project, event string
	since, until   time.Time
}

func (q *question) filter() (f filter, err error) {
	if f.project, err = q.text("project"); err != nil {
		return f, err
	}
	if f.event, err = q.text("event"); err != nil {
		return f, err
	}
	if !doublestar.ValidatePattern(f.project) {
		return f, wrong("project: %q is no pattern: want a path such as acme/api or acme/**", f.project)
	}
	if f.since, err = q.time("since"); err != nil {
		return f, err
	}
	f.until, err = q.time("until")
	return f, err
}

// matches goes by what an event is about.
func (f *filter) matches(project, event string) bool {
	if f.project != "" {
		pattern, path := strings.ToLower(f.project), strings.ToLower(project)
		whole, _ := doublestar.Match(pattern, path) // the pattern was checked
		if !whole && path+"/**" != pattern {
			return false
		}
	}
	kind := strings.TrimSuffix(f.event, ".*")
	return kind == "" || event == f.event || event == kind || strings.HasPrefix(event, kind+".")
}

// during goes by when it came.
func (f *filter) during(t time.Time) bool {
	return (f.since.IsZero() || !t.Before(f.since)) && (f.until.IsZero() || t.Before(f.until))
}

// addressOf writes a lane as relay.yaml writes its address.
func addressOf(l queue.Lane) string {
	switch {
	case l.Channel == "", strings.HasPrefix(l.Channel, "@"):
		return l.Destination + l.Channel
	}
	return l.Destination + "#" + l.Channel
}
