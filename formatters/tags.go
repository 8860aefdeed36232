package formatters

import (
	"html"
	"strings"

	"github.com/yuin/goldmark/ast"
)

// What people write as HTML in GitLab is read as its text; images become
// links as everywhere.

// html writes a block of HTML.
func (w *writer) html(n *ast.HTMLBlock) {
	rest := w.htmlOf(n)
	for rest != "" {
		var t tag
		var said string
		said, t, rest = nextTag(rest)
		for line := range strings.Lines(html.UnescapeString(said)) {
			if w.full() {
				w.left = w.left || !blank(line) || showsHTML(rest)
				return
			}
			w.prose(line)
			if strings.HasSuffix(line, "\n") {
				w.flush()
			}
		}
		switch {
		case t.name == "img":
			w.imageTag(t)
		case breaksLine[t.name]:
			w.flush()
		}
	}
	w.flush()
}

// rawHTML writes a tag that stands in a paragraph.
func (w *writer) rawHTML(n *ast.RawHTML) {
	var b strings.Builder
	for i := range n.Segments.Len() {
		seg := n.Segments.At(i)
		b.Write(seg.Value(w.src))
	}
	switch _, t, _ := nextTag(b.String()); t.name {
	case "br", "hr":
		w.space()
	case "img":
		w.imageTag(t)
	}
}

// imageTag writes an image as a link.
func (w *writer) imageTag(t tag) {
	url := followable(w.absolute(t.attribute("src")))
	shown := oneLine(t.attribute("alt"))
	if blank(shown) {
		shown = "image"
	}
	if url == "" || w.inLink {
		w.text(shown)
		return
	}
	shown = cutEnd(shown, max(w.room, len("image")))
	w.room -= len(shown)
	w.linked(escape(shown), url)
}

// htmlOf is the source of a block of HTML.
func (w *writer) htmlOf(n *ast.HTMLBlock) string {
	var b strings.Builder
	for i := range n.Lines().Len() {
		seg := n.Lines().At(i)
		b.Write(seg.Value(w.src))
	}
	if n.HasClosure() {
		b.Write(n.ClosureLine.Value(w.src))
	}
	return b.String()
}

// showsHTML tells whether anything of HTML would be seen.
func showsHTML(s string) bool {
	for s != "" {
		said, t, rest := nextTag(s)
		if t.name == "img" || !blank(html.UnescapeString(said)) {
			return true
		}
		s = rest
	}
	return false
}

// breaksLine are the tags before and after which a line ends.
var breaksLine = map[string]bool{
	"br": true, "hr": true, "p": true, "div": true, "li": true, "tr": true, "summary": true, "pre": true,
	"h1": true, "h2": true, "h3": true, "h4": true, "h5": true, "h6": true,
}

// tag is a tag of HTML.
type tag struct {
	name string // in lower case, without the slash of a closing one
	rest string // its attributes
}

// nextTag cuts HTML at its next tag. Comments, scripts, styles and declarations
// are tags without a name.
func nextTag(s string) (said string, t tag, rest string) {
	from := 0
	for {
		at := strings.IndexByte(s[from:], '<')
		if at < 0 {
			return s, tag{}, ""
		}
		from += at + 1
		inside := s[from:]
		name := tagName(strings.TrimPrefix(inside, "/"))
		end := ">"
		switch {
		case strings.HasPrefix(inside, "!--"):
			end = "-->"
		case name == "script" || name == "style":
			end = "</" + name + ">"
		case name == "" && !strings.HasPrefix(inside, "!") && !strings.HasPrefix(inside, "?"):
			continue // no tag
		}
		said = s[:from-1]
		n := indexFold(inside, end)
		if n < 0 {
			return said, tag{}, ""
		}
		if end != ">" {
			name = ""
		}
		return said, tag{name: name, rest: inside[:n]}, inside[n+len(end):]
	}
}

// tagName is the name that starts s, in lower case.
func tagName(s string) string {
	n := 0
	for n < len(s) && n < 16 && isAlnum(s[n]) {
		n++
	}
	if n == 0 || !isLetter(s[0]) {
		return ""
	}
	return strings.ToLower(s[:n])
}

// indexFold is strings.Index without regard to case, for an ASCII sep.
func indexFold(s, sep string) int {
	for i := 0; i+len(sep) <= len(s); i++ {
		if s[i]|0x20 == sep[0]|0x20 && strings.EqualFold(s[i:i+len(sep)], sep) {
			return i
		}
	}
	return -1
}

// attribute is the value of an attribute, or "".
func (t tag) attribute(name string) string {
	rest := t.rest
	for {
		at := indexFold(rest, name)
		if at < 0 {
			return ""
		}
		before, after := rest[:at], strings.TrimLeft(rest[at+len(name):], " \t\n")
		rest = rest[at+len(name):]
		if before == "" || strings.IndexByte(" \t\n\"'/", before[len(before)-1]) < 0 || !strings.HasPrefix(after, "=") {
			continue
		}
		return html.UnescapeString(attributeValue(strings.TrimLeft(after[1:], " \t\n")))
	}
}

// attributeValue is the value that starts s, in quotation marks or up to a
// space.
func attributeValue(s string) string {
	if s == "" {
		return ""
	}
	end := " \t\n"
	if s[0] == '"' || s[0] == '\'' {
		end, s = s[:1], s[1:]
	}
	if i := strings.IndexAny(s, end); i >= 0 {
		s = s[:i]
	}
	return s
}
