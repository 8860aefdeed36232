package formatters

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
)

// inlines writes the children of a block or of an inline node.
func (w *writer) inlines(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if w.full() {
			w.left = true
			return
		}
		switch t := n.(type) {
		case *ast.Text:
			n = w.texts(t)
		case *inapplicableBox:
			w.struckTask(t)
			return
		default:
			w.inline(n)
		}
	}
}

// texts writes a run of text that the parser has cut in pieces, and returns its
// last piece.
func (w *writer) texts(t *ast.Text) ast.Node {
	before := t.PreviousSibling()
	t, run := textRun(t, w.src)
	if before != nil && before.Kind() == ast.KindImage {
		run = withoutSize(run)
	}
	skipped := min(w.skip, len(run))
	w.skip = 0
	w.prose(unescapeMarked(run[skipped:]))
	switch {
	case t.HardLineBreak() && !w.inCell && !w.inLink && w.marks == 0:
		w.flush()
	case t.SoftLineBreak() || t.HardLineBreak():
		w.space()
	}
	return t
}

// textRun joins the pieces in which the parser has cut a text.
func textRun(t *ast.Text, src []byte) (last *ast.Text, run []byte) {
	seg := t.Segment
	for !t.SoftLineBreak() && !t.HardLineBreak() {
		next, ok := t.NextSibling().(*ast.Text)
		if !ok || next.Segment.Start != seg.Stop || next.Segment.Padding != 0 {
			break
		}
		t, seg = next, seg.WithStop(next.Segment.Stop)
	}
	return t, seg.Value(src)
}

// withoutSize drops what GitLab reads behind an image: {width=75%}.
func withoutSize(run []byte) []byte {
	s := string(run)
	if !strings.HasPrefix(s, "{width=") && !strings.HasPrefix(s, "{height=") {
		return run
	}
	if end := strings.IndexByte(s, '}'); end > 0 {
		return run[end+1:]
	}
	return run
}

func (w *writer) inline(n ast.Node) {
	switch n := n.(type) {
	case *ast.String:
		w.prose(unescapeMarked(n.Value))
	case *ast.CodeSpan:
		w.code(n)
	case *ast.Emphasis:
		w.emphasis(n)
	case *east.Strikethrough:
		w.marked(n, struck, "~~")
	case *ast.Link:
		w.link(n, string(n.Destination))
	case *ast.Image:
		w.image(n)
	case *ast.AutoLink:
		w.autoLink(n)
	case *ast.RawHTML:
		w.rawHTML(n)
	case *east.TaskCheckBox:
		if n.IsChecked {
			w.buf = append(w.buf, "[x] "...)
		} else {
			w.buf = append(w.buf, "[ ] "...)
		}
	case *east.FootnoteLink:
		w.buf = appendFootnote(w.buf, n.Index)
		w.room -= len("[1]")
	default:
		w.inlines(n)
	}
}

// prose writes text with the references and mentions in it.
func (w *writer) prose(s string) {
	if w.inLink {
		w.text(s)
		return
	}
	done, at := 0, 0
	for !w.full() {
		r, ok := nextReference(s, at, w.at)
		if !ok {
			break
		}
		w.text(s[done:r.from])
		done = r.from
		if w.full() {
			break
		}
		if mention, ok := w.mention(r.user); ok {
			w.buf = append(w.buf, mention...)
			w.room -= utf8.RuneCountInString(mention)
			w.given++
		} else {
			w.reference(r, s[r.from:r.to])
		}
		done, at = r.to, r.to
	}
	w.text(s[done:])
}

// mention is how the chat mentions a user, if that may be. In Slack a table is
// code, in which nobody is.
func (w *writer) mention(user string) (mention string, ok bool) {
	if user == "" || w.audience == nil || w.inCell && !w.audience.tables {
		return "", false
	}
	return w.audience.mention(user)
}

// reference writes a reference as a link, whole or not at all.
func (w *writer) reference(r reference, shown string) {
	url := followable(r.url)
	switch {
	case url == "":
		w.text(shown)
		return
	case utf8.RuneCountInString(shown) > w.room:
		w.room = 0
		w.left = true
		return
	}
	if r.code != "" {
		w.room -= len(r.code)
		w.linked(codeSpan(r.code), url)
		return
	}
	w.room -= utf8.RuneCountInString(shown)
	w.linked(escape(oneLine(shown)), url)
}

// linked writes a link with finished Markdown as its text.
func (w *writer) linked(shown, url string) {
	w.buf = append(w.buf, '[')
	w.buf = append(w.buf, inLinkText(shown)...)
	w.buf = append(w.buf, "]("...)
	w.buf = append(w.buf, url...)
	w.buf = append(w.buf, ')')
}

// text writes a piece of text as far as there is room for it, whole words if
// possible.
func (w *writer) text(s string) {
	s = tidyPiece(withEmoji(s)) // an escaped colon is marked until here
	if k := len(w.buf); k > 0 && w.buf[k-1] == ' ' {
		s = strings.TrimLeft(s, " ")
	}
	if n := runesUpTo(s, w.room); n < len(s) {
		s = s[:wholeWords(s, n, len(w.buf) > 0)]
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
			continue
		}
		w.buf = appendEscapedByte(w.buf, s, i, number)
	}
}

// longWord is the length from which on a word is cut, in characters.
const longWord = 40

// wholeWords is the length of the part of s[:n] that ends with a word: n if the
// word there is long, 0 if s is one short word that follows others.
func wholeWords(s string, n int, follows bool) int {
	i := strings.LastIndexByte(s[:n], ' ')
	switch {
	case i < 0 && follows && !longerThan(s, longWord):
		return 0
	case i < 0 || utf8.RuneCountInString(s[i:n]) > longWord:
		return n
	}
	return i
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
	if w.inCell && strings.Contains(s, "<") {
		w.text(s) // with the bars between cells it might be a Slack form
		return
	}
	w.room -= utf8.RuneCountInString(s)
	if before, ok := bytes.CutSuffix(w.buf, []byte("&#36;")); ok && isFormula(n, w.src) {
		w.buf = before
		w.skip = 1
	}
	// Code beside a backtick or other code would join it.
	if k := len(w.buf); k > 0 && w.buf[k-1] == '`' {
		w.buf = append(w.buf, ' ')
	}
	span := codeSpan(s)
	if w.inCell {
		span = strings.ReplaceAll(span, "|", `\|`)
	}
	w.buf = append(w.buf, span...)
}

// isFormula tells whether code is a formula in GitLab: $`a^2`$.
func isFormula(n ast.Node, src []byte) bool {
	before, ok := n.PreviousSibling().(*ast.Text)
	after, also := n.NextSibling().(*ast.Text)
	if !ok || !also || before.SoftLineBreak() || before.Segment.Len() == 0 || after.Segment.Len() == 0 {
		return false
	}
	return src[before.Segment.Stop-1] == '$' && src[after.Segment.Start] == '$'
}

func (w *writer) link(n ast.Node, dest string) {
	url := followable(w.absolute(decodeReferences(dest)))
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
	w.buf = append(w.buf[:start+1], inLinkText(string(w.buf[start+1:]))...)
	w.buf = append(w.buf, "]("...)
	w.buf = append(w.buf, url...)
	w.buf = append(w.buf, ')')
}

// image writes an image as a link: GitLab's images need a login, and an image
// that anybody put into a comment tells its owner who read it.
func (w *writer) image(n *ast.Image) {
	url := followable(w.absolute(decodeReferences(string(n.Destination))))
	start, linked := len(w.buf), w.inLink
	if url != "" && !linked {
		w.buf = append(w.buf, '[')
	}
	textStart := len(w.buf)
	w.inLink = true
	w.inlines(n)
	w.inLink = linked
	if blank(string(w.buf[textStart:])) {
		w.buf = w.buf[:textStart]
		w.text("image")
	}
	if url != "" && !linked && len(w.buf) > start {
		w.buf = append(w.buf[:textStart], inLinkText(string(w.buf[textStart:]))...)
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
	w.linked(escape(oneLine(label)), url)
}

// bare tells whether an address standing alone is taken whole and as it is.
func bare(url string) bool {
	if !strings.Contains(authority(url), ".") {
		return false // not for an address everywhere
	}
	for i := range len(url) {
		c := url[i]
		if !isAlnum(c) && strings.IndexByte("/:.-?=&%#_+,", c) < 0 {
			return false
		}
	}
	last := url[len(url)-1]
	return isAlnum(last) || last == '/'
}

// tidyPiece makes part of a line fit for one line; unlike [oneLine] it keeps a
// space at either end.
func tidyPiece(s string) string {
	if s == "" || tidyASCII(s) {
		return s
	}
	core := oneLine(s)
	if core == "" {
		return " "[:min(1, len(s)-len(strings.TrimLeft(s, spaces)))]
	}
	if strings.TrimLeft(s, spaces) != s {
		core = " " + core
	}
	if strings.TrimRight(s, spaces) != s {
		core += " "
	}
	return core
}

// spaces are those that stay between two pieces of a line.
const spaces = " \t" + nbsp
