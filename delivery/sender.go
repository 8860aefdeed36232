package delivery

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

const (
	// usualTimeout is for a whole attempt where the destination names none.
	usualTimeout = 10 * time.Second
	// maxAnswer is how much of an answer is read, in bytes.
	maxAnswer = 4 << 10
)

// result is one attempt.
type result struct {
	verdict    Verdict
	reason     string
	status     int
	text       string // for people; holds no secret
	hook       bool   // the receiver says that the hook itself is refused, whatever the channel
	retryAfter time.Duration
	duration   time.Duration

	sent, ended time.Time
	known       time.Time // when the last message was sent that had got through before this one was
}

// cause is why it did not get through.
func (r result) cause() cause { return cause{r.reason, r.text} }

// post makes one attempt. ctx ends when the relay stops.
func post(ctx context.Context, d *Destination, body []byte) result {
	begin := time.Now()
	r := attempt(ctx, d, body)
	r.duration = time.Since(begin)
	return r
}

func attempt(stop context.Context, d *Destination, body []byte) result {
	if d.request == nil {
		return result{verdict: Rejected, reason: ReasonClientError, text: "the destination's URL cannot be used"}
	}
	ctx, cancel := context.WithTimeout(stop, d.timeout())
	defer cancel()
	over := d.transport.connections()
	r := exchange(stop, ctx, d, over, body)
	if r.reason == ReasonTimeout || ctx.Err() != nil && stop.Err() == nil {
		d.transport.replace(over)
	}
	return r
}

func (d *Destination) timeout() time.Duration { return cmp.Or(d.Timeout, usualTimeout) }

// exchange posts over these connections and judges the answer. ctx also ends with
// the time for the attempt.
func exchange(stop, ctx context.Context, d *Destination, over *connections, body []byte) result {
	res, err := over.RoundTrip(d.with(ctx, body))
	if err != nil {
		return d.failed(stop, err)
	}
	defer res.Body.Close()
	if res.StatusCode < http.StatusOK {
		res.Body = http.NoBody // it is the connection itself, which obeys no context
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil && (stop.Err() != nil || res.StatusCode < 300) {
		return d.failed(stop, err) // what else it would have said decides; elsewhere the status does
	}
	if len(answer) < maxAnswer {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1)) // sees the end, so that the connection is used again
	}
	verdict, reason, text := judge(d.Kind, res.StatusCode, res.Header, answer)
	if strings.Contains(text, path.Base(d.request.URL.Path)) {
		text = "" // the hook's id, in the shape of an error's
	}
	r := result{
		verdict: verdict, reason: reason, status: res.StatusCode, hook: hookWords[text],
		retryAfter: retryAfter(res.Header, res.StatusCode, time.Now()),
	}
	switch verdict {
	case Delivered:
	case NotAccepted:
		r.text = statusText(res.StatusCode, "") + ", but " + unlike(d.Kind, res.StatusCode, res.Header, text)
	default:
		r.text = statusText(res.StatusCode, text)
	}
	return r
}

func statusText(status int, text string) string {
	s := strconv.Itoa(status)
	if name := http.StatusText(status); name != "" {
		s += " " + name
	}
	if text != "" {
		s += " (" + text + ")"
	}
	return s
}

// failed judges an attempt without an answer. The text is made here: Go's own
// might hold the URL, which is the secret.
func (d *Destination) failed(stop context.Context, err error) result {
	if stop.Err() != nil {
		return stopped("the relay is stopping")
	}
	var forbidden *egressError
	if errors.As(err, &forbidden) {
		return result{verdict: NotAccepted, reason: ReasonEgress, text: forbidden.Error()}
	}
	through := ""
	var proxy *proxyError
	if errors.As(err, &proxy) && proxy.proxy != nil {
		through = ", " + proxy.Error()
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return result{verdict: Retry, reason: ReasonTimeout, text: "no answer within " + seconds(d.timeout()) + "; the message may have been delivered" + through}
	}
	return result{verdict: Retry, reason: ReasonNetwork, text: networkText(d.request.URL, err) + through}
}

// seconds is a duration for people: 10 s.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s" }

// receiver is the host and port that a request went to; of its URL that is all
// that may be told.
func receiver(u *url.URL) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80"}[u.Scheme], "443"))
}

// networkText says what went wrong on the wire, of the URL naming no more than
// the host and port, and nothing of what the other side sent.
func networkText(to *url.URL, err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var proxy *proxyError
	var record tls.RecordHeaderError
	switch {
	case proxyText(err) != "":
		return proxyText(err)
	case errors.As(err, &record):
		return notTLS(to, record)
	case errors.As(err, &dns):
		return "no such host: " + receiver(to)
	case errors.As(err, &proxy) && proxy.proxy == nil:
		return proxy.Error()
	case errors.As(err, &op) && op.Op == "dial":
		return "cannot connect to " + receiver(to) + ": " + rootText(op.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the answer was complete"
	case errors.As(err, &op):
		return "the connection failed: " + rootText(op.Err)
	}
	if wrong := certificateText(err); wrong != "" {
		return "the certificate of " + receiver(to) + " " + wrong
	}
	return "the connection failed"
}

// Once posts a message without a lane: one attempt, nothing kept. It returns
// what the receiver answered, for people.
func Once(ctx context.Context, d *Destination, body []byte) (string, error) {
	r := post(ctx, d, body)
	if r.verdict != Delivered {
		return "", errors.New(r.text)
	}
	return strconv.Itoa(r.status) + " " + http.StatusText(r.status), nil
}
