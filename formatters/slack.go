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
	s := slackWriter{src: src, out: make([]byte, 0, len(src)+len(src)/8), buf: make([]byte, 0, 512)}
	s.blocks(parse(markdownParser, src))
	return string(s.out)
}

// slackWriter writes a parsed message as mrkdwn.
type slackWriter struct {
	src   []byte
	out   []byte
	lines int
	buf   []byte // the line being written, without its prefix
	first string // prefix of the next line
	rest  string // prefix of the lines after it
	marks marks
	label bool // in the text of a link
}

func (s *slackWriter) flush() {
	if len(s.buf) == 0 {
		return
	}
	line := s.buf
	s.buf = s.buf[:0]
	s.line(line)
}

// line adds a finished line.
func (s *slackWriter) line(l []byte) {
	s.newLine(s.first)
	s.out = trimSpaces(append(s.out, l...))
	s.first = s.rest
}

// newLine starts a line with a prefix.
func (s *slackWriter) newLine(prefix string) {
	if s.lines > 0 {
		s.out = append(s.out, '\n')
	}
	s.lines++
	s.out = append(s.out, prefix...)
}

func (s *slackWriter) blocks(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if n.PreviousSibling() != nil && n.Kind() != ast.KindListItem && n.HasBlankPreviousLines() && s.lines > 0 {
			s.newLine(strings.TrimRight(s.rest, " "))
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
		s.marked(n, strong, '*')
		s.flush()
	case *ast.Blockquote:
		s.nested(n, "> ", "> ")
	case *ast.List:
		s.list(n)
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		s.fence(n.Lines())
	case *ast.ThematicBreak:
		s.line([]byte("———"))
	case *east.Table:
		s.table(n)
	default:
		s.blocks(n)
	}
}

func (s *slackWriter) nested(n ast.Node, first, rest string) {
	outerFirst, outerRest, before := s.first, s.rest, s.lines
	s.first += first
	s.rest += rest
	s.blocks(n)
	s.first, s.rest = outerFirst, outerRest
	if s.lines > before {
		s.first = outerRest
	}
}

// slackBullet starts the items of lists: Slack has no others.
const slackBullet = "• "

func (s *slackWriter) list(l *ast.List) {
	number := l.Start
	for item := l.FirstChild(); item != nil; item = item.NextSibling() {
		marker := slackBullet
		if l.IsOrdered() {
			marker = strconv.Itoa(number) + ". "
			number++
		}
		s.nested(item, marker, "    ")
	}
}

var slackFenceMarks = []byte("```")

func (s *slackWriter) fence(lines *text.Segments) {
	s.line(slackFenceMarks)
	for i := range lines.Len() {
		seg := lines.At(i)
		code := bytes.TrimRight(seg.Value(s.src), "\n")
		s.line(appendSlack(nil, bytes.ReplaceAll(code, slackFenceMarks, []byte("'''"))))
	}
	s.line(slackFenceMarks)
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
	s.line(slackFenceMarks)
	for _, cells := range rows {
		var line []byte
		for i, c := range cells {
			if i > 0 {
				line = append(line, "  "...)
			}
			line = appendSlack(line, c)
			for range widths[i] - utf8.RuneCountInString(c) {
				line = append(line, ' ')
			}
		}
		s.line(line)
	}
	s.line(slackFenceMarks)
}

func (s *slackWriter) inlines(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if t, ok := n.(*ast.Text); ok {
			n = s.texts(t)
			continue
		}
		s.inline(n)
	}
}

// texts writes a run of text, and returns its last piece.
func (s *slackWriter) texts(t *ast.Text) ast.Node {
	t, run := textRun(t, s.src)
	s.text(run)
	switch {
	case !t.SoftLineBreak() && !t.HardLineBreak():
	case s.label:
		s.buf = append(s.buf, ' ')
	default:
		s.flush()
	}
	return t
}

func (s *slackWriter) inline(n ast.Node) {
	switch n := n.(type) {
	case *ast.String:
		s.text(n.Value)
	case *ast.CodeSpan:
		s.code(n)
	case *ast.Emphasis:
		if n.Level > 1 {
			s.marked(n, strong, '*')
		} else {
			s.marked(n, italic, '_')
		}
	case *east.Strikethrough:
		s.marked(n, struck, '~')
	case *ast.Link:
		s.link(n, decodeReferences(string(n.Destination)))
	case *ast.Image:
		s.link(n, decodeReferences(string(n.Destination)))
	case *ast.AutoLink:
		s.autoLink(n)
	case *east.TaskCheckBox:
		s.buf = append(s.buf, map[bool]string{true: "☑ ", false: "☐ "}[n.IsChecked]...)
	default:
		s.inlines(n)
	}
}

// code writes a code span; Slack knows only single backticks around it.
func (s *slackWriter) code(n ast.Node) {
	s.buf = append(s.buf, '`')
	start := len(s.buf)
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			s.buf = appendSlack(s.buf, t.Segment.Value(s.src))
		}
	}
	code := bytes.TrimSpace(s.buf[start:])
	for i, c := range code {
		if c == '`' {
			code[i] = '\''
		} else if c == '\n' {
			code[i] = ' '
		}
	}
	if len(code) == 0 {
		s.buf = s.buf[:start-1]
		return
	}
	s.buf = append(append(s.buf[:start], code...), '`')
}

// marked writes bold, italic or struck text. Slack sees marks only at the ends
// of words, none within their like, and none in the text of a link.
func (s *slackWriter) marked(n ast.Node, kind marks, mark byte) {
	if s.marks&kind != 0 || s.label {
		s.inlines(n)
		return
	}
	s.marks |= kind
	if k := len(s.buf); k > 0 && (isAlnum(s.buf[k-1]) || s.buf[k-1] >= utf8.RuneSelf) {
		s.buf = append(s.buf, zeroWidth...)
	}
	s.buf = append(s.buf, mark)
	s.inlines(n)
	s.buf = append(s.buf, mark)
	s.marks &^= kind
	if next := n.NextSibling(); next != nil && next.Kind() == ast.KindText && !spaceAfter(n, s.src) {
		s.buf = append(s.buf, zeroWidth...)
	}
}

// link writes a link.
func (s *slackWriter) link(n ast.Node, url string) {
	if url = safeURL(url); url == "" || s.label {
		s.inlines(n)
		return
	}
	start := len(s.buf)
	s.buf = append(s.buf, '<')
	s.buf = appendSlack(s.buf, url)
	s.buf = append(s.buf, '|')
	text := len(s.buf)
	s.label = true
	s.inlines(n)
	s.label = false
	if len(bytes.TrimSpace(s.buf[text:])) == 0 {
		s.buf = s.buf[:start]
		return
	}
	s.buf = append(s.buf, '>')
}

func (s *slackWriter) autoLink(n *ast.AutoLink) {
	url := safeURL(string(n.URL(s.src)))
	if url == "" || n.AutoLinkType == ast.AutoLinkEmail || s.label {
		s.buf = appendSlack(s.buf, n.Label(s.src))
		return
	}
	s.buf = append(s.buf, '<')
	s.buf = appendSlack(s.buf, url)
	s.buf = append(s.buf, '>')
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
