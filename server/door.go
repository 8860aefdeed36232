package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

const (
	// storeTimeout is how long a webhook may wait for the queue, unless
	// Options.StoreTimeout says otherwise.
	storeTimeout = 5 * time.Second
	// patience is how long a webhook may wait in total, for memory and for the queue.
	// GitLab gives up 10 s after it has sent it, and does not try again.
	patience = 9 * time.Second
)

// Store stores webhooks; see [queue.Queue.Store].
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

	// Storing returns an error if no webhook can be stored now, for /readyz.
	Storing func(ctx context.Context) error

	// StoreTimeout is how long a webhook may wait for the queue; 0: 5 s.
	StoreTimeout time.Duration

	// Arrived, if set, is called with the result of each request that looks like
	// GitLab's.
	Arrived func(Arrival)
}

// Door answers the public listener.
type Door struct {
	opt     Options
	sources atomic.Pointer[map[string]*Source] // by path
	engine  *gin.Engine
	wait    time.Duration // for memory

	// The memory for bodies: of senders who are verified before the body is read, and
	// of all others.
	verified, unverified room

	drains  *drains
	refused refusals // of sources
	lost    refusals // of paths without a source: scanners send many
	metrics *doorMetrics
	seen    *ledger
}

// NewDoor makes the public handler.
func NewDoor(opt Options) *Door {
	d := &Door{opt: opt, verified: verifiedRoom(opt.MaxBody), unverified: unverifiedRoom(opt.MaxBody), wait: bodyWait, drains: newDrains(), refused: newRefusals(20, 200), lost: newRefusals(1, 50), seen: newLedger(), metrics: newDoorMetrics(opt.Registerer)}
	d.Update(opt.Sources)
	d.engine = newEngine(opt.Log)
	d.engine.GET("/healthz", healthz)
	d.engine.HEAD("/healthz", healthz)
	ready := readyz(cached(opt.Storing))
	d.engine.GET("/readyz", ready)
	d.engine.HEAD("/readyz", ready)
	d.engine.NoRoute(d.hook)
	return d
}

// Update replaces the sources. Requests in progress continue with the old ones.
func (d *Door) Update(sources []Source) {
	byPath := map[string]*Source{}
	for _, s := range sources {
		for _, path := range s.Paths {
			byPath[path] = &s
		}
	}
	d.sources.Store(&byPath)
}

// ServeHTTP answers a request. It ignores doubled slashes and one at the end of the
// path: GitLab stops sending to a URL that answers 404.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path := singleSlashes(r.URL.Path); path != r.URL.Path {
		u, plain := *r.URL, *r
		u.Path, u.RawPath = path, ""
		plain.URL = &u
		r = &plain
	}
	d.engine.ServeHTTP(w, r)
}

var slashes = regexp.MustCompile(`//+|/$`)

func singleSlashes(path string) string {
	if !strings.Contains(path, "//") && !strings.HasSuffix(path, "/") {
		return path // as nearly always
	}
	return "/" + strings.Trim(slashes.ReplaceAllString(path, "/"), "/")
}

// refusal is an answer other than 2xx. GitLab shows the text to its users: it says
// what to do, and never repeats a part of the request.
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
		// HTTP/1 must be told that the answer is written before the body is read. It
		// fails with HTTP/2, which always may, and in tests.
		_ = http.NewResponseController(c.Writer).EnableFullDuplex()
		answerError(c, no)
		defer d.drain(c, source)
	} else {
		c.Data(status, "application/json; charset=utf-8", []byte(`{"id":"`+id.String()+`","status":"accepted"}`)) // an id needs no quoting
		if queue.HasFailpoints {
			c.Writer.Flush() // so that the sender has the answer before the failpoint
		}
		queue.Failpoint(queue.FailAnswered)
	}
	d.report(c, source, id, result, status, time.Since(begin), err)
}

// refusals bounds the log lines about refused requests, which anyone can send. The
// metrics count all of them.
type refusals struct {
	pace    *rate.Limiter
	skipped *atomic.Int64 // since the last line
}

func newRefusals(perSecond rate.Limit, burst int) refusals {
	return refusals{pace: rate.NewLimiter(perSecond, burst), skipped: new(atomic.Int64)}
}

// allow reports whether to log this one, and how many were skipped before it.
func (r refusals) allow() (skipped int64, ok bool) {
	if !r.pace.Allow() {
		r.skipped.Add(1)
		return 0, false
	}
	return r.skipped.Swap(0), true
}

// report records the result of a request in one log line and in the metrics.
func (d *Door) report(c *gin.Context, source *Source, id queue.ID, result string, status int, took time.Duration, err error) {
	name := "" // a path that names no source is not a label
	if source != nil {
		name = source.Name
	}
	kind := knownHeader(c.GetHeader("X-Gitlab-Event"))
	d.metrics.received.WithLabelValues(name, kind, result).Inc()
	if source != nil {
		d.seen.webhook(name, result, time.Now())
	}
	d.arrived(c.Request.Header, Arrival{Source: name, Result: result, Err: err})
	d.metrics.duration.Observe(took.Seconds())
	attrs := []slog.Attr{
		slog.String("source", name), slog.String("hook", kind), slog.Int("status", status), slog.String("outcome", result), slog.Float64("duration", took.Seconds()),
	}
	level := slog.LevelInfo
	switch {
	case err == nil:
		attrs = append(attrs, slog.String("event_id", id.String()))
	case status >= 500:
		level = slog.LevelError
		attrs = append(attrs, slog.String("err", err.Error()))
	default:
		lines := d.refused
		if source == nil {
			lines = d.lost
		}
		skipped, ok := lines.allow()
		if !ok {
			return
		}
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("path", shown(c.Request.URL.Path)), slog.String("remote", c.RemoteIP()), slog.String("err", err.Error()))
		if skipped > 0 {
			attrs = append(attrs, slog.Int64("unsaid", skipped))
		}
	}
	d.opt.Log.LogAttrs(c.Request.Context(), level, "webhook", attrs...)
}

// maxShown is how much of a path is logged, in characters.
const maxShown = 200

// shown is a path for the log: short, and without control characters that a terminal
// would obey.
func shown(path string) string {
	text := []rune(strings.ToValidUTF8(path, "\uFFFD"))
	if len(text) > maxShown {
		text = append(text[:maxShown], '…')
	}
	for i, r := range text {
		if !unicode.IsPrint(r) {
			text[i] = '\uFFFD'
		}
	}
	return string(text)
}

// compressed reports whether a body has any content coding.
func compressed(h http.Header) bool {
	codings := h.Values("Content-Encoding")
	return len(codings) > 1 || len(codings) == 1 && codings[0] != "" && !strings.EqualFold(codings[0], "identity")
}

// accept checks a request, the cheapest checks first, and stores it.
func (d *Door) accept(c *gin.Context, source *Source) (queue.ID, error) {
	r := c.Request
	switch {
	case source == nil:
		return queue.ID{}, &refusal{status: http.StatusNotFound, text: "no source has this path: compare the URL in GitLab with the one that relay serve prints", result: "not_found"}
	case r.Method != http.MethodPost:
		c.Header("Allow", http.MethodPost)
		return queue.ID{}, &refusal{status: http.StatusMethodNotAllowed, text: "webhooks are sent with POST", result: "method"}
	case compressed(r.Header):
		return queue.ID{}, &refusal{status: http.StatusUnsupportedMediaType, text: "the body must not be compressed", result: "encoding"}
	case r.ContentLength > d.opt.MaxBody:
		return queue.ID{}, d.tooLarge()
	}
	verdict := source.Proof.Header(r.Header)
	if verdict.Outcome == events.Refused {
		return queue.ID{}, d.unauthorized(source, verdict)
	}
	verified := verdict.Outcome == events.Accepted && verdict.By != events.ByInsecure
	if verified {
		defer keep(r.Context())()
	}
	body, waited, release, err := d.read(c.Writer, r, verified)
	defer release()
	if err != nil {
		return queue.ID{}, err
	}
	if verdict.Outcome == events.NeedBody {
		if verdict = source.Proof.Body(r.Header, body, time.Now()); verdict.Outcome == events.Refused {
			return queue.ID{}, d.unauthorized(source, verdict)
		}
		defer keep(r.Context())()
	}
	d.metrics.proofs.WithLabelValues(source.Name, verdict.By).Inc()
	d.seen.proof(source.Name, verdict.By)
	if err := events.CheckObject(body); err != nil {
		return queue.ID{}, &refusal{status: http.StatusBadRequest, text: err.Error(), result: "malformed"}
	}
	return d.store(r, source, verdict.ID, body, patience-waited)
}

func (d *Door) tooLarge() error {
	return &refusal{status: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("the body is larger than %d bytes", d.opt.MaxBody), result: "too_large"}
}

// unauthorized gives the same answer whatever was wrong with the token or signature.
// The log says what it was.
func (d *Door) unauthorized(source *Source, v events.Verdict) error {
	d.metrics.proofs.WithLabelValues(source.Name, "refused").Inc()
	return &refusal{
		status: http.StatusUnauthorized, result: "unauthorized", detail: v.Reason,
		text: "the secret token or signature is missing or wrong: compare it with what the relay was given (this source in relay.yaml, or RELAY_TOKEN)",
	}
}

// store waits until the queue has stored the webhook, for at most left. A client that
// hangs up does not stop it. signed is the id that the signature covers, if there is
// one.
func (d *Door) store(r *http.Request, source *Source, signed string, body []byte, left time.Duration) (queue.ID, error) {
	w := &queue.Webhook{Source: source.Name, Received: time.Now(), Body: body}
	for _, name := range events.KeptHeaders() {
		if v := r.Header.Get(name); v != "" {
			w.Header = append(w.Header, queue.Field{Name: name, Value: bounded(v)})
		}
	}
	if signed != "" {
		w.Sign(bounded(signed))
	}
	ctx, cancel := queue.WithTimeout(context.WithoutCancel(r.Context()), min(left, cmp.Or(d.opt.StoreTimeout, storeTimeout)))
	defer cancel()
	queue.Failpoint(queue.FailReceived)
	id, err := d.opt.Store.Store(ctx, w)
	switch {
	case err == nil:
		queue.Failpoint(queue.FailStored)
		return id, nil
	case errors.Is(err, queue.ErrFull):
		return queue.ID{}, &refusal{status: http.StatusServiceUnavailable, text: "the queue is full; resend this webhook later", result: "full"}
	case errors.Is(err, queue.ErrDown):
		return queue.ID{}, &refusal{status: http.StatusServiceUnavailable, text: "the queue cannot be written now; resend this webhook later", result: "down", detail: err.Error()}
	default:
		return queue.ID{}, &refusal{status: http.StatusServiceUnavailable, text: "the queue did not store the webhook in time; resend it later", result: "unstored"}
	}
}

// bounded cuts a header value to a reasonable length.
func bounded(v string) string { return v[:min(len(v), 256)] }

// answerError sends a refusal. All refusals have this form.
func answerError(c *gin.Context, no *refusal) {
	if no.status == http.StatusServiceUnavailable {
		c.Header("Retry-After", "30")
	}
	if no.status >= 400 {
		c.Header("Connection", "close") // the rest of the body is not read as a request
	}
	text, _ := json.Marshal(gin.H{"error": no.text}) // a string cannot fail
	c.Header("Content-Length", strconv.Itoa(len(text)))
	c.Abort()
	c.Data(no.status, "application/json; charset=utf-8", text)
}
