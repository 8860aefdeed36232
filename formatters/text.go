package formatters

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text is a string that came from GitLab: anybody may have written it.
// Printing it escapes it, so that it reads as it was written, on one line,
// without markup, mentions or links.
type Text string

// String is the text as Mattermost Markdown, at most 4000 characters of it.
func (t Text) String() string {
	s := string(t)
	if len(s) <= maxText {
		return escape(oneLine(s))
	}
	return escape(cutEnd(oneLine(s[:min(len(s), 8*maxText)]), maxText))
}

// maxText is the most that is printed of a text, in characters.
const maxText = 4000

// Markdown is finished Mattermost Markdown, printed as it is.
type Markdown string

// Which characters a backslash escapes was tried on Mattermost's own renderer
// (webapp utils/markdown, its fork of marked): a backslash stays visible before
// others, where a character reference is written instead.

// escape writes one clean line (see [oneLine]) as Markdown that displays it.
func escape(s string) string {
	if !holdsSpecial(s) && !awkwardStart(s) && !rightToLeft(s) {
		return s
	}
	var room [256]byte
	escaped := appendEscaped(room[:0], s)
	if string(escaped) == s {
		return s
	}
	return string(escaped)
}

func holdsSpecial(s string) bool {
	for i := range len(s) {
		if special[s[i]] {
			return true
		}
	}
	return false
}

// special are the characters that may have to be escaped, depending on what
// stands beside them.
var special = [256]bool{
	'\\': true, '`': true, '*': true, '[': true, ']': true, '|': true, '<': true, '&': true, '#': true,
	'~': true, '_': true, '!': true, ':': true, '@': true, '.': true, '>': true, '$': true,
}

// awkwardStart tells whether s could be the start of a block if it stood at the
// start of a line.
func awkwardStart(s string) bool {
	if s == "" {
		return false
	}
	switch s[0] {
	case '#', '>', '+', '-', '=':
		return true
	}
	return listNumber(s) > 0
}

// listNumber returns the length of the digits that start s if it could be taken
// for an ordered list's marker, otherwise 0.
func listNumber(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n == 0 || n > 9 || n == len(s) || s[n] != '.' && s[n] != ')' {
		return 0
	}
	if n+1 < len(s) && s[n+1] != ' ' {
		return 0
	}
	return n
}

func appendEscaped(dst []byte, s string) []byte {
	s = withEmoji(s)
	rtl := rightToLeft(s)
	if rtl {
		dst = append(dst, isolate...)
	}
	number := listNumber(s)
	for i := range len(s) {
		dst = appendEscapedByte(dst, s, i, number)
	}
	if rtl {
		dst = append(dst, isolateEnd...)
	}
	return dst
}

// appendEscapedByte writes s[i]. number is listNumber(s).
func appendEscapedByte(dst []byte, s string, i, number int) []byte {
	c := s[i]
	if c >= utf8.RuneSelf {
		return append(dst, c)
	}
	if form := escapes[c]; form != "" {
		return append(dst, form...)
	}
	next := byte(0) // 0: the end, behind which anything may follow
	if i+1 < len(s) {
		next = s[i+1]
	}
	switch c {
	case '\\':
		if next == 0 || isPunct(next) {
			return append(dst, "&#92;"...)
		}
	case '&':
		if next == 0 || startsReference(s[i:]) {
			return append(dst, "&amp;"...)
		}
	case '#':
		if isLetter(next) || next >= utf8.RuneSelf {
			return append(dst, "&#35;"...)
		}
	case '~', '@':
		return appendSigil(dst, c, next)
	case '_':
		if i == 0 || !isAlnum(s[i-1]) || !isAlnum(next) {
			return append(dst, `\_`...)
		}
	case '!':
		if next == 0 || next == '[' {
			return append(dst, `\!`...)
		}
	case ':':
		if startsEmoji(s, i) {
			return append(dst, "&#58;"...)
		}
	case '.':
		if joinsDomain(s, i) {
			return append(dst, `\.`...)
		}
	case '$': // starts a formula in a Mattermost with inline LaTeX
		if next != ' ' {
			return append(dst, "&#36;"...)
		}
	}
	if i == 0 || i == number {
		return appendLineStart(dst, c, i, next)
	}
	return append(dst, c)
}

// escapes are the characters that are escaped wherever they stand.
var escapes = [utf8.RuneSelf]string{
	'`': "\\`", '*': `\*`, '[': `\[`, ']': `\]`, '|': "&#124;", '<': "&lt;",
}

// appendSigil writes a ~ or an @ so that it starts neither a channel link nor a
// mention.
func appendSigil(dst []byte, c, next byte) []byte {
	if c == '@' {
		dst = append(dst, c)
		if next != ' ' {
			dst = append(dst, joiner...)
		}
		return dst
	}
	dst = append(dst, '\\', c)
	if next == 0 || isWord(next) {
		dst = append(dst, joiner...)
	}
	return dst
}

// appendLineStart writes a character that could make a block of its line: the
// first one, or the one behind a number.
func appendLineStart(dst []byte, c byte, i int, next byte) []byte {
	switch c {
	case '>', '+', '-':
		if i == 0 {
			return append(dst, '\\', c)
		}
	case '=':
		if i == 0 {
			return append(dst, "&#61;"...)
		}
	case '#':
		if i == 0 && (next == 0 || next == '#' || next == ' ') {
			return append(dst, `\#`...)
		}
	case '.', ')':
		if i > 0 {
			return append(dst, '\\', c)
		}
	}
	return append(dst, c)
}

// startsReference tells whether s, which starts with &, is a character
// reference, or could become one.
func startsReference(s string) bool {
	i := 1
	if i < len(s) && s[i] == '#' {
		i++
	}
	for i < len(s) && isAlnum(s[i]) {
		i++
	}
	return i == len(s) || s[i] == ';' && i > 1
}

// startsEmoji tells whether the colon s[i] would start an emoji (":smile:"), an
// emoticon (" :/") or the rest of an address ("https://x"), which would become
// a link.
func startsEmoji(s string, i int) bool {
	rest := s[i+1:]
	if rest == "" {
		return false
	}
	if strings.HasPrefix(rest, "//") {
		return true
	}
	if (i == 0 || !isAlnum(s[i-1])) && rest[0] != ' ' {
		return true
	}
	n, digits := 0, true
	for n < len(rest) && (isAlnum(rest[n]) || rest[n] == '_' || rest[n] == '-' || rest[n] == '+') {
		digits = digits && isDigit(rest[n])
		n++
	}
	if n == 0 || digits && n <= 2 { // 10:30:45 is no emoji
		return false
	}
	return n == len(rest) || rest[n] == ':' // a colon may follow
}

// joinsDomain tells whether the dot s[i] stands in something that Mattermost
// would make a link of: "www.x.y", or a bare domain with a path.
func joinsDomain(s string, i int) bool {
	if i == 0 || i+1 == len(s) || !isAlnum(s[i-1]) && s[i-1] < utf8.RuneSelf || s[i+1] == ' ' {
		return false
	}
	if i >= 3 && strings.EqualFold(s[i-3:i], "www") {
		return true
	}
	for j := i + 1; j < len(s) && s[j] != ' '; j++ {
		switch s[j] {
		case '/', '?', '#':
			return true
		}
	}
	return false
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isAlnum(c byte) bool  { return isDigit(c) || isLetter(c) }
func isWord(c byte) bool {
	return isAlnum(c) || c == '_' || c == '-' || c == '.' || c >= utf8.RuneSelf
}
func isPunct(c byte) bool { return c > ' ' && c < 0x7f && !isAlnum(c) }

// plain is the text as people read it, without Markdown: one clean line.
func (t Text) plain() string { return oneLine(string(t)) }

// blank tells whether nothing of s would be seen.
func blank(s string) bool {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unwanted(r) }) == ""
}
