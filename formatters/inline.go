package formatters

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/util"
)

// inlines writes the children of a block or of an inline node.
func (w *writer) inlines(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
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
}

// texts writes a run of text that the parser has cut in pieces, and returns its
// last piece.
func (w *writer) texts(t *ast.Text) ast.Node {
	seg := t.Segment
	for !t.SoftLineBreak() && !t.HardLineBreak() {
		next, ok := t.NextSibling().(*ast.Text)
		if !ok || next.Segment.Start != seg.Stop || next.Segment.Padding != 0 {
			break
		}
		t, seg = next, seg.WithStop(next.Segment.Stop)
	}
	w.text(unescape(seg.Value(w.src)))
	switch {
	case t.HardLineBreak() && !w.inCell && !w.inLink && !w.inMark:
		w.flush()
	case t.SoftLineBreak() || t.HardLineBreak():
		w.space()
	}
	return t
}

func (w *writer) inline(n ast.Node) {
	switch n := n.(type) {
	case *ast.String:
		w.text(unescape(n.Value))
	case *ast.CodeSpan:
		w.code(n)
	case *ast.Emphasis:
		w.marked(n, strings.Repeat("*", n.Level))
	case *east.Strikethrough:
		w.marked(n, "~~")
	case *ast.Link:
		w.link(n, string(n.Destination))
	case *ast.Image:
		w.image(n)
	case *ast.AutoLink:
		w.autoLink(n)
	case *ast.RawHTML:
		if isBreak(n, w.src) {
			w.space()
		}
	case *east.TaskCheckBox:
		if n.IsChecked {
			w.buf = append(w.buf, "[x] "...)
		} else {
			w.buf = append(w.buf, "[ ] "...)
		}
	default:
		w.inlines(n)
	}
}

// text writes a piece of text as far as there is room for it, whole words if
// possible.
func (w *writer) text(s string) {
	s = tidyPiece(s)
	if k := len(w.buf); k > 0 && w.buf[k-1] == ' ' {
		s = strings.TrimLeft(s, " ")
	}
	if n := runesUpTo(s, w.room); n < len(s) {
		if i := strings.LastIndexByte(s[:n], ' '); i >= 0 {
			n = i
		} else if len(w.buf) > 0 && utf8.RuneCountInString(s) < 40 {
			n = 0 // the word goes whole
		}
		s = s[:n]
		w.room = 0
		w.left = true
	} else {
		w.room -= utf8.RuneCountInString(s)
	}
	number := 0
	if len(w.buf) == 0 {
		s = strings.TrimLeft(s, " ")
		number = listNumber(s)
	}
	for i := range len(s) {
		if s[i] == '#' && i == len(s)-1 {
			w.buf = append(w.buf, "&#35;"...) // a word may follow
			break
		}
		w.buf = appendEscapedByte(w.buf, s, i, number)
	}
}

// space writes one space between words.
func (w *writer) space() {
	if n := len(w.buf); n > 0 && w.buf[n-1] != ' ' {
		w.buf = append(w.buf, ' ')
		w.room--
	}
}

func (w *writer) code(n ast.Node) {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			b.Write(t.Segment.Value(w.src))
		}
	}
	s := oneLine(b.String())
	if n := runesUpTo(s, w.room); n < len(s) {
		s = s[:n]
		w.left = true
	}
	if s == "" {
		return
	}
	if w.inCell && strings.ContainsAny(s, "<|") {
		w.text(s)
		return
	}
	w.room -= utf8.RuneCountInString(s)
	// Code beside a backtick or other code would join it.
	if k := len(w.buf); k > 0 && w.buf[k-1] == '`' {
		w.buf = append(w.buf, ' ')
	}
	w.buf = append(w.buf, codeSpan(s)...)
}

// marked writes bold, italic or struck text. The marks are dropped where
// Mattermost might not see them: within each other, and against letters.
func (w *writer) marked(n ast.Node, mark string) {
	if w.inMark || len(mark) > 2 || !w.spaceBefore() || !spaceAfter(n, w.src) {
		w.inlines(n)
		return
	}
	start := len(w.buf)
	w.buf = append(w.buf, mark...)
	w.inMark = true
	w.inlines(n)
	w.inMark = false
	for len(w.buf) > start && w.buf[len(w.buf)-1] == ' ' {
		w.buf = w.buf[:len(w.buf)-1]
	}
	if len(w.buf) <= start+len(mark) {
		w.buf = w.buf[:start]
		return
	}
	w.buf = append(w.buf, mark...)
}

func (w *writer) spaceBefore() bool {
	if len(w.buf) == 0 {
		return true
	}
	c := w.buf[len(w.buf)-1]
	return c == ' ' || c == '(' || c == '[' && w.inLink
}

// spaceAfter tells whether what follows n lets closing marks be seen.
func spaceAfter(n ast.Node, src []byte) bool {
	next := n.NextSibling()
	if next == nil {
		return true
	}
	t, ok := next.(*ast.Text)
	if !ok {
		return false
	}
	v := t.Segment.Value(src)
	return len(v) == 0 || strings.IndexByte(" .,;:!?)\t", v[0]) >= 0
}

func (w *writer) link(n ast.Node, dest string) {
	url := followable(absolute(decodeReferences(dest), w.at))
	if url == "" || w.inLink {
		w.inlines(n)
		return
	}
	start := len(w.buf)
	w.buf = append(w.buf, '[')
	w.inLink = true
	w.inlines(n)
	w.inLink = false
	if blank(string(w.buf[start+1:])) {
		w.buf = w.buf[:start]
		return
	}
	w.buf = append(w.buf, "]("...)
	w.buf = append(w.buf, url...)
	w.buf = append(w.buf, ')')
}

// image writes an image as a link: GitLab's images need a login, and an image
// that anybody put into a comment tells its owner who read it.
func (w *writer) image(n *ast.Image) {
	start := len(w.buf)
	url := followable(absolute(decodeReferences(string(n.Destination)), w.at))
	if url != "" && !w.inLink {
		w.buf = append(w.buf, '[')
	}
	textStart := len(w.buf)
	linked := w.inLink
	w.inLink = true
	w.inlines(n)
	w.inLink = linked
	if blank(string(w.buf[textStart:])) {
		w.buf = w.buf[:textStart]
		w.text("image")
	}
	if url != "" && !linked && len(w.buf) > start {
		w.buf = append(w.buf, "]("...)
		w.buf = append(w.buf, url...)
		w.buf = append(w.buf, ')')
	}
}

func (w *writer) autoLink(n *ast.AutoLink) {
	label := string(n.Label(w.src))
	url := followable(string(n.URL(w.src)))
	if n.AutoLinkType == ast.AutoLinkEmail || url == "" || w.inLink {
		w.text(label)
		return
	}
	if utf8.RuneCountInString(label) > w.room {
		w.room = 0
		w.left = true
		return
	}
	w.room -= utf8.RuneCountInString(label)
	if label == url && bare(url) && w.spaceBefore() && spaceAfter(n, w.src) {
		w.buf = append(w.buf, url...)
		return
	}
	w.buf = append(w.buf, '[')
	w.buf = append(w.buf, escape(oneLine(label))...)
	w.buf = append(w.buf, "]("...)
	w.buf = append(w.buf, url...)
	w.buf = append(w.buf, ')')
}

// bare tells whether an address standing alone is taken whole and as it is.
func bare(url string) bool {
	for i := range len(url) {
		c := url[i]
		if !isAlnum(c) && strings.IndexByte("/:.-?=&%#_+,", c) < 0 {
			return false
		}
	}
	last := url[len(url)-1]
	return isAlnum(last) || last == '/'
}

func isBreak(n *ast.RawHTML, src []byte) bool {
	if n.Segments.Len() != 1 {
		return false
	}
	seg := n.Segments.At(0)
	tag := strings.ToLower(string(seg.Value(src)))
	return strings.HasPrefix(tag, "<br") || strings.HasPrefix(tag, "<hr")
}

// html writes the text in a block of HTML.
func (w *writer) html(n *ast.HTMLBlock) {
	for line := range strings.Lines(w.htmlText(n)) {
		if blank(line) {
			continue
		}
		if w.full() {
			w.left = true
			return
		}
		w.text(strings.TrimSpace(line))
		w.flush()
	}
}

func (w *writer) htmlText(n *ast.HTMLBlock) string {
	var b strings.Builder
	for i := range n.Lines().Len() {
		seg := n.Lines().At(i)
		b.Write(seg.Value(w.src))
	}
	if n.HasClosure() {
		b.Write(n.ClosureLine.Value(w.src))
	}
	return withoutTags(b.String())
}

// withoutTags is the text of HTML: without tags, comments, scripts and styles.
func withoutTags(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "<")
		b.WriteString(before)
		if !ok {
			break
		}
		end := ">"
		switch lower := strings.ToLower(rest[:min(len(rest), 8)]); {
		case strings.HasPrefix(lower, "!--"):
			end = "-->"
		case strings.HasPrefix(lower, "script"):
			end = "</script>"
		case strings.HasPrefix(lower, "style"):
			end = "</style>"
		case rest == "" || !isLetter(rest[0]) && rest[0] != '/' && rest[0] != '!' && rest[0] != '?':
			b.WriteByte('<')
			s = rest
			continue
		}
		_, s, ok = strings.Cut(rest, end)
		if !ok {
			break
		}
	}
	return html.UnescapeString(b.String())
}

// unescape decodes what stands for other characters in Markdown: backslash
// escapes and character references, in one pass.
func unescape(seg []byte) string {
	s := string(seg)
	if !strings.ContainsAny(s, "\\&") {
		return s
	}
	return decode(s, true)
}

// decodeReferences decodes the character references in a link's destination.
func decodeReferences(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	return decode(s, false)
}

func decode(s string, escapes bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if escapes && s[i] == '\\' && i+1 < len(s) && isPunct(s[i+1]) {
			i++
		} else if s[i] == '&' {
			if c, n := charReference(s[i:]); n > 0 {
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

// tidyPiece makes part of a line fit for one line; unlike [oneLine] it keeps a
// space at either end.
func tidyPiece(s string) string {
	if s == "" || tidyASCII(s) {
		return s
	}
	core := oneLine(s)
	if core == "" {
		return " "[:min(1, strings.Count(s, " "))]
	}
	if s[0] == ' ' || s[0] == '\t' {
		core = " " + core
	}
	if c := s[len(s)-1]; c == ' ' || c == '\t' {
		core += " "
	}
	return core
}
