package events

import (
	"strings"
	"testing"
)

// TestScan compares each search with looking at every byte in turn, for every
// byte at every place of texts of up to three words.
func TestScan(t *testing.T) {
	searches := []struct {
		name string
		find func(s string, i int) int
		want func(c byte) bool
	}{
		{"nextQuote", nextQuote, func(c byte) bool { return c == '"' || c == '\\' }},
		{"nextSpecial", nextSpecial, func(c byte) bool { return c == '"' || c == '\\' || c < 0x20 }},
		{"nextMark", nextMark, func(c byte) bool { return strings.IndexByte(`"{}[]`, c) >= 0 }},
	}
	for _, search := range searches {
		for length := range 25 {
			for place := range length {
				for c := range 256 {
					if search.name == "nextMark" && c < 0x20 {
						continue // which it may find or not
					}
					text := []byte(strings.Repeat("é", length))[:length]
					text[place] = byte(c)
					want := length
					if search.want(byte(c)) {
						want = place
					}
					for start := range place + 1 {
						if got := search.find(string(text), start); got != want {
							t.Fatalf("%s(%q, %d) = %d, want %d", search.name, text, start, got, want)
						}
					}
				}
			}
		}
	}
}
