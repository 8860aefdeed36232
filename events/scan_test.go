package events

import (
	"strings"
	"testing"
)

// TestNextSpecial compares the search with looking at every byte in turn, for
// every byte at every place of texts of up to three words.
func TestNextSpecial(t *testing.T) {
	for length := range 25 {
		for place := range length {
			for c := range 256 {
				text := []byte(strings.Repeat("é", length))[:length]
				text[place] = byte(c)
				want := length
				if c == '"' || c == '\\' || c < 0x20 {
					want = place
				}
				for start := range place + 1 {
					if got := nextSpecial(string(text), start); got != want {
						t.Fatalf("nextSpecial(%q, %d) = %d, want %d", text, start, got, want)
					}
				}
			}
		}
	}
}
