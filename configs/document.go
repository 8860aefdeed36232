package configs

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

const (
	maxFileBytes  = 1 << 20
	maxFenceBytes = 256 << 10 // of a fenced file
	maxAnchors    = 1_000
	maxAliasNodes = 10_000 // values that all aliases of a file may stand for
	maxRepairs    = 20
	maxReread     = 100_000 // lines that are parsed before the last repair
)

var anchorOrAlias = regexp.MustCompile(`(?:^|[\s\[{,:-])([&*])[^\s,\[\]{}&*]`)

// manyAnchors counts what may be an anchor or alias before YAML reads the text,
// which takes time that grows with their square.
func manyAnchors(t *text) (Finding, bool) {
	anchors, aliases := 0, 0
	for i, line := range t.lines {
		s := string(line)
		if !strings.ContainsAny(s, "&*") {
			continue
		}
		for _, m := range anchorOrAlias.FindAllStringSubmatchIndex(s, -1) {
			if s[m[2]] == '&' {
				anchors++
			} else {
				aliases++
			}
			if anchors > maxAnchors || aliases > maxAliasNodes {
				message := fmt.Sprintf("this file has more than %d anchors (&name) or %d aliases (*name)", maxAnchors, maxAliasNodes)
				return Finding{Pos: Pos{File: t.name, Line: i + 1, Col: utf8.RuneCountInString(s[:m[2]]) + 1}, Message: message, Hint: "write the values out"}, true
			}
		}
	}
	return Finding{}, false
}

// document reads a text as one YAML document. Traps that stop YAML are told
// and repaired, so that the mistakes behind them are found as well. The node is
// nil when nothing could be read.
func document(t *text) (*yaml.Node, []Finding) {
	if f, many := manyAnchors(t); many {
		t.guarded = true
		return nil, []Finding{f}
	}
	var found []Finding
	read := 0
	for {
		root, err := parse(t.source())
		if err == nil {
			root, more := single(t, root)
			return root, append(found, more...)
		}
		read += len(t.lines) // reading again and again costs as much each time
		trap, repaired := repairTrap(t, err)
		if !repaired || len(found) >= maxRepairs || read > maxReread {
			t.guarded = true
			return nil, append(found, syntaxFinding(t, err))
		}
		found = append(found, trap)
	}
}

// parse gives the documents of a text, as a list of at most two.
func parse(source string) ([]*yaml.Node, *yaml.LoadError) {
	loader, err := yaml.NewLoader(strings.NewReader(source))
	if err != nil {
		return nil, &yaml.LoadError{Message: "cannot be read"}
	}
	var docs []*yaml.Node
	for len(docs) < 2 {
		var n yaml.Node
		err := loader.Load(&n)
		if errors.Is(err, io.EOF) {
			break
		}
		var syntax *yaml.LoadError
		if errors.As(err, &syntax) {
			return nil, syntax
		}
		if err != nil {
			return nil, &yaml.LoadError{Message: "cannot be read"}
		}
		docs = append(docs, &n)
	}
	return docs, nil
}

// single takes the one document there may be and replaces its aliases.
func single(t *text, docs []*yaml.Node) (*yaml.Node, []Finding) {
	switch {
	case len(docs) > 1:
		f := Finding{
			Pos: t.pos(docs[1].Line, docs[1].Column), Width: 3,
			Message: "a second document starts here, and only one is read",
			Hint:    "remove the --- and join the two",
		}
		return nil, []Finding{f}
	case len(docs) == 0 || len(docs[0].Content) == 0 || docs[0].Content[0].ShortTag() == "!!null":
		f := Finding{
			Pos: Pos{File: t.name, Line: 1, Col: 1}, Message: "the file is empty",
			Hint: `the least it needs is destinations: {dev: "${MATTERMOST_URL}"} and routes: [{to: dev}]`,
		}
		return nil, []Finding{f}
	}
	root := docs[0].Content[0]
	x := expander{text: t, open: map[*yaml.Node]bool{}}
	root = x.expand(root, false)
	return root, x.found
}

// expander replaces aliases by what they stand for, up to a bound.
type expander struct {
	text  *text
	open  map[*yaml.Node]bool // anchored nodes that are being expanded
	made  int
	found []Finding
}

func (x *expander) expand(n *yaml.Node, copied bool) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		switch {
		case x.open[n.Alias]:
			return x.refuse(n, fmt.Sprintf("*%s stands inside its own anchor", n.Value))
		case x.made < maxAliasNodes:
			x.open[n.Alias] = true
			out := x.expand(n.Alias, true)
			delete(x.open, n.Alias)
			if x.made < maxAliasNodes {
				return out
			}
		}
		return x.refuse(n, fmt.Sprintf("the aliases of this file stand for more than %d values", maxAliasNodes))
	}
	out := n
	if copied {
		x.made++
		c := *n
		c.Content = make([]*yaml.Node, len(n.Content))
		out = &c
	}
	if n.Anchor != "" && !copied {
		x.open[n] = true
		defer delete(x.open, n)
	}
	for i, c := range n.Content {
		if copied && x.made >= maxAliasNodes {
			return refused(n)
		}
		out.Content[i] = x.expand(c, copied)
	}
	return out
}

// refusedTag marks a value that has its finding already.
const refusedTag = "!!relay-refused"

func (x *expander) refuse(n *yaml.Node, message string) *yaml.Node {
	if len(x.found) == 0 {
		x.found = append(x.found, Finding{
			Pos: x.text.pos(n.Line, n.Column), Width: len(n.Value) + 1,
			Message: message, Hint: "write the values out",
		})
	}
	return refused(n)
}

func refused(n *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: refusedTag, Line: n.Line, Column: n.Column}
}

// readable tells what keeps a file from being read as text at all.
func readable(name string, data []byte) *Finding {
	at := func(i int) Pos {
		head := lineBreaks.Replace(string(data[:i]))
		return Pos{File: name, Line: strings.Count(head, "\n") + 1, Col: utf8.RuneCountInString(head[strings.LastIndexByte(head, '\n')+1:]) + 1}
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return &Finding{Pos: at(i), Message: "the file is not UTF-8 text", Hint: "save it as UTF-8"}
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			return &Finding{Pos: at(i), Message: fmt.Sprintf("control character U+%04X", r), Hint: "remove it"}
		}
		i += size
	}
	return nil
}

// syntaxFinding tells where YAML stopped, in plain words.
func syntaxFinding(t *text, err *yaml.LoadError) Finding {
	line, col := err.Mark.Line, err.Mark.Column
	message, hint := err.Message, ""
	open := err.ContextMark.Line > 0 && err.ContextMark.Line != line
	switch {
	case strings.Contains(err.ContextMsg, "flow sequence"):
		message, hint = "this [ is never closed, or a comma is missing", "close it with ], or separate the values with commas"
		line, col = err.ContextMark.Line, err.ContextMark.Column
	case strings.Contains(err.ContextMsg, "flow mapping"):
		message, hint = "this { is never closed, or a comma is missing", "close it with }, or separate the keys with commas"
		line, col = err.ContextMark.Line, err.ContextMark.Column
	case strings.Contains(err.ContextMsg, "quoted scalar"):
		message, hint = "this quote is never closed", "close it, or escape it"
		line, col = err.ContextMark.Line, err.ContextMark.Column
	case strings.HasPrefix(strings.TrimLeft(string(t.after(line-1, 0)), " "), "\t"):
		message, hint = "a tab indents this line, where YAML takes only spaces", "replace the tab by spaces"
		col = indent(t.after(line-1, 0)) + 1
	case strings.Contains(err.Message, "mapping values are not allowed"):
		message, hint = "a key is not expected here", "is the line indented as its neighbours are, and does the key above it end in a colon?"
	case strings.Contains(err.ContextMsg, "block") && open:
		message, hint = "this line does not fit the lines above it", "is it indented as its neighbours are, and is every quote above it closed?"
	case strings.Contains(err.Message, "could not find expected ':'"):
		message, hint = "this line has no colon", "write key: value"
	}
	return Finding{Pos: t.pos(line, col), Message: "not YAML: " + message, Hint: hint}
}
