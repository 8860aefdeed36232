package formatters

import (
	"strings"

	"github.com/yuin/goldmark/ast"
)

// marks are the kinds of emphasis that a piece of text stands in.
type marks uint8

const (
	strong marks = 1 << iota
	italic
	struck
)

// emphasis writes bold or italic text. Italic within or around bold is written
// with underscores, which cannot be taken for the other's asterisks.
func (w *writer) emphasis(n *ast.Emphasis) {
	switch {
	case n.Level > 1:
		w.marked(n, strong, "**")
	case w.marks&strong != 0 || holdsEmphasis(n):
		w.marked(n, italic, "_")
	default:
		w.marked(n, italic, "*")
	}
}

func holdsEmphasis(n ast.Node) bool {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if c.Kind() == ast.KindEmphasis || c.HasChildren() && c.Type() == ast.TypeInline && holdsEmphasis(c) {
			return true
		}
	}
	return false
}

// marked writes bold, italic or struck text. The marks are dropped where
// Mattermost might not see them: within their like, and against letters.
func (w *writer) marked(n ast.Node, kind marks, mark string) {
	if w.marks&kind != 0 || !w.spaceBefore() || !spaceAfter(n, w.src) {
		w.inlines(n)
		return
	}
	w.openMark(mark, kind, func() { w.inlines(n) })
}

// openMark writes marks around what write writes.
func (w *writer) openMark(mark string, kind marks, write func()) {
	start := len(w.buf)
	w.buf = append(w.buf, mark...)
	w.marks |= kind
	write()
	w.marks &^= kind
	w.buf = trimSpaces(w.buf)
	if len(w.buf) <= start+len(mark) {
		w.buf = w.buf[:start]
		return
	}
	w.buf = append(w.buf, mark...)
}

// struckTask writes the text of a task that does not apply.
func (w *writer) struckTask(box *inapplicableBox) {
	w.openMark("~~", struck, func() {
		for n := box.NextSibling(); n != nil; n = n.NextSibling() {
			if w.full() {
				w.left = true
				return
			}
			if t, ok := n.(*ast.Text); ok {
				n = w.texts(t)
				continue
			}
			w.inline(n)
		}
	})
}

func trimSpaces(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

// spaceBefore tells whether marks are seen that open behind what is written.
func (w *writer) spaceBefore() bool {
	if len(w.buf) == 0 {
		return true
	}
	switch c := w.buf[len(w.buf)-1]; c {
	case ' ', '(', '"', '\'':
		return true
	case '[':
		return w.inLink
	case '*', '_', '~':
		return w.marks != 0 && !w.escapedEnd()
	}
	return false
}

// escapedEnd tells whether the last character that is written is escaped.
func (w *writer) escapedEnd() bool {
	n := len(w.buf)
	return n > 1 && w.buf[n-2] == '\\'
}

// spaceAfter tells whether what follows n lets closing marks be seen.
func spaceAfter(n ast.Node, src []byte) bool {
	next := n.NextSibling()
	for next == nil {
		if n = n.Parent(); n == nil || n.Type() != ast.TypeInline || n.Kind() == ast.KindLink {
			return true
		}
		next = n.NextSibling()
	}
	t, ok := next.(*ast.Text)
	if !ok {
		return false
	}
	v := t.Segment.Value(src)
	return len(v) == 0 || strings.IndexByte(" .,;:!?)\"'\t", v[0]) >= 0
}
