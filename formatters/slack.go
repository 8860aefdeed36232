package formatters

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// mrkdwn writes a finished message, in Mattermost Markdown, in Slack's markup
// (docs.slack.dev, "Formatting message text"): *bold*, _italic_, <url|text>.
// There, only & < > are escaped, and nothing can be a control sequence because
// every < of the text is.
func mrkdwn(markdown string) string {
	src := []byte(markdown)
	s := slackWriter{src: src}
	s.blocks(markdownParser.Parse(text.NewReader(src)))
	return strings.Join(s.lines, "\n")
}

// slackWriter writes a parsed message as mrkdwn.
type slackWriter struct {
	src   []byte
	lines []string
	buf   strings.Builder
	first string
	rest  string
	mark  bool // in bold or italic
}

func (s *slackWriter) flush() {
	if s.buf.Len() == 0 {
		return
	}
	s.line(s.buf.String())
	s.buf.Reset()
}

func (s *slackWriter) line(l string) {
	s.lines = append(s.lines, strings.TrimRight(s.first+l, " "))
	s.first = s.rest
}

func (s *slackWriter) blocks(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if n.PreviousSibling() != nil && n.Kind() != ast.KindListItem && n.HasBlankPreviousLines() && len(s.lines) > 0 {
			s.lines = append(s.lines, strings.TrimRight(s.rest, " "))
		}
		s.block(n)
	}
}

func (s *slackWriter) block(n ast.Node) {
	switch n := n.(type) {
	case *ast.Paragraph, *ast.TextBlock:
		s.inlines(n)
		s.flush()
	case *ast.Heading:
		s.buf.WriteByte('*')
		s.mark = true
		s.inlines(n)
		s.mark = false
		s.buf.WriteByte('*')
		s.flush()
	case *ast.Blockquote:
		s.nested(n, "> ", "> ")
	case *ast.List:
		s.list(n)
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		s.fence(n.Lines())
	case *ast.HTMLBlock:
		for i := range n.Lines().Len() {
			seg := n.Lines().At(i)
			s.line(slackEscape(strings.TrimRight(string(seg.Value(s.src)), "\n")))
		}
	case *ast.ThematicBreak:
		s.line("———")
	case *east.Table:
		s.table(n)
	default:
		s.blocks(n)
	}
}

func (s *slackWriter) nested(n ast.Node, first, rest string) {
	outerFirst, outerRest, before := s.first, s.rest, len(s.lines)
	s.first += first
	s.rest += rest
	s.blocks(n)
	s.first, s.rest = outerFirst, outerRest
	if len(s.lines) > before {
		s.first = outerRest
	}
}

func (s *slackWriter) list(l *ast.List) {
	number := l.Start
	for item := l.FirstChild(); item != nil; item = item.NextSibling() {
		marker := "• "
		if l.IsOrdered() {
			marker = strconv.Itoa(number) + ". "
			number++
		}
		s.nested(item, marker, "    ")
	}
}

func (s *slackWriter) fence(lines *text.Segments) {
	s.line("```")
	for i := range lines.Len() {
		seg := lines.At(i)
		code := strings.TrimRight(string(seg.Value(s.src)), "\n")
		s.line(slackEscape(strings.ReplaceAll(code, "```", "'''")))
	}
	s.line("```")
}

// table writes a table as code, its columns aligned: Slack has no tables.
func (s *slackWriter) table(t *east.Table) {
	var rows [][]string
	var widths []int
	for row := t.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			var b strings.Builder
			appendPlain(&b, cell, s.src)
			text := oneLine(strings.ReplaceAll(b.String(), "```", "'''"))
			if len(cells) == len(widths) {
				widths = append(widths, 0)
			}
			widths[len(cells)] = max(widths[len(cells)], utf8.RuneCountInString(text))
			cells = append(cells, text)
		}
		rows = append(rows, cells)
	}
	s.line("```")
	for _, cells := range rows {
		var b strings.Builder
		for i, c := range cells {
			if i > 0 {
				b.WriteString("  ")
			}
			b.WriteString(slackEscape(c))
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)))
		}
		s.line(strings.TrimRight(b.String(), " "))
	}
	s.line("```")
}

func (s *slackWriter) inlines(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		s.inline(n)
	}
}

func (s *slackWriter) inline(n ast.Node) {
	switch n := n.(type) {
	case *ast.Text:
		s.text(n.Segment.Value(s.src))
		if n.SoftLineBreak() || n.HardLineBreak() {
			s.flush()
		}
	case *ast.String:
		s.text(n.Value)
	case *ast.CodeSpan:
		s.code(n)
	case *ast.Emphasis:
		s.marked(n, [...]string{"_", "*"}[min(n.Level, 2)-1])
	case *east.Strikethrough:
		s.marked(n, "~")
	case *ast.Link:
		s.link(n, decodeReferences(string(n.Destination)))
	case *ast.Image:
		s.link(n, decodeReferences(string(n.Destination)))
	case *ast.AutoLink:
		url := safeURL(string(n.URL(s.src)))
		if url == "" || n.AutoLinkType == ast.AutoLinkEmail {
			s.buf.WriteString(slackEscape(string(n.Label(s.src))))
			return
		}
		s.buf.WriteString("<" + slackEscape(url) + ">")
	case *ast.RawHTML:
		for i := range n.Segments.Len() {
			seg := n.Segments.At(i)
			s.buf.WriteString(slackEscape(string(seg.Value(s.src))))
		}
	case *east.TaskCheckBox:
		s.buf.WriteString(map[bool]string{true: "☑ ", false: "☐ "}[n.IsChecked])
	default:
		s.inlines(n)
	}
}

// code writes a code span; Slack knows only single backticks around it.
func (s *slackWriter) code(n ast.Node) {
	var b strings.Builder
	appendPlain(&b, n, s.src)
	code := strings.TrimSpace(strings.ReplaceAll(b.String(), "`", "'"))
	if code != "" {
		s.buf.WriteString("`" + slackEscape(code) + "`")
	}
}

func (s *slackWriter) marked(n ast.Node, mark string) {
	if s.mark {
		s.inlines(n)
		return
	}
	s.mark = true
	s.buf.WriteString(mark)
	s.inlines(n)
	s.buf.WriteString(mark)
	s.mark = false
}

// link writes a link; its text is plain, for Slack shows no markup but code
// there.
func (s *slackWriter) link(n ast.Node, url string) {
	var b strings.Builder
	appendPlain(&b, n, s.src)
	text := slackEscape(oneLine(b.String()))
	url = safeURL(url)
	switch {
	case url == "" || text == "":
		s.buf.WriteString(text)
	case n.ChildCount() == 1 && n.FirstChild().Kind() == ast.KindCodeSpan:
		s.buf.WriteString("<" + slackEscape(url) + "|`" + strings.ReplaceAll(text, "`", "'") + "`>")
	default:
		s.buf.WriteString("<" + slackEscape(url) + "|" + text + ">")
	}
}

// appendPlain writes what is read of n, without markup.
func appendPlain(b *strings.Builder, n ast.Node, src []byte) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		switch c := c.(type) {
		case *ast.Text:
			if n.Kind() == ast.KindCodeSpan {
				b.Write(c.Segment.Value(src))
			} else {
				b.WriteString(unescape(c.Segment.Value(src)))
			}
			if c.SoftLineBreak() || c.HardLineBreak() {
				b.WriteByte('\n')
			}
		case *ast.String:
			b.WriteString(unescape(c.Value))
		case *ast.AutoLink:
			b.Write(c.Label(src))
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			for i := range c.Lines().Len() {
				seg := c.Lines().At(i)
				b.Write(seg.Value(src))
			}
		default:
			appendPlain(b, c, src)
		}
		if c.Type() == ast.TypeBlock || c.Kind() == east.KindTableCell {
			b.WriteByte('\n')
		}
	}
}

var slackEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func slackEscape(s string) string { return slackEscaper.Replace(s) }

// zeroWidth (U+200B ZERO WIDTH SPACE) beside a mark keeps Slack from reading
// it as one; there is no other way to write it.
const zeroWidth = "\u200b"

// text writes a piece of text. What was escaped in Markdown must not be taken
// for markup; what was not, like the colons of an emoji, stays as it is.
func (s *slackWriter) text(seg []byte) {
	for i := 0; i < len(seg); i++ {
		c := seg[i]
		switch {
		case c == '\\' && i+1 < len(seg) && isPunct(seg[i+1]):
			i++
			s.literal(string(seg[i]), seg[i+1:])
		case c == '&':
			char, n := charReference(string(seg[i:min(len(seg), i+40)]))
			if n == 0 {
				s.buf.WriteString("&amp;")
				continue
			}
			s.literal(char, seg[i+n:])
			i += n - 1
		case c == '<':
			s.buf.WriteString("&lt;")
		case c == '>':
			s.buf.WriteString("&gt;")
		default:
			s.buf.WriteByte(c)
		}
	}
}

// literal writes a character that stands for itself; rest is what follows.
func (s *slackWriter) literal(c string, rest []byte) {
	switch c {
	case "*", "_", "~", "`":
		s.buf.WriteString(zeroWidth + c + zeroWidth)
	case ">":
		s.buf.WriteString(zeroWidth + "&gt;")
	case ":":
		s.buf.WriteByte(':')
		if !bytes.HasPrefix(rest, []byte("//")) {
			s.buf.WriteString(zeroWidth)
		}
	default:
		s.buf.WriteString(slackEscape(c))
	}
}
