package formatters

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Directional characters that the formatters themselves write. A line with
// right-to-left text starts with the mark; each such value is isolated, so that
// it cannot reorder its neighbours.
const (
	ltrMark    = "\u200e"
	isolate    = "\u2068"
	isolateEnd = "\u2069"
)

// joiner (U+2060 WORD JOINER) after an @ or a ~ keeps Mattermost from reading a
// mention or a channel link; it is not seen.
const joiner = "\u2060"

// nbsp stands between a number and its unit.
const nbsp = "\u00a0"

// oneLine makes any string fit for one line: valid UTF-8, runs of white space
// folded into one space, no space at the ends, neither control nor
// bidirectional characters. No more of the string is looked at than may be
// printed.
func oneLine(s string) string {
	if len(s) > maxOutput {
		s = s[:runeStart(s, maxOutput)]
	}
	if tidyASCII(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	gap := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) && (r != '\u00a0' || b.Len() == 0):
			gap = b.Len() > 0
			continue
		case unwanted(r):
			continue
		}
		if gap {
			b.WriteByte(' ')
			gap = false
		}
		b.WriteRune(r) // invalid bytes come as U+FFFD
	}
	return strings.TrimRight(b.String(), " "+nbsp)
}

// tidyASCII tells whether oneLine would return s unchanged, for the most
// common case.
func tidyASCII(s string) bool {
	space := true // a leading space is not tidy
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' || c == ' ' && space {
			return false
		}
		space = c == ' '
	}
	return !space || s == ""
}

// manyLines makes any string fit for a block of text: like [oneLine], but line
// feeds, tabs and the spaces between words stay.
func manyLines(s string) string {
	clean := true
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\n' && c != '\t' || c > '~' {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r' || r == '\u2028' || r == '\u2029' || r == '\u0085' || r == '\v' || r == '\f':
			return '\n'
		case unwanted(r):
			return -1
		}
		return r
	}, s)
}

// unwanted tells whether a character has no place in a message: controls, and
// what changes the direction or hides in the text.
func unwanted(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case unicode.IsControl(r):
		return true
	case r == '\u061c' || r == '\u200b' || r == '\u200e' || r == '\u200f' || r == '\ufeff':
		return true
	case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
		return true
	case r >= '\ufff9' && r <= '\ufffb': // interlinear annotations
		return true
	}
	return false
}

// rightToLeft tells whether s holds a letter that is written right to left.
func rightToLeft(s string) bool {
	for i := 0; i < len(s); {
		if s[i] < firstRightToLeft {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r >= 0x590 && r <= 0x8ff || r >= 0xfb1d && r <= 0xfdff ||
			r >= 0xfe70 && r <= 0xfeff || r >= 0x10800 && r <= 0x10fff || r >= 0x1e800 && r <= 0x1efff {
			return true
		}
		i += n
	}
	return false
}

// firstRightToLeft is the lowest byte that starts a letter which is written
// right to left, U+0590.
const firstRightToLeft = 0xd6

// runeStart is the last place in s, at i or before it, where a rune starts.
func runeStart(s string, i int) int {
	for n := range utf8.UTFMax {
		if i-n >= 0 && utf8.RuneStart(s[i-n]) {
			return i - n
		}
	}
	return i
}

// runesUpTo returns the length in bytes of the first n runes of s.
func runesUpTo(s string, n int) int {
	if len(s) <= n {
		return len(s)
	}
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// longerThan tells whether s has more than n runes.
func longerThan(s string, n int) bool {
	return runesUpTo(s, n) < len(s)
}
