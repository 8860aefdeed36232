package server

import (
	"strings"
	"unicode/utf8"
)

// titleRunes is how long a title in a list, and in the journal, is at most, in
// characters.
const titleRunes = 120

// ShortTitle cuts a title to titleRunes; a title that was cut ends in "…".
func ShortTitle(s string) string {
	n, end := 0, 0
	for i := range s {
		if n++; n == titleRunes-1 {
			_, size := utf8.DecodeRuneInString(s[i:])
			end = i + size
		} else if n == titleRunes {
			return s[:end] + "…"
		}
	}
	return s
}

// titleOf is a title from the journal. Older relays cut it off without a mark and
// before its secrets were taken out. Of such a title only whole words are shown:
// half of a secret would not be recognised.
func titleOf(title string) string {
	if utf8.RuneCountInString(title) < titleRunes || strings.HasSuffix(title, "…") {
		return title
	}
	return title[:strings.LastIndexByte(title, ' ')+1] + "…"
}
