package configs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// reader turns nodes into values and gathers what is wrong with them.
type reader struct {
	*loading

	text  *text
	dir   string // where relative paths start
	found []Finding

	included bool      // by the file that was named
	fence    *Fence    // what an included file is bound to; may be nil
	may      allowance // the variables of an included file; nil: all

	lists     map[string]*namedList // of this file
	listNames []string              // in its order
	standFor  int                   // values that the $names so far stand for

	times      map[string]*namedTimes // of this file
	timesNames []string
}

// loading is what the readers of a file and of those that it includes share.
type loading struct {
	Reading
	cfg   *Config // as far as it is read
	env   Env
	loose bool      // secrets may be missing: see [Inspect]
	found []Finding // of the files that are read to their end

	inclusions []inclusion // the files so far, the one that includes them first
	allowed    allowance   // what the entry of include that is read now allows
	known      *people     // of all files but those of a fence
	visits     int         // that globs may still make; see visiting
	mainLists  []string    // the names of the main file's lists
	mainTimes  []string    // and of its times

	// lostAddress: an address could not be read, and may have named anything.
	lostAddress bool
}

// value is one scalar of the file, expanded, with its place.
type value struct {
	text string
	node *yaml.Node

	missing bool // a secret that is not at hand; its text is a placeholder
}

// shown is the value as a sentence may show it: as written, so that no variable
// of the environment appears, and without URLs.
func (v value) shown() string { return harmless(v.node.Value) }

// written is the value as the file has it, where the environment gave it
// another one; else empty.
func (v value) written() string {
	if v.text == v.node.Value {
		return ""
	}
	return v.shown()
}

func harmless(s string) string { return clip(anyURL.ReplaceAllString(s, redacted)) }

// field is a key of a map with its value.
type field struct{ key, value *yaml.Node }

// object is a map of the file: its known keys, each once.
type object struct {
	node   *yaml.Node
	where  string // `destination "ops"`
	fields map[string]field
	order  []string
	meant  map[string]bool // what unknown keys seem to mean
}

func (o object) has(key string) bool { _, ok := o.fields[key]; return ok }

func (r *reader) pos(n *yaml.Node) Pos { return r.text.pos(n.Line, n.Column) }

const maxFindings = 200 // of one file

// tooMany ends the reading of a file that has too many mistakes.
type tooMany struct{}

// add takes a finding. Beyond maxFindings the rest of the file is not read: nobody
// reads so many, and each costs time.
func (r *reader) add(f Finding) {
	if len(r.found) >= maxFindings {
		panic(tooMany{})
	}
	r.found = append(r.found, f)
}

// bounded reads a file, or as much of it as has not too many mistakes.
func (r *reader) bounded(read func()) {
	defer func() {
		switch p := recover(); p.(type) {
		case nil:
		case tooMany:
			r.lostAddress = true
			r.found = append(r.found, Finding{Pos: Pos{File: r.text.name}, Message: fmt.Sprintf("there are more than %d mistakes, and the rest of the file was not read", maxFindings)})
		default:
			panic(p)
		}
	}()
	read()
}

func (r *reader) errorf(n *yaml.Node, hint, format string, args ...any) {
	r.report(Error, n, hint, format, args...)
}

func (r *reader) warnf(n *yaml.Node, hint, format string, args ...any) {
	r.report(Warning, n, hint, format, args...)
}

func (r *reader) report(severity Severity, n *yaml.Node, hint, format string, args ...any) {
	f := Finding{Pos: r.pos(n), Severity: severity, Message: fmt.Sprintf(format, args...), Hint: hint, Width: 1}
	if n.Kind == yaml.ScalarNode {
		s := r.text.firstSpan(n)
		f.Width = min(s.to, len(r.text.line(s.line))) - s.from
	}
	r.add(f)
}

// object reads a map with these keys. Anything else is told, and left out.
func (r *reader) object(n *yaml.Node, where string, allowed keyTable) (object, bool) {
	o, ok := r.entries(n, where)
	if !ok {
		return o, false
	}
	order := o.order
	o.order = nil
	for _, key := range order {
		if allowed.has(key) {
			o.order = append(o.order, key)
			continue
		}
		hint := "the keys here are " + strings.Join(allowed.names(), ", ")
		if s := sentence(key, allowed); s != "" {
			hint = s
		} else if s := suggestKey(key, allowed); s != "" {
			hint, o.meant[s] = fmt.Sprintf("did you mean %q?", s), true
		} else if s := elsewhere(key, allowed); s != "" {
			hint = s
		}
		r.errorf(o.fields[key].key, hint, "unknown key %q in %s", harmless(key), where)
		delete(o.fields, key)
	}
	return o, true
}

// entries reads a map whose keys are names of the file's own.
func (r *reader) entries(n *yaml.Node, where string) (object, bool) {
	o := object{node: n, where: where, fields: map[string]field{}, meant: map[string]bool{}}
	if n.Tag == refusedTag {
		return o, false
	}
	if n.Kind != yaml.MappingNode {
		r.errorf(n, "write it as keys and values", "%s must be a map, not %s", where, called(n))
		return o, false
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			r.errorf(key, "write the keys out, or put common ones under defaults", "merge keys (<<) are not read")
		case key.Kind != yaml.ScalarNode:
			r.errorf(key, "", "a key of %s must be a text", where)
		case o.has(key.Value):
			r.errorf(key, fmt.Sprintf("the first one is in line %d", o.fields[key.Value].key.Line), "key %q stands twice in %s", harmless(key.Value), where)
		default:
			o.fields[key.Value] = field{key, val}
			o.order = append(o.order, key.Value)
		}
	}
	return o, true
}

// nothing refuses a map without keys, which has no effect.
func (r *reader) nothing(f field, where string) {
	if isMap(f.value) && len(f.value.Content) == 0 {
		r.errorf(f.key, "give it a key, or remove it", "%s is empty", where)
	}
}

func isMap(n *yaml.Node) bool { return n.Kind == yaml.MappingNode }

// called names what a node is.
func called(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a map"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "nothing"
	}
	return "a single value"
}

// list reads a key that takes one value or a list of them.
func (r *reader) list(o object, key string) ([]value, bool) { return r.listBy(r.text1, o, key) }

func (r *reader) listBy(read reading, o object, key string) ([]value, bool) {
	f, ok := o.fields[key]
	if !ok {
		return nil, false
	}
	what := fmt.Sprintf("%s of %s", key, o.where)
	switch f.value.Kind {
	case yaml.MappingNode:
		r.errorf(f.value, "", "%s must be a value or a list of values, not a map", what)
		return nil, false
	case yaml.ScalarNode:
		v, ok := read(f.value, f.key, what)
		if !ok {
			return nil, false
		}
		return []value{v}, true
	}
	if len(f.value.Content) == 0 {
		r.errorf(f.key, "give it a value, or remove it", "%s is empty", what)
		return nil, false
	}
	var out []value
	for _, item := range f.value.Content {
		if v, ok := read(item, nil, "an entry of "+what); ok {
			out = append(out, v)
		}
	}
	return out, len(out) > 0
}

// truth reads true or false.
func (r *reader) truth(o object, key string) bool {
	v, ok := r.scalar(o, key)
	if !ok {
		return false
	}
	switch v.text {
	case "true":
		return true
	case "false":
		return false
	}
	hint := ""
	switch strings.ToLower(v.text) {
	case "yes", "on", "y", "1", "true":
		hint = "did you mean true?"
	case "no", "off", "n", "0", "false":
		hint = "did you mean false?"
	}
	r.errorf(v.node, hint, "%s of %s takes true or false", key, o.where)
	return false
}

// number reads a whole number within bounds.
func (r *reader) number(o object, key string, low, high, missing int) int {
	v, ok := r.scalar(o, key)
	if !ok {
		return missing
	}
	n, err := strconv.Atoi(v.text)
	if err != nil || n < low || n > high {
		r.errorf(v.node, "", "%s of %s takes a whole number from %d to %d", key, o.where, low, high)
		return missing
	}
	return n
}

// word reads one of a few words.
func (r *reader) word(o object, key, missing string, words ...string) string {
	v, ok := r.scalar(o, key)
	if !ok {
		return missing
	}
	if slices.Contains(words, v.text) {
		return v.text
	}
	hint := "it takes " + strings.Join(words, ", ")
	if s := Suggest(strings.ToLower(v.text), words); s != "" || slices.Contains(words, strings.ToLower(v.text)) {
		if s == "" {
			s = strings.ToLower(v.text)
		}
		hint = fmt.Sprintf("did you mean %q?", s)
	}
	r.errorf(v.node, hint, "unknown %s %q in %s", key, v.shown(), o.where)
	return missing
}
