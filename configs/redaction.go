package configs

import (
	"iter"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

var secretKeys = []string{"url", "token", "signing_key", "password"}

// isSecretKey tells whether a key's value is a secret, also when the key is
// mistyped.
func isSecretKey(key string) bool {
	key = strings.ToLower(key)
	if strings.HasSuffix(key, "_file") {
		return false
	}
	return slices.ContainsFunc(secretKeys, func(s string) bool {
		return key == s || strings.Contains(key, s) || Suggest(key, []string{s}) != ""
	}) || strings.Contains(key, "secret") || strings.Contains(key, "webhook")
}

// markSecrets notes where secrets stand, before anything is told about the
// file: the values of secret keys wherever they are, the short form of
// destinations, and a text where a source should be a map.
func (t *text) markSecrets(n *yaml.Node, path ...string) {
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			t.markSecrets(c, path...)
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		inside := path // of which two keys count
		if len(path) < 2 {
			inside = append(slices.Clone(path), key.Value)
		}
		named := len(path) == 1 && value.Kind == yaml.MappingNode && (path[0] == "destinations" || path[0] == "sources")
		misplaced := value.Kind != yaml.MappingNode && (len(path) == 0 && key.Value == "sources" || len(path) == 1 && path[0] == "sources" || key.Value == "basic")
		switch {
		case misplaced:
			t.hide(value) // a secret, likely, where a map should be
		case named, len(path) == 1 && path[0] == "users":
			t.markSecrets(value, inside...) // its key is a name of the file's own
		case isSecretKey(key.Value),
			value.Kind == yaml.ScalarNode && len(path) == 1 && (Suggest(path[0], []string{"destinations", "sources"}) != "" || path[0] == "destinations" || path[0] == "sources"):
			t.hide(value)
		case key.Value == "icon" && value.Kind == yaml.ScalarNode:
			t.public[value.Line-1] = append(t.public[value.Line-1], t.firstSpan(value).span)
		default:
			t.markSecrets(value, inside...)
		}
	}
}

// hide marks every value in a node as secret.
func (t *text) hide(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode {
		for i, c := range n.Content {
			if n.Kind == yaml.SequenceNode || i%2 == 1 {
				t.hide(c)
			}
		}
		return
	}
	if n.Tag == "!!null" && n.Value == "" || onlyVariable.MatchString(n.Value) {
		return // the name of a variable is no secret
	}
	// Of https://chat.example/hooks/${ID} the end is the secret.
	t.clear = t.clear || !endsInVariable.MatchString(n.Value)
	depth := -1 // of the lines below the first
	for s := range t.spans(n) {
		if s.line > n.Line-1 {
			if depth < 0 {
				depth = s.from
			}
			if s.line < t.below[depth] {
				return // hidden already, with a text above
			}
			t.below[depth] = s.line + 1
		}
		t.secret[s.line] = append(t.secret[s.line], s.span)
	}
}

type lineSpan struct {
	line int
	span
}

// spans is where a scalar stands in the file, the first line first.
func (t *text) spans(n *yaml.Node) iter.Seq[lineSpan] {
	line, col := n.Line-1, n.Column-1
	rest := t.after(line, col)
	one := func(length int) iter.Seq[lineSpan] {
		return func(yield func(lineSpan) bool) {
			yield(lineSpan{line, span{t.column(line, col), t.column(line, col+length)}})
		}
	}
	switch {
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 && len(rest) > 0 && (rest[0] == '"' || rest[0] == '\''):
		s := lineScanner{line: rest}
		if s.skipQuoted(rest[0]) {
			return one(s.at)
		}
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 && startsWith(rest, n.Value):
		return one(len([]rune(n.Value)))
	}
	return t.spansBelow(line, col)
}

// firstSpan is where a scalar begins.
func (t *text) firstSpan(n *yaml.Node) lineSpan {
	for s := range t.spans(n) {
		return s
	}
	return lineSpan{} // there is always a first one
}

// spansBelow covers a text over several lines: all that is left of the first,
// and the lines below it as far as they are indented like the next one.
func (t *text) spansBelow(line, col int) iter.Seq[lineSpan] {
	return func(yield func(lineSpan) bool) {
		if !yield(lineSpan{line, span{t.column(line, col), wholeLine}}) {
			return
		}
		depth := -1
		for i := line + 1; i < len(t.fixed); i++ {
			l := t.fixed[i]
			if strings.TrimSpace(string(l)) == "" {
				continue
			}
			if depth < 0 {
				depth = indent(l)
			}
			if indent(l) < depth || depth == 0 || !yield(lineSpan{i, span{indent(l), wholeLine}}) {
				return
			}
		}
	}
}

var endsInVariable = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)
