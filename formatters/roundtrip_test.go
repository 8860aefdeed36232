package formatters

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
)

// TestRoundTrip: what the writer writes of a document means what the document
// means. Every testdata/examples/*.md holds examples, between lines of %%; each
// is parsed, written and parsed again, and both are compared as meanings.
func TestRoundTrip(t *testing.T) {
	files, err := filepath.Glob("testdata/examples/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	all := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, example := range strings.Split(string(raw), "\n%%\n") {
			all++
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(file), i+1), func(t *testing.T) {
				checkRoundTrip(t, strings.TrimSuffix(example, "\n"))
			})
		}
	}
	if all < 150 {
		t.Errorf("%d examples, want at least 150", all)
	}
}

func checkRoundTrip(t *testing.T, source string) {
	t.Helper()
	d := document(source, project)
	if d == nil {
		t.Fatal("nothing to see in the example")
	}
	lines, left, _ := rewrite(d, extent{lines: 1 << 20, chars: 1 << 20})
	if left {
		t.Error("something is left out")
	}
	written := strings.Join(lines, "\n")
	want := meaningOf(plainBlocks(manyLines(source)), true)
	got := meaningOf(written, false)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n--- is written as\n%s\n--- (-means +is written to mean)\n%s", source, visible(written), diff)
	}
}

// meaning reads a document, or what was written of one, into a form in which
// both are the same. What the writer changes on purpose is changed here, too:
// headings are bold lines, HTML is its text, images are links, rules are
// nothing, line breaks are lines, footnotes are text, marks against letters and
// within their like are dropped, addresses are absolute and safe.
type meaning struct {
	src    []byte
	source bool // of the document itself
	out    []string
	runs   []run
	indent string
	skip   int
}

// run is a piece of a line.
type run struct {
	text  string
	marks string // "b", "i", "s", "c"
	link  string
}

// meant is what a piece of text says, with the characters of its emoji.
func meant(seg []byte) string { return strings.ReplaceAll(withEmoji(unescapeMarked(seg)), escaped, "") }

func meaningOf(markdown string, source bool) []string {
	m := meaning{src: []byte(markdown), source: source}
	p := markdownParser
	if source {
		p = documentParser
	}
	m.blocks(parse(p, m.src))
	return m.out
}

func (m *meaning) add(format string, args ...any) {
	m.out = append(m.out, m.indent+fmt.Sprintf(format, args...))
}

func (m *meaning) blocks(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		m.block(n)
	}
}

func (m *meaning) inside(name string, n ast.Node) {
	before := len(m.out)
	m.add("%s:", name)
	outer := m.indent
	m.indent += "  "
	m.blocks(n)
	m.indent = outer
	if len(m.out) == before+1 {
		m.out = m.out[:before] // nothing in it
	}
}

func (m *meaning) block(n ast.Node) {
	switch n := n.(type) {
	case *ast.Paragraph, *ast.TextBlock:
		if m.source && n.Kind() == ast.KindParagraph && isContents(n, m.src) {
			return
		}
		m.inlines(n, run{})
		m.flush()
	case *ast.Heading:
		m.inlines(n, run{marks: "b"})
		m.flush()
	case *ast.Blockquote:
		m.quote(n)
	case *ast.List:
		m.list(n)
	case *ast.FencedCodeBlock:
		m.code(n, language(n.Language(m.src)))
	case *ast.CodeBlock:
		m.code(n, "")
	case *ast.HTMLBlock:
		m.html(n)
	case *east.Table:
		m.table(n)
	case *east.FootnoteList:
		for note := n.FirstChild(); note != nil; note = note.NextSibling() {
			m.runs = append(m.runs, run{text: fmt.Sprintf("[%d] ", note.(*east.Footnote).Index)})
			m.blocks(note)
		}
	case *ast.ThematicBreak, *ast.LinkReferenceDefinition:
	default:
		m.add("?%s", n.Kind())
	}
}

func (m *meaning) quote(n *ast.Blockquote) {
	p := n.FirstChild()
	if m.source && p != nil && p.Kind() == ast.KindParagraph {
		first := p.Lines().At(0)
		title, size := alert(string(first.Value(m.src)))
		if size > 0 {
			m.add("quote:")
			m.add("  b(%s)", title)
			m.skip = size
			m.indent += "  "
			m.blocks(n)
			m.indent = m.indent[2:]
			return
		}
	}
	m.inside("quote", n)
}

func (m *meaning) list(n *ast.List) {
	number := n.Start
	for item := n.FirstChild(); item != nil; item = item.NextSibling() {
		name := "-"
		if n.IsOrdered() {
			name = fmt.Sprint(number)
			number++
		}
		m.inside(name, item)
	}
}

func (m *meaning) code(n ast.Node, lang string) {
	var b strings.Builder
	for i := range n.Lines().Len() {
		seg := n.Lines().At(i)
		b.WriteString(inCode(strings.TrimRight(string(seg.Value(m.src)), " \t\n")) + "\n")
	}
	if text := strings.TrimRight(b.String(), "\n"); text != "" {
		m.add("code %s %q", lang, text)
	}
}

func (m *meaning) html(n *ast.HTMLBlock) {
	w := writer{src: m.src}
	for line := range strings.Lines(w.htmlOf(n)) {
		rest := strings.TrimSpace(line)
		if strings.HasPrefix(rest, "<script>") || rest == "alert(1)" {
			continue
		}
		for rest != "" {
			said, t, after := nextTag(rest)
			m.text(html.UnescapeString(said), run{})
			if t.name == "img" {
				m.text(t.attribute("alt"), run{link: absolute(t.attribute("src"), project)})
			}
			rest = after
		}
		m.flush()
	}
}

func (m *meaning) table(n *east.Table) {
	m.add("table %v", n.Alignments)
	for row := n.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			before := len(m.out)
			m.inlines(cell, run{})
			m.flush()
			cells = append(cells, strings.TrimSpace(strings.Join(m.out[before:], "/")))
			m.out = m.out[:before]
		}
		m.add("row %q", cells)
	}
}

// flush ends a line.
func (m *meaning) flush() {
	var b strings.Builder
	space := true
	for _, r := range m.runs {
		text := strings.ReplaceAll(r.text, joiner, "")
		core := strings.Join(strings.Fields(text), " ")
		if core == "" && text != "" {
			core = " "
		} else if core != "" && text != core {
			if strings.TrimLeft(text, " \t") != text {
				core = " " + core
			}
			if strings.TrimRight(text, " \t") != text {
				core += " "
			}
		}
		if space {
			core = strings.TrimLeft(core, " ")
		}
		if core == "" {
			continue
		}
		space = strings.HasSuffix(core, " ")
		switch {
		case r.marks == "" && r.link == "":
			b.WriteString(core)
		case r.link == "":
			fmt.Fprintf(&b, "%s(%s)", r.marks, core)
		default:
			fmt.Fprintf(&b, "%s(%s|%s)", r.marks, core, r.link)
		}
	}
	m.runs = nil
	if line := strings.TrimSpace(b.String()); line != "" {
		m.add("%s", line)
	}
}

func (m *meaning) text(s string, as run) {
	as.text = s
	if n := len(m.runs); n > 0 && m.runs[n-1].marks == as.marks && m.runs[n-1].link == as.link {
		m.runs[n-1].text += s
		return
	}
	m.runs = append(m.runs, as)
}

func (m *meaning) inlines(parent ast.Node, as run) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		m.inline(n, as)
	}
}

func (m *meaning) inline(n ast.Node, as run) {
	switch n := n.(type) {
	case *ast.Text:
		m.textNode(n, as)
	case *ast.String:
		m.text(meant(n.Value), as)
	case *ast.CodeSpan:
		m.codeSpan(n, as)
	case *ast.Emphasis:
		m.marked(n, [...]string{"i", "b"}[min(n.Level, 2)-1], as)
	case *east.Strikethrough:
		m.marked(n, "s", as)
	case *ast.Link:
		m.link(n, string(n.Destination), as)
	case *ast.Image:
		m.link(n, string(n.Destination), as)
	case *ast.AutoLink:
		url := followable(string(n.URL(m.src)))
		if n.AutoLinkType == ast.AutoLinkEmail || as.link != "" {
			url = as.link
		}
		m.text(string(n.Label(m.src)), run{marks: as.marks, link: url})
	case *ast.RawHTML:
		m.rawHTML(n, as)
	case *east.TaskCheckBox:
		m.text(map[bool]string{true: "☑ ", false: "☐ "}[n.IsChecked], as)
	case *inapplicableBox:
		// The rest of the block is struck.
		for rest := n.NextSibling(); rest != nil; {
			next := rest.NextSibling()
			m.inline(rest, run{marks: "s"})
			n.Parent().RemoveChild(n.Parent(), rest)
			rest = next
		}
	case *east.FootnoteLink:
		m.text(fmt.Sprintf("[%d]", n.Index), as)
	case *east.FootnoteBacklink:
	default:
		m.text("?"+n.Kind().String(), as)
	}
}

func (m *meaning) textNode(n *ast.Text, as run) {
	s := string(n.Segment.Value(m.src))
	if before := n.PreviousSibling(); m.source && before != nil && before.Kind() == ast.KindImage {
		s = string(withoutSize([]byte(s)))
	}
	skipped := min(m.skip, len(s))
	m.skip -= skipped
	m.text(meant([]byte(s[skipped:])), as)
	switch {
	case n.HardLineBreak() && as == (run{}), n.SoftLineBreak() && !m.source:
		m.flush()
	case n.SoftLineBreak() || n.HardLineBreak():
		m.text(" ", as)
	}
}

func (m *meaning) codeSpan(n *ast.CodeSpan, as run) {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		b.Write(c.(*ast.Text).Segment.Value(m.src))
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	if cell := n.Parent(); m.source && cell.Kind() == east.KindTableCell && strings.Contains(text, "<") {
		m.text(text, as)
		return
	}
	if m.source && isFormula(n, m.src) {
		last := &m.runs[len(m.runs)-1]
		last.text = strings.TrimSuffix(last.text, "$")
		m.skip = 1
	}
	as.marks += "c"
	m.text(inCode(text), as)
}

func (m *meaning) marked(n ast.Node, mark string, as run) {
	if strings.Contains(as.marks, mark) || m.source && !m.standsFree(n) {
		m.inlines(n, as)
		return
	}
	for _, one := range []string{"b", "i", "s"} { // in one order, whatever is in what
		if one == mark || strings.Contains(as.marks, one) {
			mark = strings.ReplaceAll(mark, one, "") + one
		}
	}
	as.marks = mark
	m.inlines(n, as)
}

// standsFree tells whether there is a space or a mark of punctuation around the
// marks of n.
func (m *meaning) standsFree(n ast.Node) bool {
	var before, after byte = ' ', ' '
	if len(m.runs) > 0 {
		if s := m.runs[len(m.runs)-1].text; s != "" && m.runs[len(m.runs)-1].link == "" {
			before = s[len(s)-1]
		}
	}
	outer := n
	for outer.NextSibling() == nil && outer.Parent().Kind() == ast.KindEmphasis {
		outer = outer.Parent()
	}
	switch next := outer.NextSibling().(type) {
	case nil:
	case *ast.Text:
		if v := next.Segment.Value(m.src); len(v) > 0 {
			after = v[0]
		}
	default:
		after = 'x'
	}
	if outer = n; outer.PreviousSibling() == nil && outer.Parent().Kind() == ast.KindEmphasis {
		before = ' '
	}
	return strings.IndexByte(" (\"'", before) >= 0 && after < utf8.RuneSelf && strings.IndexByte(" .,;:!?)\"'", after) >= 0
}

func (m *meaning) link(n ast.Node, dest string, as run) {
	url := followable(absolute(decodeReferences(dest), project))
	if as.link != "" {
		url = as.link
	}
	m.inlines(n, run{marks: as.marks, link: url})
	if n.Kind() == ast.KindImage && !n.HasChildren() {
		m.text("image", run{marks: as.marks, link: url})
	}
}

func (m *meaning) rawHTML(n *ast.RawHTML, as run) {
	seg := n.Segments.At(0)
	switch _, t, _ := nextTag(string(seg.Value(m.src))); t.name {
	case "br":
		m.text(" ", as)
	case "img":
		alt := t.attribute("alt")
		if alt == "" {
			alt = "image"
		}
		m.text(alt, run{marks: as.marks, link: absolute(t.attribute("src"), project)})
	}
}
