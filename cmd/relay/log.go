package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
// reach it, whatever a line holds. The level is one of slog's words, the format
// auto, json or text.
func newLog(w io.Writer, format, level string, r *redactor) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("make the log: %w", err)
	}
	opt := &slog.HandlerOptions{Level: l, ReplaceAttr: r.attr}
	if format == "text" || format == "auto" && terminal(w) {
		return slog.New(redactingHandler{slog.NewTextHandler(w, opt), r}), nil
	}
	return slog.New(redactingHandler{slog.NewJSONHandler(w, opt), r}), nil
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
// they are and as URLs and quoted Go strings hold them, and replaces a longer
// one before a part of it.
func (r *redactor) add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]bool{}
	}
	for _, s := range secrets {
		if len(s) >= minSecret {
			quoted := strconv.Quote(s)
			for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), quoted[1 : len(quoted)-1]} {
				r.known[form] = true
			}
		}
	}
	longest := func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }
	var pairs []string
	for _, s := range slices.SortedFunc(maps.Keys(r.known), longest) {
		pairs = append(pairs, s, redacted)
	}
	r.replacer.Store(strings.NewReplacer(pairs...))
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

func (r *redactor) attr(_ []string, a slog.Attr) slog.Attr {
	a.Key = r.clean(a.Key)
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(r.clean(a.Value.String()))
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case *slog.Source:
		case slog.Level:
			a.Value = slog.StringValue(v.String())
		default:
			a.Value = slog.StringValue(r.clean(fmt.Sprint(v)))
		}
	case slog.KindDuration:
		a.Value = slog.Float64Value(a.Value.Duration().Seconds()) // base units
	}
	return a
}

// redactingHandler cleans messages; attributes go through redactor.attr.
type redactingHandler struct {
	slog.Handler
	r *redactor
}

func (h redactingHandler) Handle(ctx context.Context, rec slog.Record) error {
	message := h.r.clean(rec.Message)
	if message == rec.Message {
		return h.Handler.Handle(ctx, rec)
	}
	clean := slog.NewRecord(rec.Time, rec.Level, message, rec.PC)
	rec.Attrs(func(a slog.Attr) bool { clean.AddAttrs(a); return true })
	return h.Handler.Handle(ctx, clean)
}

func (h redactingHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return redactingHandler{h.Handler.WithAttrs(as), h.r}
}

func (h redactingHandler) WithGroup(name string) slog.Handler {
	return redactingHandler{h.Handler.WithGroup(h.r.clean(name)), h.r}
}
