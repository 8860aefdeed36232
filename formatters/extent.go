package formatters

import (
	"bytes"
	"strings"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
)

// extent is how much of a document is shown.
type extent struct {
	lines int  // without blank ones
	chars int  // as they are seen
	prose bool // only the first prose: no headings, tables, checklists, comments
}

// position is how far the writer is, between two blocks.
type position struct {
	written int    // lines, blank ones too
	room    int    // characters left
	count   int    // lines written, without blank ones
	first   string // prefix of the next line
	left    bool   // something was left out
	open    bool   // the last line may be continued: it is text
	gap     bool   // the next line needs a blank line before it
	gapped  string // the prefix of that blank line
	given   int    // people mentioned
}

// enough is how much of a document, in bytes, nearly always fills a message.
const enough = 2 << 10

// firstPart is the length of the part of a long document that is tried first:
// whole blocks, which mean the same without the rest.
func firstPart(s string) int {
	if len(s) < 2*enough || strings.Contains(s, ">>>") || strings.Contains(s, "$$") {
		return len(s)
	}
	n := strings.LastIndex(s[:enough], "\n\n")
	if n < enough/2 || strings.Contains(s[n:], "]:") { // where links and footnotes lead
		return len(s)
	}
	return n
}

// given is how many mentions the message has.
func (m *audience) given() int {
	if m == nil {
		return 0
	}
	return len(m.done)
}

// firstProse is the length of a document up to the heading at which its first
// prose ends; 0 if there is none, or if it is not sure that it is one.
func firstProse(s string) int {
	text := false // before the heading
	for at := 0; at < len(s); {
		line, rest, _ := strings.Cut(s[at:], "\n")
		heading := isHeading(line)
		if n := at + len(line); heading && text {
			if blank(rest) || strings.Contains(rest, "]:") || strings.Contains(rest, ">>>") || strings.Contains(rest, "$$") ||
				strings.ContainsAny(s[:n], "`~<$>") {
				return 0 // nothing seen follows, or it may stand in code, HTML or a quote
			}
			return n
		}
		text = text || !heading && !blank(line)
		at = len(s) - len(rest)
	}
	return 0
}

// isHeading tells whether a line is a heading, if it stands in no other block.
func isHeading(line string) bool {
	text := strings.TrimLeft(line, "#")
	return text != line && len(line)-len(text) <= 6 && strings.HasPrefix(text, " ")
}

// forget takes back the last n mentions: they are not shown.
func (m *audience) forget(n int) {
	if n > 0 {
		m.done = m.done[:len(m.done)-n]
	}
}

func (w *writer) full() bool { return w.room <= 0 || w.count >= w.limit.lines }

// back undoes what was written since a position.
func (w *writer) back(to position) {
	w.audience.forget(w.given - to.given)
	w.position = to
	w.lines = w.lines[:to.written]
	w.buf = w.buf[:0]
}

// cutBefore leaves out the block that was written since a position if it is
// not whole and most of the room is taken by what stands before it.
func (w *writer) cutBefore(at position) {
	if !w.left || at.left {
		return
	}
	if (w.limit.chars-at.room)*5 < w.limit.chars*3 {
		return
	}
	w.back(at)
	w.left = true
	w.room = 0
}

// skips tells whether the first prose of a document is not in n.
func (w *writer) skips(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.Heading, *ast.ThematicBreak:
		return true
	case *east.Table:
		w.left = w.left || w.shows(n)
		return true
	case *ast.HTMLBlock:
		return !w.shows(n)
	case *ast.List:
		return isChecklist(n)
	case *ast.Paragraph:
		if onlyImages(n, w.src) {
			w.notePicture(n)
			return true
		}
	}
	return false
}

// notePicture remembers the first picture of a paragraph of pictures.
func (w *writer) notePicture(p *ast.Paragraph) {
	w.pictured = true
	for n := p.FirstChild(); n != nil && w.picture == ""; n = n.NextSibling() {
		if image, ok := n.(*ast.Image); ok {
			w.picture = followable(w.absolute(decodeReferences(string(image.Destination))))
		}
	}
}

// shows tells whether anything of a block would be seen.
func (w *writer) shows(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ThematicBreak, *ast.LinkReferenceDefinition:
		return false
	case *ast.HTMLBlock:
		return showsHTML(w.htmlOf(n))
	case *east.Table:
		for row := n.FirstChild(); row != nil; row = row.NextSibling() {
			if row.Kind() == east.KindTableRow && !w.emptyRow(row) {
				return true
			}
		}
		return false
	case *ast.List:
		return !w.limit.prose || !isChecklist(n)
	}
	return true
}

func (w *writer) emptyRow(row ast.Node) bool {
	for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
		if cell.HasChildren() {
			return false
		}
	}
	return true
}

func isChecklist(l *ast.List) bool {
	for item := l.FirstChild(); item != nil; item = item.NextSibling() {
		block := item.FirstChild()
		if block == nil || block.FirstChild() == nil {
			return false
		}
		if box := block.FirstChild().Kind(); box != east.KindTaskCheckBox && box != kindInapplicableBox {
			return false
		}
	}
	return true
}

func onlyImages(p ast.Node, src []byte) bool {
	for n := p.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Image:
		case *ast.Text:
			if len(bytes.TrimSpace(withoutSize(n.Segment.Value(src)))) > 0 {
				return false
			}
		default:
			return false
		}
	}
	return p.HasChildren()
}
