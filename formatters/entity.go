package formatters

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark/util"
)

// unescape decodes what stands for other characters in Markdown: backslash
// escapes and character references, in one pass.
func unescape(seg []byte) string {
	s := string(seg)
	if !strings.ContainsAny(s, "\\&") {
		return s
	}
	return decode(s, "", true)
}

// escaped stands before a character that was escaped: it is itself, and begins
// no reference. No cleaned text holds it.
const escaped = "\x00"

// unescapeMarked is unescape that says which characters were escaped.
func unescapeMarked(seg []byte) string {
	s := string(seg)
	if !strings.ContainsAny(s, "\\&") {
		return s
	}
	return decode(s, escaped, true)
}

// decodeReferences decodes the character references in a link's destination.
func decodeReferences(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	return decode(s, "", false)
}

// decode decodes character references and, if asked to, backslash escapes, and
// puts the mark before what was escaped.
func decode(s, mark string, escapes bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if escapes && s[i] == '\\' && i+1 < len(s) && isPunct(s[i+1]) {
			i++
			b.WriteString(mark)
		} else if s[i] == '&' {
			if c, n := charReference(s[i:]); n > 0 {
				b.WriteString(mark)
				b.WriteString(c)
				i += n - 1
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// charReference decodes the character reference that starts s (CommonMark 2.5) and
// returns its length, or 0 if there is none.
func charReference(s string) (c string, n int) {
	end := strings.IndexByte(s[:min(len(s), 34)], ';')
	if end < 2 {
		return "", 0
	}
	name := s[1:end]
	if name[0] != '#' {
		if e, ok := util.LookUpHTML5EntityByName(name); ok {
			return string(e.Characters), end + 1
		}
		return "", 0
	}
	digits, base := name[1:], 10
	if digits != "" && digits[0]|0x20 == 'x' {
		digits, base = digits[1:], 16
	}
	code, err := strconv.ParseUint(digits, base, 32)
	if err != nil || len(digits) > 7 || strings.Contains(digits, "_") {
		return "", 0
	}
	if code == 0 || !utf8.ValidRune(rune(code)) {
		return "\ufffd", end + 1
	}
	return string(rune(code)), end + 1
}
