package main

import (
	"strings"
	"testing"
)

// A title without a space is cut off like any other. A secret in it is gone before,
// and half of one never stays.
func TestTitle(t *testing.T) {
	const secret = "a-secret-that-stands-at-the-end"
	r := &relay{secrets: &redactor{}}
	r.secrets.add(secret)
	for name, c := range map[string]struct{ title, want string }{
		"short":                    {"Fix", "Fix"},
		"119 without a space":      {strings.Repeat("é", 119), strings.Repeat("é", 119)},
		"120 without a space":      {strings.Repeat("é", 120), strings.Repeat("é", 119) + "…"},
		"200 without a space":      {strings.Repeat("修", 200), strings.Repeat("修", 119) + "…"},
		"words":                    {strings.Repeat("word ", 40), strings.Repeat("word ", 23) + "word…"},
		"a secret where it is cut": {strings.Repeat("x", 105) + secret, strings.Repeat("x", 105) + redacted},
	} {
		if got := r.title(c.title); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
