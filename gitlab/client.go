//lint:file-ignore SA1019 the library is the one that this project uses; replacing it changes this file alone.

package gitlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	api "github.com/xanzy/go-gitlab"

	"github.com/gitlab-mattermost/relay/configs"
)

const (
	// answerTimeout is how long GitLab may take for one answer.
	answerTimeout = 30 * time.Second
	// maxAnswer is how much of one answer is read: a page of 20 calls of webhooks,
	// each of which GitLab bounds at 25 MB, is rarely above a tenth of it.
	maxAnswer = 64 << 20
	// tries is how often a request is made again.
	tries = 5
	// longestPause is how long GitLab may make a request wait.
	longestPause = 2 * time.Minute
)

// Options are what a client needs.
type Options struct {
	URL       string // of GitLab, without /api/v4
	Token     configs.Secret
	Transport http.RoundTripper // reaches GitLab; follows no redirects
	Agent     string            // User-Agent
}

// Client asks one GitLab with one token. It is safe for concurrent use.
type Client struct {
	api   *api.Client
	clean func(string) string
}

// New makes a client. Nothing is asked yet.
func New(o Options) (*Client, error) {
	c := &http.Client{
		Transport: bounded{o.Transport}, Timeout: answerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	a, err := api.NewClient(o.Token.Reveal(), api.WithBaseURL(o.URL), api.WithHTTPClient(c),
		api.WithCustomRetry(again), api.WithCustomBackoff(pause), api.WithCustomRetryMax(tries))
	if err != nil {
		return nil, fmt.Errorf("use the URL of GitLab: %w", err)
	}
	a.UserAgent = o.Agent
	token := o.Token.Reveal()
	return &Client{api: a, clean: func(s string) string { return strings.ReplaceAll(s, token, "[redacted]") }}, nil
}

// call is one request.
type call struct {
	to     string // what for: "list the webhooks of acme/api"
	method string // GET, if empty
	path   string // below /api/v4/, escaped
	query  url.Values
	body   any
}

// do makes a request and decodes the answer, unless into is nil. It returns the
// query of the next page, nil behind the last one.
func (c *Client) do(ctx context.Context, r call, into any) (next url.Values, err error) {
	if r.method == "" {
		r.method = http.MethodGet
	}
	req, err := c.api.NewRequest(r.method, r.path, r.body, []api.RequestOptionFunc{api.WithContext(ctx)})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.to, err)
	}
	req.URL.RawQuery = r.query.Encode()
	res, err := c.api.Do(req, into)
	if err != nil {
		return nil, c.failure(r, res, err)
	}
	return following(r.query, res), nil
}

// following is the query of the next page. Keyset pagination names it in a Link, of
// which the query alone is taken
// (https://docs.gitlab.com/api/rest/#keyset-based-pagination).
func following(query url.Values, res *api.Response) url.Values {
	if res.NextLink != "" && query.Get("pagination") == "keyset" {
		if u, err := url.Parse(res.NextLink); err == nil {
			return u.Query()
		}
	}
	if res.NextPage == 0 {
		return nil
	}
	next := url.Values{}
	for k, v := range query {
		next[k] = v
	}
	next.Set("page", strconv.Itoa(res.NextPage))
	return next
}

// Error is an answer of GitLab that is not the one that was asked for.
type Error struct {
	To     string // what was asked for
	Status int
	Reason string // GitLab's words; may be empty
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: GitLab answers %d %s", e.To, e.Status, http.StatusText(e.Status))
	if e.Status >= 300 && e.Status < 400 {
		return text + ", and redirects are not followed: is url of api the address that GitLab has now?"
	}
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text
}

// Status is the status that GitLab answered with; 0 if err is no answer.
func Status(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// maxReason is how much of GitLab's words an error repeats.
const maxReason = 200

// failure puts the library's error into ours. No error holds the access token,
// whatever GitLab or a proxy answers.
func (c *Client) failure(r call, res *api.Response, err error) error {
	if res == nil || res.Response == nil || res.StatusCode/100 == 2 {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // its URL is in relay.yaml
		}
		return fmt.Errorf("%s: %w", r.to, &cleanError{c.clean(err.Error()), err})
	}
	e := &Error{To: r.to, Status: res.StatusCode}
	var said *api.ErrorResponse
	if errors.As(err, &said) {
		e.Reason = c.clean(reason(said.Body))
	}
	return e
}

// cleanError is an error without secrets in its text.
type cleanError struct {
	text string
	err  error
}

func (e *cleanError) Error() string { return e.text }
func (e *cleanError) Unwrap() error { return e.err }

// reason is what an answer's `message` or `error` says, if it is JSON.
func reason(body []byte) string {
	var said struct{ Message, Error any }
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	what := said.Message
	if what == nil {
		what = said.Error
	}
	text, ok := what.(string)
	if !ok && what != nil {
		raw, _ := json.Marshal(what) // it was JSON before
		text = string(raw)
	}
	text = strings.TrimSpace(strings.TrimLeft(text, "0123456789 -"))
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}

// again decides whether a request is made once more: when GitLab says that it was too
// much, and when it failed at something that may be done twice. A webhook whose
// creation got no answer may be there.
func again(ctx context.Context, res *http.Response, err error) (bool, error) {
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil:
		return false, err
	case res.StatusCode == http.StatusTooManyRequests:
		return wait(res) <= longestPause, nil
	}
	return res.StatusCode >= 500 && res.Request.Method != http.MethodPost, nil
}

// pause is how long to wait before that.
func pause(_, _ time.Duration, attempt int, res *http.Response) time.Duration {
	if res != nil && res.StatusCode == http.StatusTooManyRequests {
		if d := wait(res); d > 0 {
			return d + rand.N(100*time.Millisecond)
		}
	}
	return 200*time.Millisecond<<min(attempt, 5) + rand.N(100*time.Millisecond)
}

// wait is what GitLab says in Retry-After, in seconds, or in RateLimit-Reset, as the
// Unix time (https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/#response-headers).
func wait(res *http.Response) time.Duration {
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		return time.Duration(max(s, 0)) * time.Second
	}
	if at, err := strconv.ParseInt(res.Header.Get("RateLimit-Reset"), 10, 64); err == nil {
		return max(time.Until(time.Unix(at, 0)), 0)
	}
	return 0
}

// bounded reads no more of an answer than maxAnswer.
type bounded struct{ http.RoundTripper }

// RoundTrip makes one request.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = &boundedBody{res.Body, maxAnswer}
	}
	return res, err
}

var errLong = fmt.Errorf("GitLab's answer has more than %d MiB", maxAnswer>>20)

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
