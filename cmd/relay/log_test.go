package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	hookURL   = "https://chat.example/hooks/canary0of0the0hook"
	tokenText = `canary/of "the" token+1`
	wildText  = "canary\t<&>\\n\u2028\x01é\xff\U0001f4a3"
)

// describer is a value that describes itself when it is logged.
type describer struct{ text string }

func (d describer) LogValue() slog.Value { return slog.GroupValue(slog.String("text", d.text)) }

// secretive is a secret only as text.
type secretive struct{ text string }

func (s secretive) MarshalText() ([]byte, error) { return []byte(s.text), nil }

// TestNoSecretIsLogged: wherever a secret stands in a log line, and in whatever
// form, it does not come out; what stands around it does.
func TestNoSecretIsLogged(t *testing.T) {
	wrapped := fmt.Errorf("post: %w", &url.Error{Op: "Post", URL: hookURL, Err: errors.New("refused")})
	tests := []struct {
		name string
		log  func(*slog.Logger)
	}{
		{"message", func(l *slog.Logger) { l.Info("around " + hookURL) }},
		{"attribute", func(l *slog.Logger) { l.Info("m", "key", "around "+tokenText) }},
		{"name of an attribute", func(l *slog.Logger) { l.Info("around", tokenText, 1) }},
		{"two in one", func(l *slog.Logger) { l.Info("m", "key", tokenText+" around "+hookURL) }},
		{"part of the URL", func(l *slog.Logger) { l.Info("m", "key", "around /hooks/canary0of0the0hook?x") }},
		{"error", func(l *slog.Logger) { l.Error("around", "err", wrapped) }},
		{"joined errors", func(l *slog.Logger) { l.Error("around", "err", errors.Join(wrapped, errors.New(tokenText))) }},
		{"group", func(l *slog.Logger) {
			l.Info("around", slog.Group("g", slog.Group("h", slog.String("key", tokenText))))
		}},
		{"name of a group", func(l *slog.Logger) { l.WithGroup(hookURL).Info("around", "key", 1) }},
		{"With", func(l *slog.Logger) { l.With("key", tokenText, "err", wrapped).Info("around") }},
		{"With in a group", func(l *slog.Logger) { l.WithGroup("g").With("key", hookURL).Info("around", "other", tokenText) }},
		{"LogValuer", func(l *slog.Logger) { l.Info("around", "key", describer{hookURL}) }},
		{"TextMarshaler", func(l *slog.Logger) { l.Info("around", "key", secretive{hookURL}) }},
		{"list", func(l *slog.Logger) { l.Info("around", "key", []string{hookURL, tokenText}) }},
		{"map", func(l *slog.Logger) { l.Info("around", "key", map[string]string{tokenText: hookURL}) }},
		{"struct", func(l *slog.Logger) { l.Info("around", "key", struct{ A, B string }{hookURL, tokenText}) }},
		{"in a query", func(l *slog.Logger) { l.Info("around ?token=" + url.QueryEscape(tokenText)) }},
		{"in a path", func(l *slog.Logger) { l.Info("around /" + url.PathEscape(tokenText)) }},
		{"wild", func(l *slog.Logger) { l.Info("around "+wildText, "key", wildText) }},
		{"wild and quoted", func(l *slog.Logger) { l.Info("around", "err", fmt.Errorf("no such token: %q", wildText)) }},
		{"wild in a list", func(l *slog.Logger) { l.Info("around", "key", []string{wildText}) }},
		{"quoted", func(l *slog.Logger) { l.Info("around", "err", fmt.Errorf("no such token: %q", tokenText)) }},
	}
	for _, format := range []string{"json", "text"} {
		for _, tt := range tests {
			t.Run(format+"/"+tt.name, func(t *testing.T) {
				var out bytes.Buffer
				r := &redactor{}
				r.add(hookURL, hookID(hookURL), tokenText, wildText)
				log, err := newLog(&out, format, "debug", r)
				if err != nil {
					t.Fatal(err)
				}
				tt.log(log)
				if !strings.Contains(out.String(), "[redacted]") || !strings.Contains(out.String(), "around") {
					t.Errorf("nothing was redacted, or too much: %s", &out)
				}
				if strings.Contains(out.String(), "canary") {
					t.Errorf("a secret was logged: %s", &out)
				}
			})
		}
	}
}

func TestRedactor(t *testing.T) {
	r := &redactor{}
	if got := r.clean("before anything is known"); got != "before anything is known" {
		t.Errorf("knowing nothing: %q", got)
	}
	r.add("", "short", "canary", "canary-and-more")
	r.add("second-canary")
	for in, want := range map[string]string{
		"":                      "",
		"short words stay":      "short words stay",
		"a canary":              "a [redacted]",
		"canary-and-more":       "[redacted]", // not "[redacted]-and-more"
		"canarycanary":          "[redacted][redacted]",
		"a second-canary, too":  "a [redacted], too",
		"can ary and CANARY":    "can ary and CANARY",
		"\xffcanary\xff is bad": "\xff[redacted]\xff is bad",
	} {
		if got := r.clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestLogLine: one line has the level, the message and the keys.
func TestLogLine(t *testing.T) {
	var out bytes.Buffer
	log, err := newLog(&out, "auto", "info", &redactor{})
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("not this")
	log.Info("this", "duration", (1500 * time.Millisecond).Seconds(), "n", 3, "ok", true, "err", errors.New("no"))
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("not one line of JSON: %v in %s", err, &out)
	}
	delete(got, "time")
	want := map[string]any{"level": "INFO", "msg": "this", "duration": 1.5, "n": 3.0, "ok": true, "err": "no"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

// TestConfigurationSecrets: every secret of a file is known to the log.
func TestConfigurationSecrets(t *testing.T) {
	c, _ := loadText(t, `
sources:
  a: {token: [token-one, token-two], signing_key: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}
  b: {basic: {username: gitlab, password: password-of-b}}
destinations:
  mm: {url: "https://chat.example/hooks/hook0of0mm"}
  slack: https://hooks.slack.com/services/T0/B0/credential
routes: [{to: [mm, slack]}]
`, nil)
	r := &redactor{}
	r.add(c.secrets()...)
	for _, secret := range []string{
		"token-one", "token-two", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "password-of-b",
		"https://chat.example/hooks/hook0of0mm", "hook0of0mm", "https://hooks.slack.com/services/T0/B0/credential", "credential",
	} {
		if got := r.clean(secret); got != "[redacted]" {
			t.Errorf("%q comes out as %q", secret, got)
		}
	}
}

func TestHookID(t *testing.T) {
	for in, want := range map[string]string{
		"https://chat.example/hooks/abc":                  "abc",
		"https://chat.example/sub/hooks/abc?x=y":          "abc",
		"https://hooks.slack.com/services/T0/B0/abcdefgh": "abcdefgh",
		"https://chat.example/":                           "",
		"https://chat.example":                            "",
		"http://%zz":                                      "",
	} {
		if got := hookID(in); got != want {
			t.Errorf("hookID(%q) = %q, want %q", in, got, want)
		}
	}
}

// BenchmarkLogLine is the line of a delivery, which each message has.
func BenchmarkLogLine(b *testing.B) {
	r := &redactor{}
	for i := range 20 {
		r.add(fmt.Sprintf("https://chat.example/hooks/canary%d", i), fmt.Sprintf("canary%d", i))
	}
	log, err := newLog(io.Discard, "json", "info", r)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(b.Context(), slog.LevelInfo, "delivery attempt",
			slog.String("event_id", "123456-12"), slog.String("event", "merge_request.open"), slog.String("project", "acme/api"),
			slog.String("route", "Reviews"), slog.String("address", "mm#reviews"), slog.Int("attempt", 1), slog.Int("status", 200),
			slog.String("outcome", "delivered"), slog.String("reason", "ok"), slog.Float64("delay", 0.012345678), slog.Float64("duration", 0.001234567))
	}
}
