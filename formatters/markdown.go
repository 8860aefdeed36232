package formatters

import (
	"strconv"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"github.com/gitlab-mattermost/relay/events"
)

// markdownParser reads GitHub-flavoured Markdown, which is what GitLab and
// Mattermost have in common. It holds no state between documents.
var markdownParser = sharedParser()

func sharedParser() parser.Parser {
	return goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser()
}

// extent is how much of a document is shown.
type extent struct {
	lines int  // without blank ones
	chars int  // as they are seen
	prose bool // only the first prose: no headings, tables, checklists, comments
}

// writer writes a parsed document again as Mattermost Markdown, up to an
// extent. Links and marks that are begun are always closed.
type writer struct {
	src   []byte
	at    *events.Project
	limit extent

	lines []string
	buf   []byte // the line being written, without its prefix
	room  int    // characters left
	count int    // lines written, without blank ones
	first string // prefix of the next line
	rest  string // prefix of the lines after it

	left   bool // something was left out
	open   bool // the last line may be continued: it is text
	gap    bool // the next line needs a blank line before it
	inLink bool
	inMark bool // in bold or italic
	inCell bool
	depth  int
}

// maxDepth bounds how deep quotes and lists are followed into each other.
const maxDepth = 8

// rewrite returns the document's lines as Mattermost Markdown, whether
// something was left out, and whether more text may follow on the last line.
func rewrite(d *Document, limit extent) (lines []string, left, open bool) {
	raw, all := d.head()
	w := &writer{src: []byte(manyLines(raw)), at: d.at, limit: limit, room: limit.chars}
	root := markdownParser.Parse(text.NewReader(w.src))
	w.blocks(root)
	return w.lines, w.left || !all, w.open
}

func (w *writer) full() bool { return w.room <= 0 || w.count >= w.limit.lines }

// blocks writes the children of a block.
func (w *writer) blocks(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if w.limit.prose && parent.Kind() == ast.KindDocument && w.skips(n) {
			if n.Kind() == ast.KindHeading && w.count > 0 {
				w.left = w.left || n.NextSibling() != nil
				return
			}
			continue
		}
		if w.full() {
			w.left = w.left || w.shows(n)
			if w.left {
				return
			}
			continue
		}
		w.block(n)
	}
}

func (w *writer) block(n ast.Node) {
	switch n := n.(type) {
	case *ast.Paragraph, *ast.TextBlock:
		w.inlines(n)
		w.flush()
	case *ast.Heading:
		w.heading(n)
	case *ast.Blockquote:
		w.nested(n, "> ", "> ")
		w.gap = true
	case *ast.List:
		w.list(n)
	case *ast.FencedCodeBlock:
		w.fence(n.Lines(), language(n.Language(w.src)))
	case *ast.CodeBlock:
		w.fence(n.Lines(), "")
	case *ast.HTMLBlock:
		w.html(n)
	case *east.Table:
		if w.shows(n) {
			w.table(n)
		}
	}
}

// flush ends the line being written, if there is anything on it.
func (w *writer) flush() {
	line := strings.TrimSpace(string(w.buf))
	w.buf = w.buf[:0]
	if line == "" {
		return
	}
	w.line(line)
	w.open = true
}

// line adds a finished line.
func (w *writer) line(s string) {
	if w.gap && len(w.lines) > 0 {
		w.lines = append(w.lines, strings.TrimRight(w.rest, " "))
	}
	w.gap = false
	w.lines = append(w.lines, strings.TrimRight(w.first+s, " "))
	w.first = w.rest
	w.count++
	w.open = false
}

// nested writes the blocks in n behind a prefix.
func (w *writer) nested(n ast.Node, first, rest string) {
	if w.depth >= maxDepth {
		w.left = true
		return
	}
	w.depth++
	outerFirst, outerRest, before := w.first, w.rest, len(w.lines)
	w.first += first
	w.rest += rest
	w.blocks(n)
	w.first, w.rest = outerFirst, outerRest
	if len(w.lines) > before {
		w.first = outerRest
	}
	w.depth--
}

func (w *writer) heading(n *ast.Heading) {
	w.buf = append(w.buf, "**"...)
	w.inMark = true
	w.inlines(n)
	w.inMark = false
	for len(w.buf) > 0 && w.buf[len(w.buf)-1] == ' ' {
		w.buf = w.buf[:len(w.buf)-1]
	}
	if len(w.buf) == 2 {
		w.buf = w.buf[:0]
		return
	}
	w.buf = append(w.buf, "**"...)
	w.flush()
}

func (w *writer) list(l *ast.List) {
	w.gap = w.gap || w.afterList()
	number := l.Start
	for item := l.FirstChild(); item != nil; item = item.NextSibling() {
		if w.full() {
			w.left = true
			break
		}
		if item != l.FirstChild() {
			w.gap = false
		}
		marker := "- "
		if l.IsOrdered() {
			marker = strconv.Itoa(number) + ". "
			number++
		}
		w.nested(item, marker, strings.Repeat(" ", len(marker)))
	}
	w.gap = true
}

// afterList tells whether the last line would swallow a list that starts now.
func (w *writer) afterList() bool {
	return len(w.lines) > 0 && w.first == w.rest && strings.HasPrefix(w.lines[len(w.lines)-1], w.rest+"- ")
}

func (w *writer) fence(lines *text.Segments, lang string) {
	var code []string
	run := 2
	for i := range lines.Len() {
		if w.count+len(code) >= w.limit.lines || w.room <= 0 {
			w.left = true
			break
		}
		seg := lines.At(i)
		line := strings.TrimRight(string(seg.Value(w.src)), " \t\n")
		if n := runesUpTo(line, w.room); n < len(line) {
			line = line[:n]
			w.left = true
		}
		w.room -= len(line)
		line = inCode(line)
		run = max(run, longestRun(line, '`'))
		code = append(code, line)
	}
	for len(code) > 0 && code[len(code)-1] == "" {
		code = code[:len(code)-1]
	}
	if len(code) == 0 {
		return
	}
	marks := strings.Repeat("`", run+1)
	w.line(marks + lang)
	for _, line := range code {
		w.line(line)
	}
	w.line(marks)
	w.count -= 2 // the marks are not seen
}

// language keeps the first word of a fence's info if it is a plain one.
func language(info []byte) string {
	if len(info) == 0 || len(info) > 20 {
		return ""
	}
	for _, c := range info {
		if !isAlnum(c) && c != '+' && c != '-' && c != '_' {
			return ""
		}
	}
	return string(info)
}

func (w *writer) table(t *east.Table) {
	w.gap = true
	for row := t.FirstChild(); row != nil; row = row.NextSibling() {
		if w.full() {
			w.left = true
			break
		}
		w.row(row)
		if row.Kind() == east.KindTableHeader {
			w.line(strings.Repeat("|---", row.ChildCount()) + "|")
			w.count--
		}
	}
	w.gap = true
}

func (w *writer) row(row ast.Node) {
	w.inCell = true
	var b strings.Builder
	b.WriteByte('|')
	for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
		w.inlines(cell)
		b.WriteByte(' ')
		b.WriteString(strings.TrimSpace(string(w.buf)))
		b.WriteString(" |")
		w.buf = w.buf[:0]
	}
	w.inCell = false
	w.line(b.String())
}

// skips tells whether the first prose of a document is not in n.
func (w *writer) skips(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.Heading, *ast.ThematicBreak:
		return true
	case *east.Table:
		w.left = w.left || w.count > 0 && w.shows(n)
		return true
	case *ast.HTMLBlock:
		return !w.shows(n)
	case *ast.List:
		return isChecklist(n)
	case *ast.Paragraph:
		return onlyImages(n)
	}
	return false
}

// shows tells whether anything of a block would be seen.
func (w *writer) shows(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ThematicBreak, *ast.LinkReferenceDefinition:
		return false
	case *ast.HTMLBlock:
		return !blank(w.htmlText(n))
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
		if block == nil || block.FirstChild() == nil || block.FirstChild().Kind() != east.KindTaskCheckBox {
			return false
		}
	}
	return true
}

func onlyImages(p ast.Node) bool {
	for n := p.FirstChild(); n != nil; n = n.NextSibling() {
		if t, ok := n.(*ast.Text); n.Kind() != ast.KindImage && !(ok && t.Segment.Len() == 0) {
			return false
		}
	}
	return p.HasChildren()
}
