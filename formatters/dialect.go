package formatters

import (
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// documentParser reads what people write in GitLab: GitHub-flavoured Markdown,
// footnotes, and tasks that do not apply ([~]). markdownParser reads finished
// messages, in which HTML is text, as it is in Mattermost. Neither holds state
// between texts.
var (
	documentParser = extend(parser.DefaultBlockParsers(), parser.DefaultInlineParsers(),
		extension.GFM, extension.Footnote, inapplicableTasks{})
	markdownParser = extend(withoutHTML(parser.DefaultBlockParsers()), withoutHTML(parser.DefaultInlineParsers()),
		extension.GFM)
)

func extend(blocks, inlines []util.PrioritizedValue, extensions ...goldmark.Extender) parser.Parser {
	p := parser.NewParser(parser.WithBlockParsers(blocks...), parser.WithInlineParsers(inlines...),
		parser.WithParagraphTransformers(parser.DefaultParagraphTransformers()...))
	return goldmark.New(goldmark.WithParser(p), goldmark.WithExtensions(extensions...)).Parser()
}

// withoutHTML leaves out the parsers of HTML.
func withoutHTML(all []util.PrioritizedValue) []util.PrioritizedValue {
	return slices.DeleteFunc(all, func(v util.PrioritizedValue) bool {
		return v.Value == parser.NewHTMLBlockParser() || v.Value == parser.NewRawHTMLParser()
	})
}

// parse reads Markdown. A text on which the parser panics, which none is known
// to do, is taken as one paragraph without markup: no message is lost for it.
func parse(p parser.Parser, src []byte) (root ast.Node) {
	defer func() {
		if recover() != nil {
			doc, all := ast.NewDocument(), ast.NewParagraph()
			all.AppendChild(all, ast.NewString(src))
			doc.AppendChild(doc, all)
			root = doc
		}
	}()
	return p.Parse(text.NewReader(src))
}

// inapplicableBox is the box of a task that does not apply: "- [~] tests"
// (docs.gitlab.com, "GitLab Flavored Markdown", task lists).
type inapplicableBox struct{ ast.BaseInline }

var kindInapplicableBox = ast.NewNodeKind("InapplicableBox")

// Kind implements ast.Node.
func (*inapplicableBox) Kind() ast.NodeKind { return kindInapplicableBox }

// Dump implements ast.Node.
func (b *inapplicableBox) Dump(src []byte, level int) { ast.DumpHelper(b, src, level, nil, nil) }

// inapplicableTasks extends a parser by such boxes.
type inapplicableTasks struct{}

// Extend implements goldmark.Extender.
func (inapplicableTasks) Extend(m goldmark.Markdown) {
	m.Parser().AddOptions(parser.WithInlineParsers(util.Prioritized(inapplicableTasks{}, 0)))
}

// Trigger implements parser.InlineParser.
func (inapplicableTasks) Trigger() []byte { return []byte{'['} }

// Parse implements parser.InlineParser.
func (inapplicableTasks) Parse(parent ast.Node, block text.Reader, _ parser.Context) ast.Node {
	item := parent.Parent()
	if item == nil || item.Kind() != ast.KindListItem || item.FirstChild() != parent || parent.HasChildren() {
		return nil
	}
	line, _ := block.PeekLine()
	if len(line) < len("[~] ") || string(line[:3]) != "[~]" || line[3] != ' ' && line[3] != '\t' {
		return nil
	}
	block.Advance(len("[~] "))
	return &inapplicableBox{}
}

// plainBlocks writes the blocks that only GitLab knows in plain Markdown:
// quotes between lines of >>>, and formulas between lines of $$.
func plainBlocks(s string) string {
	if !strings.Contains(s, ">>>") && !strings.Contains(s, "$$") {
		return s
	}
	lines := strings.Split(s, "\n")
	fence, opened := "", -1 // where the block that is open began
	for i, l := range lines {
		mark := strings.TrimRight(l, " \t")
		if opened < 0 {
			fence = nextFence(fence, l)
		}
		switch {
		case fence != "" || mark != ">>>" && mark != "$$":
		case opened < 0:
			opened = i
		case strings.TrimRight(lines[opened], " \t") == mark:
			rewriteBlock(lines[opened:i+1], mark)
			opened = -1
		}
	}
	return strings.Join(lines, "\n")
}

// rewriteBlock writes one block of lines, the marks around it included.
func rewriteBlock(lines []string, mark string) {
	inside, last := lines[1:len(lines)-1], len(lines)-1
	if mark == ">>>" {
		for i, l := range inside {
			inside[i] = "> " + l
		}
		lines[0], lines[last] = "", ""
		return
	}
	run := 2
	for _, l := range inside {
		run = max(run, longestRun(l, '`'))
	}
	marks := strings.Repeat("`", min(run, maxBackticks)+1)
	lines[0], lines[last] = marks+"math", marks
}

// alerts are the kinds of quotes that GitLab gives a title of its own, by the
// first line of the quote: "> [!warning]" (docs.gitlab.com, "GitLab Flavored
// Markdown", alerts).
var alerts = map[string]string{
	"note": "Note", "tip": "Tip", "important": "Important", "caution": "Caution", "warning": "Warning",
}

// alert returns the title of a quote that is one, as Markdown, and how much of
// the first line says so.
func alert(line string) (title string, size int) {
	end := strings.IndexByte(line, ']')
	if !strings.HasPrefix(line, "[!") || end < 0 {
		return "", 0
	}
	if title = alerts[strings.ToLower(line[2:end])]; title == "" {
		return "", 0
	}
	own := strings.TrimSpace(line[end+1:])
	if own != "" && plainLine(own) {
		return Text(own).String(), len(strings.TrimRight(line, " \t\n"))
	}
	return title, end + 1
}

// isContents tells a paragraph in whose place GitLab puts a table of contents.
func isContents(p ast.Node, src []byte) bool {
	if p.Lines().Len() != 1 {
		return false
	}
	first := p.Lines().At(0)
	line := strings.TrimSpace(string(first.Value(src)))
	return line == "[[_TOC_]]" || line == "[TOC]"
}
