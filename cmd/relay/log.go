package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
)

// newLog makes the process's log. Secrets that are told to the redactor never
// reach it, whatever a line holds.
func newLog(w io.Writer, format, level string, r *redactor) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usage("--log-level takes debug, info, warn or error", "%q is no log level", level)
	}
	opt := &slog.HandlerOptions{Level: l, ReplaceAttr: r.attr}
	switch {
	case format == "text", format == "auto" && terminal(w):
		return slog.New(redactingHandler{slog.NewTextHandler(w, opt), r}), nil
	case format == "json", format == "auto":
		return slog.New(redactingHandler{slog.NewJSONHandler(w, opt), r}), nil
	}
	return nil, usage("--log-format takes auto, json or text", "%q is no log format", format)
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
	replacer atomic.Pointer[strings.Replacer]
}

// minSecret is the shortest secret that is looked for: shorter ones would also
// hit ordinary words.
const minSecret = 6

// set tells the redactor all secrets there are.
func (r *redactor) set(secrets []string) {
	var pairs []string
	for _, s := range secrets {
		if len(s) >= minSecret {
			pairs = append(pairs, s, "[redacted]")
		}
	}
	r.replacer.Store(strings.NewReplacer(pairs...))
}

func (r *redactor) clean(s string) string {
	if p := r.replacer.Load(); p != nil {
		return p.Replace(s)
	}
	return s
}

func (r *redactor) attr(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(r.clean(a.Value.String()))
	case slog.KindAny:
		if _, ok := a.Value.Any().(*slog.Source); !ok {
			a.Value = slog.StringValue(r.clean(fmt.Sprint(a.Value.Any())))
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
	clean := slog.NewRecord(rec.Time, rec.Level, h.r.clean(rec.Message), rec.PC)
	rec.Attrs(func(a slog.Attr) bool { clean.AddAttrs(a); return true })
	return h.Handler.Handle(ctx, clean)
}

func (h redactingHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return redactingHandler{h.Handler.WithAttrs(as), h.r}
}

func (h redactingHandler) WithGroup(name string) slog.Handler {
	return redactingHandler{h.Handler.WithGroup(name), h.r}
}

// hookID is the part of an incoming webhook's URL that is the credential: the
// path's last segment, for Slack too.
func hookID(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Path[strings.LastIndexByte(u.Path, '/')+1:]
}
