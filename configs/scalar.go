package configs

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// reading is a way to read one scalar: [reader.text1] or [reader.secretOf].
type reading func(n, before *yaml.Node, what string) (value, bool)

// scalar reads the text of a key.
func (r *reader) scalar(o object, key string) (value, bool) { return r.scalarBy(r.text1, o, key) }

func (r *reader) scalarBy(read reading, o object, key string) (value, bool) {
	f, ok := o.fields[key]
	if !ok {
		return value{}, false
	}
	return read(f.value, f.key, fmt.Sprintf("%s of %s", key, o.where))
}

// text1 reads one scalar; before is the node that it follows.
func (r *reader) text1(n, before *yaml.Node, what string) (value, bool) {
	if !r.single(n, before, what) {
		return value{}, false
	}
	s, errs := expand(n.Value, r.env, r.may)
	for _, err := range errs {
		if err.refused {
			err.message = what + " " + err.message
		}
		if hint, ok := r.asList(err.reference); ok {
			err.hint = hint
		}
		r.unexpanded(n, err)
	}
	return value{text: s, node: n}, len(errs) == 0
}

// single checks that a node is one text.
func (r *reader) single(n, before *yaml.Node, what string) bool {
	switch {
	case n.Tag == refusedTag:
		return false
	case n.Kind != yaml.ScalarNode:
		r.errorf(n, "", "%s must be a single value, not %s", what, called(n))
		return false
	case n.ShortTag() == "!!null":
		r.empty(n, before, what)
		return false
	case strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") || n.Tag == "!!binary":
		r.tag(n, before)
		return false
	}
	return true
}

// empty tells of a key without a value, and of `channel: #dev`.
func (r *reader) empty(n, before *yaml.Node, what string) {
	at, key := n, ""
	if before != nil {
		at = before
	}
	col := at.Column - 1
	rest := r.text.after(at.Line-1, col)
	if before != nil {
		i := slices.Index(rest, ':')
		key = before.Value
		rest, col = rest[min(i+1, len(rest)):], col+i+1
	}
	skip := len(rest) - len([]rune(strings.TrimLeft(string(rest), " -\t")))
	if word := glued(rest[skip:]); word != "" {
		tr := trap{
			line: at.Line - 1, from: col + skip, to: col + skip + len([]rune(word)), meant: word, key: key,
			why: "# starts a comment in YAML, so that the value is missing", destination: exampleOf(r.destinationNames()),
		}
		r.add(tr.finding(r.text))
		return
	}
	if before != nil {
		n = before
	}
	r.errorf(n, "give it a value, or remove it", "%s is empty", what)
}

// glued is the word that a text starts with if it is a # without a space.
func glued(rest []rune) string {
	if len(rest) < 2 || rest[0] != '#' || !isChannelRune(rest[1]) {
		return ""
	}
	end := 1
	for end < len(rest) && isChannelRune(rest[end]) {
		end++
	}
	return string(rest[:end])
}

// tag tells of `[!wip]`.
func (r *reader) tag(n, before *yaml.Node) {
	meant := strings.TrimSpace(n.Tag + " " + n.Value)
	tr := trap{
		line: n.Line - 1, from: n.Column - 1, to: n.Column - 1 + len([]rune(meant)), meant: meant,
		why: fmt.Sprintf("! starts a tag in YAML, so that %s is no text", clip(meant)),
	}
	if before != nil && before.Line == n.Line {
		tr.key = before.Value
	}
	f := tr.finding(r.text)
	if tr.key != "if" {
		f.Hint += "; to exclude something, write it in except"
	}
	r.add(f)
}

// unexpanded tells of a ${VAR} at its place in the value.
func (r *reader) unexpanded(n *yaml.Node, err expandError) {
	r.add(r.reference(n, err))
}

func (r *reader) reference(n *yaml.Node, err expandError) Finding {
	f := Finding{Pos: r.pos(n), Message: err.message, Hint: err.hint, Width: len([]rune(err.reference))}
	rest := string(r.text.after(n.Line-1, n.Column-1))
	if i := strings.Index(rest, err.reference); i >= 0 {
		f.Pos = r.text.pos(n.Line, n.Column+len([]rune(rest[:i])))
	}
	return f
}
