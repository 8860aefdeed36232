package events

import (
	"unicode/utf16"
	"unicode/utf8"
)

// unescape is what a JSON string says that is written as s, without its quotes.
// Half a surrogate pair is U+FFFD, as in encoding/json; so is what is no escape.
func unescape(s string) string {
	text := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		slash := min(nextQuote(s, i), len(s))
		text = append(text, s[i:slash]...)
		if slash == len(s) {
			break
		}
		text, i = appendEscaped(text, s, slash)
	}
	return share(text)
}

// appendEscaped appends what the escape at i stands for, and returns the place
// after it.
func appendEscaped(text []byte, s string, i int) (longer []byte, after int) {
	if i+1 >= len(s) {
		return utf8.AppendRune(text, utf8.RuneError), len(s)
	}
	switch c := s[i+1]; c {
	case 'b':
		return append(text, '\b'), i + 2
	case 'f':
		return append(text, '\f'), i + 2
	case 'n':
		return append(text, '\n'), i + 2
	case 'r':
		return append(text, '\r'), i + 2
	case 't':
		return append(text, '\t'), i + 2
	case 'u':
		r, after := escapedRune(s, i)
		if utf16.IsSurrogate(r) {
			low, afterLow := escapedRune(s, after)
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				after = afterLow
			}
		}
		return utf8.AppendRune(text, r), after
	default:
		return append(text, c), i + 2
	}
}

// escapedRune reads \u and four digits at i, and returns the place after them;
// U+FFFD if they are not there.
func escapedRune(s string, i int) (r rune, after int) {
	if i+6 > len(s) || s[i] != '\\' || s[i+1] != 'u' {
		return utf8.RuneError, min(i+2, len(s))
	}
	for _, c := range []byte(s[i+2 : i+6]) {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case isHex(c):
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return utf8.RuneError, i + 2
		}
	}
	return r, i + 6
}
