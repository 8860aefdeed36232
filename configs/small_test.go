package configs

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestSuggest(t *testing.T) {
	words := []string{"channel", "url", "to", "when", "events", "confidential", "open"}
	for word, want := range map[string]string{
		"chanel": "channel", "chnanel": "channel", "cahnnle": "channel", "chnnl": "channel", "chnl": "", "channel": "",
		"ulr": "url", "urls": "url", "rl": "url", "xyz": "", "ot": "to", "x": "", "opened": "open", "evnt": "events", "": "",
		strings.Repeat("x", 100_000): "",
	} {
		if got := Suggest(word, words); got != want {
			t.Errorf("Suggest(%.20q) = %q, want %q", word, got, want)
		}
	}
}

func TestParseAddress(t *testing.T) {
	for s, want := range map[string]Address{
		"mm": {"mm", ""}, "mm#reviews": {"mm", "reviews"}, "mm@alice": {"mm", "@alice"},
		"a-b_1#x.y-z": {"a-b_1", "x.y-z"}, "mm@a.b_c-d": {"mm", "@a.b_c-d"},
	} {
		got, err := ParseAddress(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("ParseAddress(%q) = %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "#a", "@a", "mm#", "mm@", "mm#a b", "mm#A", "mm@Alice", "MM", "-mm", "mm#a#b", "mm#a@b", "mm ", strings.Repeat("m", 64)} {
		if got, err := ParseAddress(s); err == nil {
			t.Errorf("ParseAddress(%q) = %+v", s, got)
		}
	}
}

func TestExpand(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "a", "B": "${A}", "EMPTY": ""}[name]
		return v, ok
	}
	for s, want := range map[string]string{
		"": "", "x": "x", "$": "$", "$A": "$A", "$default": "$default", "${A}": "a", "x${A}y${A}": "xaya",
		"${B}": "${A}", "$${A}": "${A}", "x$${": "x${", "${EMPTY}": "", "${EMPTY:-d}": "d", "${NONE:-}": "", "${NONE:-a:-b}": "a:-b", "$${${A}": "${a",
	} {
		if got, errs := expand(s, env, nil); got != want || errs != nil {
			t.Errorf("expand(%q) = %q, %v; want %q", s, got, errs, want)
		}
	}
	for s, want := range map[string]int{"${NONE}": 1, "${NONE} ${A} ${NADA}": 2, "${": 1, "${}": 1, "${A-b}": 1, "${A:?b}": 1, "${A:-${B}}": 1, "${1}": 1} {
		if _, errs := expand(s, env, nil); len(errs) != want {
			t.Errorf("expand(%q): %v, want %d errors", s, errs, want)
		}
	}
}

// TestSecretPrints tries every way to print a secret.
func TestSecretPrints(t *testing.T) {
	s := NewSecret("canary")
	type holder struct {
		S Secret
		P *Secret
		M map[string]Secret
	}
	h := holder{s, &s, map[string]Secret{"k": s}}
	var b strings.Builder
	for _, v := range []any{s, &s, h, &h, []Secret{s}, Config{Destinations: []Destination{{URL: s}}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
			fmt.Fprintf(&b, verb+"\n", v)
		}
		j, _ := json.Marshal(v)
		b.Write(j)
		y, _ := yaml.Dump(v)
		b.Write(y)
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
	}
	fmt.Fprint(&b, fmt.Errorf("post: %v", s))
	if out := b.String(); strings.Contains(out, "canary") || strings.Contains(out, "63616e617279") || !strings.Contains(out, redacted) {
		t.Errorf("a secret is shown:\n%s", out)
	}
}

// TestCaret keeps the caret below the place that it means.
func TestCaret(t *testing.T) {
	yaml := "destinations: {a: {url: \"https://chat.example/hooks/canary\", chanel: x}, b: {kind: log}} # see https://chat.example/hooks/canary\n" +
		"routes: [{to: [a, b]}]\n"
	_, found := LoadBytes("relay.yaml", []byte(yaml), testEnv)
	for _, f := range found {
		if f.Severity != Error {
			continue
		}
		under := []rune(f.Line)[f.Caret-1 : f.Caret-1+f.Width]
		if string(under) != "chanel" || f.Pos.Col != strings.Index(yaml, "chanel")+1 || strings.Contains(f.Line, "canary") {
			t.Errorf("%q under the caret of\n%s", string(under), f.Text())
		}
		return
	}
	t.Error("no error found")
}
