package server

import (
	"strings"
	"testing"
)

// A title that the relay cut off itself is whole. Of one that an older relay cut off
// without a mark, only whole words are shown.
func TestTitleOf(t *testing.T) {
	long := strings.Repeat("é", 119)
	for title, want := range map[string]string{
		"Fix":                          "Fix",
		long:                           long,
		long + "…":                     long + "…",
		"Fix " + long[:len(long)-6]:    "Fix …",
		strings.Repeat("x", 120):       "…",
		strings.Repeat("word ", 24):    strings.Repeat("word ", 24) + "…",
		strings.Repeat("word ", 23):    strings.Repeat("word ", 23),
		strings.Repeat("修", 119) + "…": strings.Repeat("修", 119) + "…",
	} {
		if got := titleOf(title); got != want {
			t.Errorf("%q: got %q, want %q", title, got, want)
		}
	}
}
