package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gitlab-mattermost/relay/queue"
)

const (
	// pageLimit is how many things one answer lists unless it is asked for
	// more, maxPage how many at most.
	pageLimit, maxPage = 50, 200
	// maxRequest is how much a request may say, in bytes.
	maxRequest = 64 << 10
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
	// About is what the relay knows of itself.
	About() About
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

	// InWords says for people what a chat's answer to messages of a lane means, in a text
	// that holds one.
	InWords(lane queue.Lane, text string) string

	// Lanes returns the state of all lanes, from the relay that dispatches. Retry tries those of
	// an address now ("": all), and returns the results.
	Lanes(ctx context.Context) (LaneList, error)
	Retry(ctx context.Context, address string) ([]TriedLane, error)
	// Take has the relay that dispatches take messages out of the line of an address.
	Take(ctx context.Context, t Take) (TakenParked, error)
	// Routed reports whether a route may send to an address.
	Routed(address string) bool

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
type Description struct{ Event, Project, Title, Actor string }

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
		{http.MethodPost, "/parked/move", a.moveParked},
		{http.MethodPost, "/parked/drop", a.dropParked},
		{http.MethodGet, "/sources", a.sources},
		{http.MethodGet, "/status", a.status},
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
		err = q.rejectUnknown()
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
