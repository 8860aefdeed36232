package formatters

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"

	"github.com/gitlab-mattermost/relay/events"
)

// writer writes a parsed document again as Mattermost Markdown, up to an
// extent. Links and marks that are begun are always closed.
type writer struct {
	src      []byte
	at       *events.Project
	audience *audience // whom it may mention
	limit    extent

	oldUploads bool // as in [setting]

	position
	lines []string
	buf   []byte // the line being written, without its prefix
	rest  string // prefix of the lines after the next

	inLink bool
	inCell bool
	marks  marks
	skip   int // bytes of the next text that are no text

	pictured bool   // the first prose leaves out pictures
	picture  string // address of the first of them, if it has one
	depth    int

	heading struct { // the last one
		before, after position
	}
}

// maxDepth bounds how deep quotes and lists are followed into each other.
const maxDepth = 8

// rewrite returns the document's lines as Mattermost Markdown, whether
// something was left out, and whether more text may follow on the last line.
func rewrite(d *Document, limit extent) (lines []string, left, open bool) {
	raw, all := d.head()
	n := firstPart(raw)
	if limit.prose {
		n = cmp.Or(firstProse(raw), n)
	}
	if n < len(raw) {
		w := written(d, raw[:n], true, limit)
		if w.full() {
			return w.lines, true, w.open
		}
		d.audience.forget(w.given)
	}
	w := written(d, raw, !all, limit)
	if len(w.lines) == 0 && w.picture != "" {
		return []string{"[picture](" + w.picture + ")"}, w.left, true
	}
	return w.lines, w.left || !all || len(w.lines) == 0 && w.pictured, w.open
}

// written writes a document, or, if more follows, its first part.
func written(d *Document, raw string, more bool, limit extent) *writer {
	w := &writer{
		src: []byte(plainBlocks(manyLines(raw))), at: d.at, audience: d.audience, limit: limit, oldUploads: d.oldUploads,
	}
	w.room = limit.chars
	w.blocks(parse(documentParser, w.src))
	if (w.left || more) && w.heading.before.written > 0 && w.heading.after.written == w.written {
		full := w.full()
		w.back(w.heading.before) // a heading of nothing
		if w.left = true; full {
			w.room = 0
		}
	}
	return w
}

// blocks writes the children of a block.
func (w *writer) blocks(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if w.limit.prose && parent.Kind() == ast.KindDocument && w.skips(n) {
			if n.Kind() == ast.KindHeading && w.count > 0 {
				w.left = w.left || n.NextSibling() != nil
				w.room = 0
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
	at := w.position
	switch n := n.(type) {
	case *ast.Paragraph:
		if isContents(n, w.src) {
			return
		}
		w.inlines(n)
		w.flush()
		w.cutBefore(at)
	case *ast.TextBlock:
		w.inlines(n)
		w.flush()
		w.cutBefore(at)
	case *ast.Heading:
		w.headline(n)
		w.cutBefore(at)
	case *ast.Blockquote:
		w.quote(n)
	case *ast.List:
		w.list(n)
	case *ast.FencedCodeBlock:
		w.fence(n.Lines(), language(n.Language(w.src)))
		w.cutBefore(at)
	case *ast.CodeBlock:
		w.fence(n.Lines(), "")
		w.cutBefore(at)
	case *ast.HTMLBlock:
		w.html(n)
	case *east.Table:
		if w.shows(n) {
			w.table(n)
		}
	case *east.FootnoteList:
		w.footnotes(n)
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
		w.lines = append(w.lines, strings.TrimRight(w.gapped, " "))
	}
	w.gap = false
	w.lines = append(w.lines, strings.TrimRight(w.first+s, " "))
	w.written = len(w.lines)
	w.first = w.rest
	w.count++
	w.open = false
}

// apart asks for a blank line before the next line; it belongs to the
// outermost block that asked.
func (w *writer) apart() {
	if !w.gap || len(w.rest) < len(w.gapped) {
		w.gap, w.gapped = true, w.rest
	}
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

// headline writes a heading as a bold line.
func (w *writer) headline(n *ast.Heading) {
	before := w.position
	w.bold(n)
	if w.written > before.written {
		w.heading.before, w.heading.after = before, w.position
	}
}

func (w *writer) bold(n ast.Node) {
	w.buf = append(w.buf, "**"...)
	w.marks |= strong
	w.inlines(n)
	w.marks &^= strong
	w.buf = trimSpaces(w.buf)
	if len(w.buf) == len("**") {
		w.buf = w.buf[:0]
		return
	}
	w.buf = append(w.buf, "**"...)
	w.flush()
}

// quote writes a quote. One that GitLab shows with a title starts with that
// title, bold.
func (w *writer) quote(n *ast.Blockquote) {
	if p := n.FirstChild(); p != nil && p.Kind() == ast.KindParagraph && p.Lines().Len() > 0 {
		first := p.Lines().At(0)
		if title, size := alert(string(first.Value(w.src))); size > 0 {
			outer := w.rest
			w.first, w.rest = w.first+"> ", w.rest+"> "
			w.line("**" + title + "**")
			w.first, w.rest = outer, outer
			w.skip = size
		}
	}
	w.nested(n, "> ", "> ")
	w.skip = 0
	w.apart()
}

func (w *writer) list(l *ast.List) {
	if !w.gap && (w.afterList() || l.IsOrdered() && l.Start != 1 && w.open) {
		w.apart()
	}
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
	w.apart()
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
// Mattermost calls a formula latex (webapp utils/markdown, code).
func language(info []byte) string {
	if len(info) == 0 || len(info) > 20 {
		return ""
	}
	for _, c := range info {
		if !isAlnum(c) && c != '+' && c != '-' && c != '_' {
			return ""
		}
	}
	if string(info) == "math" {
		return "latex"
	}
	return string(info)
}

// footnotes writes the footnotes that the text refers to.
func (w *writer) footnotes(l *east.FootnoteList) {
	for n := l.FirstChild(); n != nil; n = n.NextSibling() {
		note, ok := n.(*east.Footnote)
		if !ok {
			continue
		}
		if w.full() {
			w.left = true
			return
		}
		if note.PreviousSibling() == nil {
			w.apart()
		}
		w.buf = appendFootnote(w.buf, note.Index)
		if first := n.FirstChild(); first != nil && first.Kind() == ast.KindParagraph {
			w.buf = append(w.buf, ' ')
		} else {
			w.flush()
		}
		w.blocks(n)
		w.flush()
	}
}

// appendFootnote writes the number of a footnote: [1].
func appendFootnote(dst []byte, n int) []byte {
	dst = append(dst, `\[`...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, `\]`...)
}
