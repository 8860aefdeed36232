package configs

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Conditions is one when, except, ignore or only: of a when and an only all
// keys that are there must match, of the others any.
type Conditions struct {
	Pos            Pos
	Events         *List
	Sources        *List
	Projects       *List
	Visibility     *List
	Branches       *List
	TargetBranches *List
	Labels         *Labels
	Actors         *List
	Bots           *Flag
	Paths          *List
	Environments   *List
	Draft          *Flag
	Confidential   *Flag
	If             *Expression
	Times          *List    // of a route's when and except only
	Named          []*Times // what Times names
	Also           *List    // when only
}

// List is the values of one key, any of which may match.
type List struct {
	Key    string
	Pos    Pos // of the key
	Values []Pattern
}

// Labels is what an event's labels must be: any of these, none of those. At
// least one of the lists is there.
type Labels struct {
	Pos  Pos // of the key
	Any  *List
	None *List
}

// Flag is a key that takes true or false.
type Flag struct {
	Key   string
	Pos   Pos // of the key
	Value bool
}

// Expression is the text of an `if`.
type Expression struct {
	Text string
	Pos  Pos // of the text
	Key  Pos // of the key

	// Plain tells that the text stands in the file at Pos as it is, so that its
	// characters can be counted there.
	Plain bool
}

// Words of `also`: what is never posted unless a route says so.
const (
	AlsoEditedNotes       = "edited_notes"
	AlsoChildPipelines    = "child_pipelines"
	AlsoSystemNotes       = "system_notes"
	AlsoImmaterialUpdates = "immaterial_updates"
)

var (
	alsoWords       = []string{AlsoEditedNotes, AlsoChildPipelines, AlsoSystemNotes, AlsoImmaterialUpdates}
	visibilityWords = []string{"private", "internal", "public"}
)

// when reads the conditions of a when or only: a map, or a list of them.
func (r *reader) when(f field, where string, keys keyTable) []Conditions {
	if f.value.Kind != yaml.SequenceNode {
		if c, ok := r.conditions(f.value, f.key, where, keys); ok {
			return []Conditions{c}
		}
		return nil
	}
	if len(f.value.Content) == 0 {
		r.errorf(f.key, "give it a condition, or remove it", "%s is empty", where)
	}
	var out []Conditions
	for _, n := range f.value.Content {
		if c, ok := r.conditions(n, n, where, keys); ok {
			out = append(out, c)
		}
	}
	return out
}

// except reads the conditions of an except or ignore: one map.
func (r *reader) except(f field, where string, keys keyTable) *Conditions {
	if f.value.Kind == yaml.SequenceNode {
		r.errorf(f.key, "write one map: what any of its keys matches is left out; a combination is written as if", "%s cannot be a list", where)
		return nil
	}
	c, ok := r.conditions(f.value, f.key, where, keys)
	if !ok {
		return nil
	}
	return &c
}

func (r *reader) conditions(n, key *yaml.Node, where string, keys keyTable) (Conditions, bool) {
	c := Conditions{Pos: r.pos(n)}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" || n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.errorf(key, "give it a condition, or remove it", "%s is empty", where)
		return c, false
	}
	o, ok := r.object(n, where, keys)
	if !ok {
		return c, false
	}
	c.Events = r.conditionList(o, "events")
	c.Sources = r.wordList(o, "sources", r.sourceNames())
	c.Projects = r.conditionList(o, "projects")
	c.Visibility = r.wordList(o, "visibility", visibilityWords)
	c.Branches = r.conditionList(o, "branches")
	c.TargetBranches = r.conditionList(o, "target_branches")
	c.Labels = r.labels(o)
	c.Actors = r.conditionList(o, "actors")
	c.Bots = r.flag(o, "bots")
	c.Paths = r.conditionList(o, "paths")
	c.Environments = r.conditionList(o, "environments")
	c.Draft = r.flag(o, "draft")
	c.Confidential = r.flag(o, "confidential")
	c.If = r.expression(o)
	c.Times, c.Named = r.timesKey(o)
	c.Also = r.wordList(o, "also", alsoWords)
	return c, true
}

// sourceNames are the sources of the file, for the key `sources`.
func (r *reader) sourceNames() []string {
	names := make([]string, len(r.cfg.Sources))
	for i, s := range r.cfg.Sources {
		names[i] = s.Name
	}
	return names
}

// wordList reads a list of a few words.
func (r *reader) wordList(o object, key string, words []string) *List {
	list := r.conditionList(o, key)
	if list == nil {
		return nil
	}
	for _, p := range list.Values {
		if !slices.Contains(words, p.Text) {
			r.unknownWord(o, key, p, words)
		}
	}
	return list
}

func (r *reader) unknownWord(o object, key string, p Pattern, words []string) {
	hint := "it takes " + strings.Join(words, ", ")
	if low := strings.ToLower(p.Text); slices.Contains(words, low) {
		hint = fmt.Sprintf("did you mean %q?", low)
	} else if s := Suggest(low, words); s != "" {
		hint = fmt.Sprintf("did you mean %q?", s)
	}
	r.add(Finding{
		Pos: p.Pos, Message: fmt.Sprintf("unknown word %q in %s of %s", harmless(p.Text), key, o.where), Hint: hint,
		Width: utf8.RuneCountInString(p.Text),
	})
}

func (r *reader) conditionList(o object, key string) *List {
	f, ok := o.fields[key]
	if !ok {
		return nil
	}
	list := &List{Key: key, Pos: r.pos(f.key)}
	list.Values, ok = r.patterns(o, key)
	if !ok {
		return nil
	}
	return list
}

// patterns reads a list of patterns, none of them empty and none negated.
func (r *reader) patterns(o object, key string) ([]Pattern, bool) {
	values, ok := r.list(o, key)
	var out []Pattern
	for _, v := range values {
		switch {
		case strings.TrimSpace(v.text) == "":
			r.errorf(v.node, "give it a value, or remove it", "an entry of %s of %s is empty", key, o.where)
		case v.text[0] == '$' && !strings.HasPrefix(v.text, "${") && (key != "env" || o.where == "lists"):
			out = append(out, r.listed(o, key, v)...)
		case v.text[0] == '!':
			r.errorf(v.node, unnegated(key, v), "%q does not exclude anything: ! is not read, in %s of %s", v.shown(), key, o.where)
		default:
			out = append(out, Pattern{Text: v.text, Pos: r.pos(v.node), Written: v.written()})
		}
	}
	return out, ok && len(out) > 0
}

// unnegated tells what to write in place of a ! before a pattern.
func unnegated(key string, v value) string {
	wanted := strings.TrimSpace(v.shown()[1:])
	switch key {
	case "any", "none", "labels":
		return "write labels: {none: […]}; a label that starts with ! is /^!…/"
	case "projects", "events", "branches", "target_branches", "actors", "paths", "environments":
		if wanted != "" && v.text == v.node.Value {
			return fmt.Sprintf("write what to leave out into except, without the !: except: {%s: %q}", key, wanted)
		}
		return "write what to leave out into except, without the !"
	}
	return "write it without the !"
}

var labelKeys = keyTable{
	{"any", anyTexts, "one of these labels must be there"},
	{"none", anyTexts, "none of these labels may be there"},
}

// labels reads a list, which means any of it, or {any: […], none: […]}.
func (r *reader) labels(o object) *Labels {
	f, ok := o.fields["labels"]
	if !ok {
		return nil
	}
	out := &Labels{Pos: r.pos(f.key)}
	if f.value.Kind != yaml.MappingNode {
		if out.Any = r.conditionList(o, "labels"); out.Any == nil {
			return nil
		}
		return out
	}
	where := "labels of " + o.where
	in, ok := r.object(f.value, where, labelKeys)
	if !ok {
		return nil
	}
	if len(in.order) == 0 && len(f.value.Content) == 0 {
		r.errorf(f.key, "write any, none or both", "%s is empty", where)
	}
	out.Any, out.None = r.conditionList(in, "any"), r.conditionList(in, "none")
	if out.Any == nil && out.None == nil {
		return nil
	}
	return out
}

// flag reads true or false; nil when the key is not there.
func (r *reader) flag(o object, key string) *Flag {
	f, ok := o.fields[key]
	if !ok {
		return nil
	}
	wrong := len(r.found)
	flag := &Flag{Key: key, Pos: r.pos(f.key), Value: r.truth(o, key)}
	if len(r.found) > wrong {
		return nil
	}
	return flag
}

const maxExpression = 2000 // characters

// expression reads an `if`; package routes reads what it says.
func (r *reader) expression(o object) *Expression {
	v, ok := r.scalar(o, "if")
	if !ok {
		return nil
	}
	if strings.TrimSpace(v.text) == "" {
		r.errorf(o.fields["if"].key, "give it a condition, or remove it", "if of %s is empty", o.where)
		return nil
	}
	if utf8.RuneCountInString(v.text) > maxExpression {
		r.errorf(v.node, "split it into several routes", "if of %s is longer than %d characters", o.where, maxExpression)
		return nil
	}
	if r.cutByComment(v) {
		return nil
	}
	e := &Expression{Text: v.text, Pos: r.pos(v.node), Key: r.pos(o.fields["if"].key)}
	rest := r.text.after(v.node.Line-1, v.node.Column-1)
	switch {
	case startsWith(rest, v.text):
		e.Plain = true
	case len(rest) > 0 && (rest[0] == '"' || rest[0] == '\'') && startsWith(rest[1:], v.text):
		e.Plain, e.Pos = true, r.text.pos(v.node.Line, v.node.Column+1)
	}
	return e
}

// cutByComment tells of an expression whose rest YAML takes for a comment:
// `if: any(labels, # == "x")`.
func (r *reader) cutByComment(v value) bool {
	if v.node.Style != 0 || strings.Count(v.node.Value, "(") <= strings.Count(v.node.Value, ")") {
		return false
	}
	rest := r.text.after(v.node.Line-1, v.node.Column-1)
	if !startsWith(rest, v.node.Value) {
		return false
	}
	length := utf8.RuneCountInString(v.node.Value)
	comment := rest[length:]
	spaces := indent(comment)
	if spaces == 0 || spaces >= len(comment) || comment[spaces] != '#' {
		return false
	}
	meant := strings.TrimRight(string(rest), " \t")
	tr := trap{
		line: v.node.Line - 1, from: v.node.Column - 1, to: v.node.Column - 1 + utf8.RuneCountInString(meant), meant: meant, key: "if",
		why: fmt.Sprintf("# after a space starts a comment in YAML, so that only %s is left", v.shown()),
	}
	r.add(tr.finding(r.text))
	return true
}
