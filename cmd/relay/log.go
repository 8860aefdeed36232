package main

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// newLog makes the process's log. Secrets that are told to the redactor never
// reach w, whatever a line holds. The level is one of slog's words, the format
// auto, json or text. Lengths of time are logged as numbers of seconds.
func newLog(w io.Writer, format, level string, r *redactor) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("make the log: %w", err)
	}
	opt, out := &slog.HandlerOptions{Level: l}, redactingWriter{w, r}
	if format == "text" || format == "auto" && terminal(w) {
		return slog.New(slog.NewTextHandler(out, opt)), nil
	}
	return slog.New(slog.NewJSONHandler(out, opt)), nil
}

// redactingWriter takes secrets out of whole lines, as they are printed.
type redactingWriter struct {
	out io.Writer
	r   *redactor
}

func (w redactingWriter) Write(line []byte) (int, error) {
	text := string(line)
	if clean := w.r.clean(text); clean != text {
		if _, err := io.WriteString(w.out, clean); err != nil {
			return 0, err
		}
		return len(line), nil
	}
	return w.out.Write(line)
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// redactor replaces secrets in strings. It is the last line of defence: no
// part of the relay hands a secret to the log knowingly.
type redactor struct {
	mu       sync.Mutex
	known    map[string]bool // in every form
	replacer atomic.Pointer[strings.Replacer]
}

// minSecret is the shortest secret that is looked for, in bytes: shorter ones
// would also hit ordinary words.
const minSecret = 6

// add tells the redactor more secrets; it never forgets one. It knows them as
// they are, as URLs and quoted Go strings hold them, and all of these as a line
// of the log has them in quotes. It replaces a longer one before a part of it.
func (r *redactor) add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]bool{}
	}
	fresh := false
	for _, s := range secrets {
		if len(s) < minSecret {
			continue
		}
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), quoted(s), html.EscapeString(s), xmlText(s)} {
			for _, written := range []string{form, quoted(form), jsonText(form), htmlJSON(form)} {
				fresh = fresh || !r.known[written]
				r.known[written] = true
			}
		}
	}
	if !fresh {
		return
	}
	longest := func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }
	var pairs []string
	for _, s := range slices.SortedFunc(maps.Keys(r.known), longest) {
		pairs = append(pairs, s, redacted)
	}
	r.replacer.Store(strings.NewReplacer(pairs...))
}

// quoted is what stands between the quotes of a Go string.
func quoted(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// jsonText is what stands between the quotes of a JSON string, as slog writes it.
func jsonText(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string cannot fail
	return strings.TrimSuffix(b.String()[1:], "\"\n")
}

// htmlJSON is the same as encoding/json writes it for pages.
func htmlJSON(s string) string {
	text, _ := json.Marshal(s) // a string cannot fail
	return string(text[1 : len(text)-1])
}

// xmlText is how a report in XML has it.
func xmlText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // into memory
	return b.String()
}

func (r *redactor) clean(s string) string {
	p := r.replacer.Load()
	if p == nil || len(s) < minSecret {
		return s
	}
	if _, err := p.WriteString(search{}, s); err == nil {
		return s // as nearly always, and nothing was allocated
	}
	return p.Replace(s)
}

// redacted stands where a secret was.
const redacted = "[redacted]"

// search is where a replacer writes to show whether it replaces anything.
type search struct{}

var errFound = errors.New("found")

func (search) WriteString(s string) (int, error) {
	if s == redacted {
		return 0, errFound
	}
	return len(s), nil
}

func (s search) Write(p []byte) (int, error) { return s.WriteString(string(p)) }
