package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

const (
	// storeTimeout is how long a webhook may wait for the queue. GitLab gives
	// up after 10 s and does not try again.
	storeTimeout = 5 * time.Second
	// bodyBudget bounds the bodies in memory at the door, in bytes.
	bodyBudget = 96 << 20
	// chunk is what a body without a length is read by.
	chunk = 256 << 10
)

// Store keeps webhooks; see [queue.Queue.Store].
type Store interface {
	Store(ctx context.Context, w *queue.Webhook) (queue.ID, error)
}

// Source is a GitLab that may send.
type Source struct {
	Name  string
	Paths []string
	Proof *events.Proof
}

// Options of the public listener.
type Options struct {
	Sources    []Source
	Store      Store
	MaxBody    int64 // bytes
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Door answers the public listener.
type Door struct {
	opt     Options
	sources atomic.Pointer[map[string]*Source] // by path
	engine  *gin.Engine
	flight  atomic.Int64 // bytes of bodies in memory
	metrics *doorMetrics
}

// NewDoor makes the public handler.
func NewDoor(opt Options) *Door {
	d := &Door{opt: opt, metrics: newDoorMetrics(opt.Registerer)}
	d.Update(opt.Sources)
	d.engine = newEngine(opt.Log)
	d.engine.GET("/healthz", healthz)
	d.engine.HEAD("/healthz", healthz)
	d.engine.NoRoute(d.hook)
	return d
}

// Update takes new sources. Requests under way go on with the ones they began
// with.
func (d *Door) Update(sources []Source) {
	byPath := map[string]*Source{}
	for _, s := range sources {
		for _, path := range s.Paths {
			byPath[path] = &s
		}
	}
	d.sources.Store(&byPath)
}

func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.engine.ServeHTTP(w, r) }

// refusal is an answer other than 2xx. The text is shown by GitLab to its
// users: it says what to do and holds nothing of the request.
type refusal struct {
	status int
	text   string
	result string // for the metric
	detail string // for the log, where it says more than text; no secret either
}

func (r *refusal) Error() string { return cmp.Or(r.detail, r.text) }

// hook takes one webhook.
func (d *Door) hook(c *gin.Context) {
	begin := time.Now()
	source := (*d.sources.Load())[c.Request.URL.Path]
	id, err := d.accept(c, source)
	result, status := "accepted", http.StatusAccepted
	if err != nil {
		var no *refusal
		if !errors.As(err, &no) {
			no = &refusal{status: http.StatusInternalServerError, text: "the relay failed", result: "error"}
		}
		result, status = no.result, no.status
		answerError(c, no)
	} else {
		c.JSON(status, gin.H{"id": id.String(), "status": "accepted"})
	}
	d.report(c, source, id, result, status, time.Since(begin), err)
}

// report says in one line, and in the metrics, what became of a request.
func (d *Door) report(c *gin.Context, source *Source, id queue.ID, result string, status int, took time.Duration, err error) {
	name := "" // a path that names no source is not a label
	if source != nil {
		name = source.Name
	}
	kind := knownHeader(c.GetHeader("X-Gitlab-Event"))
	d.metrics.received.WithLabelValues(name, kind, result).Inc()
	d.metrics.duration.Observe(took.Seconds())
	attrs := []slog.Attr{
		slog.String("source", name), slog.String("hook", kind), slog.Int("status", status), slog.String("outcome", result), slog.Duration("duration", took),
	}
	level := slog.LevelInfo
	switch {
	case err == nil:
		attrs = append(attrs, slog.String("event_id", id.String()))
	case status >= 500:
		level = slog.LevelError
		attrs = append(attrs, slog.String("err", err.Error()))
	default:
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("remote", c.RemoteIP()), slog.String("err", err.Error()))
	}
	d.opt.Log.LogAttrs(c.Request.Context(), level, "webhook", attrs...)
}

// accept checks a request in the order that costs least, and stores it.
func (d *Door) accept(c *gin.Context, source *Source) (queue.ID, error) {
	r := c.Request
	switch {
	case source == nil:
		return queue.ID{}, &refusal{status: http.StatusNotFound, text: "no source has this path: compare the URL in GitLab with the one that relay serve prints", result: "not_found"}
	case r.Method != http.MethodPost:
		c.Header("Allow", http.MethodPost)
		return queue.ID{}, &refusal{status: http.StatusMethodNotAllowed, text: "webhooks are sent with POST", result: "method"}
	case r.Header.Get("Content-Encoding") != "" && r.Header.Get("Content-Encoding") != "identity":
		return queue.ID{}, &refusal{status: http.StatusUnsupportedMediaType, text: "the body must not be compressed", result: "encoding"}
	case r.ContentLength > d.opt.MaxBody:
		return queue.ID{}, d.tooLarge()
	}
	verdict := source.Proof.Header(r.Header)
	if verdict.Outcome == events.Refused {
		return queue.ID{}, d.unproved(source, verdict)
	}
	body, release, err := d.read(r)
	defer release()
	if err != nil {
		return queue.ID{}, err
	}
	if verdict.Outcome == events.NeedBody {
		if verdict = source.Proof.Body(r.Header, body, time.Now()); verdict.Outcome == events.Refused {
			return queue.ID{}, d.unproved(source, verdict)
		}
	}
	d.metrics.proofs.WithLabelValues(source.Name, verdict.By).Inc()
	if err := events.CheckObject(body); err != nil {
		return queue.ID{}, &refusal{status: http.StatusBadRequest, text: err.Error(), result: "malformed"}
	}
	return d.store(r, source, body)
}

func (d *Door) tooLarge() error {
	return &refusal{status: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("the body is larger than %d bytes", d.opt.MaxBody), result: "too_large"}
}

// unproved answers alike whatever was wrong with the proof; the log says what.
func (d *Door) unproved(source *Source, v events.Verdict) error {
	d.metrics.proofs.WithLabelValues(source.Name, "refused").Inc()
	return &refusal{
		status: http.StatusUnauthorized, result: "unauthorized", detail: v.Reason,
		text: "the secret token or signature is missing or wrong: compare it with what the relay was given (this source in relay.yaml, or RELAY_TOKEN)",
	}
}

var errBusy = &refusal{status: http.StatusServiceUnavailable, text: "too many webhooks at once; resend this one later", result: "busy"}

// read reads the body into memory of its own. What counts against the budget is
// what came, not what a large Content-Length announces. The release function
// gives its share back.
func (d *Door) read(r *http.Request) (body []byte, release func(), err error) {
	var held int64
	release = func() { d.flight.Add(-held) }
	take := func(n int64) bool {
		held += n
		return d.flight.Add(n) <= bodyBudget
	}
	if n := r.ContentLength; n >= 0 && n <= chunk {
		if !take(n) {
			return nil, release, errBusy
		}
		body = make([]byte, n)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, release, errIncomplete
		}
		return body, release, nil
	}
	for int64(len(body)) <= d.opt.MaxBody {
		if len(body) == cap(body) {
			more := max(len(body), chunk)
			if !take(int64(more)) {
				return nil, release, errBusy
			}
			body = append(make([]byte, 0, len(body)+more), body...)
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case errors.Is(err, io.EOF) && int64(len(body)) <= d.opt.MaxBody:
			return body, release, nil
		case err != nil && !errors.Is(err, io.EOF):
			return nil, release, errIncomplete
		}
	}
	return nil, release, d.tooLarge()
}

var errIncomplete = &refusal{status: http.StatusBadRequest, text: "the body ended early", result: "incomplete"}

// store waits until the queue has the webhook. A client that hangs up does not
// stop it.
func (d *Door) store(r *http.Request, source *Source, body []byte) (queue.ID, error) {
	w := &queue.Webhook{Source: source.Name, Received: time.Now(), Body: body}
	for _, name := range events.KeptHeaders() {
		if v := r.Header.Get(name); v != "" {
			w.Header = append(w.Header, queue.Field{Name: name, Value: bounded(v)})
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTimeout)
	defer cancel()
	id, err := d.opt.Store.Store(ctx, w)
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, queue.ErrFull):
		return queue.ID{}, &refusal{status: http.StatusServiceUnavailable, text: "the queue is full; resend this webhook later", result: "full"}
	default:
		return queue.ID{}, &refusal{status: http.StatusServiceUnavailable, text: "the queue did not store the webhook in time; resend it later", result: "unstored"}
	}
}

// bounded keeps a header value of reasonable length.
func bounded(v string) string { return v[:min(len(v), 256)] }

// answerError sends the one short shape that every refusal has.
func answerError(c *gin.Context, no *refusal) {
	if no.status == http.StatusServiceUnavailable {
		c.Header("Retry-After", "30")
	}
	if no.status >= 400 {
		c.Header("Connection", "close") // what is left of the body is not worth reading
	}
	c.AbortWithStatusJSON(no.status, gin.H{"error": no.text})
}
