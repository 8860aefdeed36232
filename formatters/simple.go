package formatters

import "strings"

// simple reads a line that holds words, code spans and links, as most lines of
// cards do: no parser is needed to tell what people read of it.
type simple struct {
	s    string
	at   int
	seen []byte
}

// simpleText is what people read of such a line; not ok for any other Markdown.
func simpleText(s string) (text string, ok bool) {
	if s == "" || !isLetter(s[0]) && s[0] != '[' && s[0] != '`' { // it may be the start of a block
		return "", s == ""
	}
	r := simple{s: s, seen: make([]byte, 0, len(s))}
	if !r.words(false) {
		return "", false
	}
	return oneLine(string(r.seen)), true
}

// words reads up to the end of the line, or of the text of a link.
func (r *simple) words(inLink bool) bool {
	for r.at < len(r.s) {
		switch c := r.s[r.at]; {
		case r.isWord():
			r.seen = append(r.seen, c)
			r.at++
		case c == '\\' && r.at+1 < len(r.s) && isPunct(r.s[r.at+1]):
			r.seen = append(r.seen, r.s[r.at+1])
			r.at += 2
		case c == ']' && inLink:
			return true
		case c == '`':
			if !r.code() {
				return false
			}
		case c == '[' && !inLink:
			if !r.link() {
				return false
			}
		default:
			return false
		}
	}
	return !inLink
}

// isWord tells whether the next byte stands for itself, and starts nothing.
func (r *simple) isWord() bool {
	before, c, next := byte(' '), r.s[r.at], byte(' ')
	if r.at > 0 {
		before = r.s[r.at-1]
	}
	if r.at+1 < len(r.s) {
		next = r.s[r.at+1]
	}
	switch c {
	case ' ', ',', ';', '?', '(', ')', '/', '+', '-', '=', '#', '%', '$', '\'', '"':
		return true
	case '_':
		return isAlnum(before) && isAlnum(next)
	case '!':
		return next != '['
	case ':':
		return next != '/'
	case '.':
		return before|0x20 != 'w' // www.
	}
	return isAlnum(c) || c > '~'+1
}

// code reads a span between single backticks.
func (r *simple) code() bool {
	span, rest, _ := strings.Cut(r.s[r.at+1:], "`")
	if span == "" || rest == "" && !strings.HasSuffix(r.s, "`") || strings.HasPrefix(rest, "`") || !tidyASCII(span) {
		return false
	}
	r.seen = append(r.seen, span...)
	r.at += len(span) + len("``")
	return true
}

// link reads a link, of which people see the text.
func (r *simple) link() bool {
	r.at++
	start := r.at
	if !r.words(true) || r.at == start || !strings.HasPrefix(r.s[r.at:], "](") {
		return false
	}
	r.at += len("](")
	for start = r.at; r.at < len(r.s) && r.s[r.at] != ')'; r.at++ {
		if c := r.s[r.at]; c <= ' ' || c > '~' || c == '(' || c == '<' || c == '\\' {
			return false
		}
	}
	r.at++
	return r.at > start+1 && r.at <= len(r.s)
}
