package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/gin-gonic/gin"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/queue"
)

// question is a request to the API.
type question struct {
	*gin.Context
	params map[string]bool // the names of parameters that were read
	body   map[string]json.RawMessage
	status int
}

// ask reads a request. Its body is one JSON object, or empty.
func ask(c *gin.Context) (*question, error) {
	q := &question{Context: c, params: map[string]bool{}, status: http.StatusOK}
	if c.Request.Method != http.MethodPost {
		return q, nil
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxRequest))
	if err != nil {
		return nil, wrong("the body is longer than %d bytes, or ended early", maxRequest)
	}
	if len(bytes.TrimSpace(text)) > 0 && json.Unmarshal(text, &q.body) != nil {
		return nil, wrong("the body must be one JSON object, or empty")
	}
	return q, nil
}

// name identifies the request for a repeated answer: by the Idempotency-Key, the path
// and the body. It is "" without a key.
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
	q.params[name] = true
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

// rejectUnknown refuses parameters that nothing has read: a filter with a misspelt name
// would match everything. It is called after the known ones were read.
func (q *question) rejectUnknown() error {
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
		if !q.params[name] {
			known := make([]string, 0, len(q.params))
			for name := range q.params {
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

// filter selects events and dead letters.
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

// during reports whether a time of arrival is within the filter.
func (f *filter) during(t time.Time) bool {
	return (f.since.IsZero() || !t.Before(f.since)) && (f.until.IsZero() || t.Before(f.until))
}

// addressOf writes a lane as relay.yaml writes its address.
func addressOf(l queue.Lane) string { return configs.Address(l).String() }
