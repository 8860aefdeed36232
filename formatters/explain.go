package formatters

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	tree "text/template/parse"

	"github.com/gitlab-mattermost/relay/configs"
)

// mistake is what is wrong with a template, where, and what to do.
type mistake struct {
	file   string // its name: "push.md.tmpl"
	line   int    // from 1; 0 if it is the whole file
	col    int    // in bytes, from 0
	expr   string // what stands there; may be empty
	text   string
	hint   string
	lacks  bool // only because of what this event lacks
	named  bool // the text says for which event, or it is so for all
	mild   bool // a warning
	caller bool // it calls a template that is not there
}

// Error is the mistake on one line: "push.md.tmpl:3: there is no field Titel in
// the event; did you mean Title?".
func (m *mistake) Error() string {
	s := m.file
	if m.line > 0 {
		s += ":" + strconv.Itoa(m.line)
	}
	s += ": " + m.text
	if m.hint != "" {
		s += "; " + m.hint
	}
	return cutEnd(oneLine(s), 300)
}

// mistakeAt is a mistake at a node of a template.
func mistakeAt(t *tree.Tree, n tree.Node, text string) *mistake {
	place, _ := t.ErrorContext(n)
	m := &mistake{file: t.ParseName, text: text}
	if at := placePattern.FindStringSubmatch(place + ": "); at != nil {
		m.line, _ = strconv.Atoi(at[2])
		m.col, _ = strconv.Atoi(at[3])
	}
	return m
}

var (
	// placePattern matches the place at the start of text/template's errors:
	// "push.md.tmpl:3: …" or, with the column, "push.md.tmpl:3:5: …".
	placePattern = regexp.MustCompile(`(?s)^([^:]+):(\d+):(?:(\d+):)? ?(.*)$`)

	// executing matches what follows where a template fails while it runs:
	// `executing "body" at <.X>: what is wrong`.
	executing = regexp.MustCompile(`(?s)^executing "[^"]*" at <(.*?)>: (.*)$`)

	noField   = regexp.MustCompile(`^can't evaluate field (\w+) in type (\S+.*)$`)
	nilPart   = regexp.MustCompile(`^nil pointer evaluating \*?(\S+)\.(\w+)$`)
	noKey     = regexp.MustCompile(`^map has no entry for key "(.*)"$`)
	noFunc    = regexp.MustCompile(`^function "(\w+)" not defined$`)
	called    = regexp.MustCompile(`(?s)^error calling (\w+): (.*)$`)
	indexing  = regexp.MustCompile(`index out of range|index of nil|slice of nil`)
	nilCall   = regexp.MustCompile(`^error calling \w+: runtime error: invalid memory address`)
	argCount  = regexp.MustCompile(`^wrong number of args for (\w+): want (.*) got (\d+)$`)
	inMessage = regexp.MustCompile(`^unexpected "([^"]+)"`)
	ourTypes  = regexp.MustCompile(`(?:\[\])?\*?formatters\.\w+`)
)

// explain makes a mistake of an error of text/template's. event is the name of
// what was to be written; empty while a template is parsed.
func explain(err error, event string) *mistake {
	var m *mistake
	if errors.As(err, &m) {
		return m
	}
	s := strings.TrimPrefix(err.Error(), "template: ")
	m = &mistake{text: s}
	at := placePattern.FindStringSubmatch(s)
	if at == nil {
		m.file, m.text, _ = strings.Cut(s, ": ")
		return m
	}
	m.file, m.text = at[1], at[4]
	m.line, _ = strconv.Atoi(at[2])
	m.col, _ = strconv.Atoi(at[3])
	if x := executing.FindStringSubmatch(m.text); x != nil {
		m.expr, m.text = x[1], x[2]
		m.explainRun(event)
	} else {
		m.explainParse()
	}
	m.text = ourTypes.ReplaceAllStringFunc(m.text, func(s string) string { return typeWord(strings.ReplaceAll(s, "*", "")) })
	return m
}

// explainParse says what text/template's parser meant.
func (m *mistake) explainParse() {
	if f := noFunc.FindStringSubmatch(m.text); f != nil {
		m.expr, m.text = f[1], "there is no function "+f[1]
		m.suggest(f[1], functionNames())
		return
	}
	if m.text == "unexpected EOF" {
		m.text, m.hint = "the file ends too early", "an {{end}} is missing"
	}
	if t := inMessage.FindStringSubmatch(m.text); t != nil {
		m.expr = t[1]
	}
}

// explainRun says what failed while the template ran.
func (m *mistake) explainRun(event string) {
	if f := noField.FindStringSubmatch(m.text); f != nil {
		m.unknownField(f[1], f[2])
		return
	}
	if f := nilPart.FindStringSubmatch(m.text); f != nil {
		m.missingPart(f[1], f[2], event)
		return
	}
	if f := noKey.FindStringSubmatch(m.text); f != nil {
		m.lacks = true
		if strings.Contains(m.expr, ".Payload") {
			m.named = true
			m.text = fmt.Sprintf("the payload of %s has no %q there", event, f[1])
			m.hint = `{{get . "a.b"}} prints nothing where there is nothing`
			return
		}
		m.text = fmt.Sprintf("there is no %q in what was given", f[1])
		return
	}
	if nilCall.MatchString(m.text) {
		if at := strings.LastIndexByte(m.expr, '.'); at > 0 {
			part := m.expr[:at]
			m.missingPart(part[strings.LastIndexByte(part, '.')+1:], m.expr[at+1:], event)
			return
		}
	}
	m.lacks = indexing.MatchString(m.text)
	if f := argCount.FindStringSubmatch(m.text); f != nil {
		m.text = fmt.Sprintf("wrong number of values for %s: want %s, got %s", f[1], f[2], f[3])
		return
	}
	if f := called.FindStringSubmatch(m.text); f != nil {
		m.text = f[2]
		if !strings.HasPrefix(m.text, f[1]+": ") {
			m.text = f[1] + ": " + m.text
		}
		return
	}
	m.text = m.expr + ": " + m.text
}

// unknownField tells of a field that a type does not have.
func (m *mistake) unknownField(field, typ string) {
	typ = strings.TrimLeft(typ, "*")
	m.named = true
	m.text = fmt.Sprintf("there is no field %s in %s", field, typeWord(typ))
	m.lacks = strings.Contains(m.expr, ".Payload") // where the payload has another shape
	if strings.HasPrefix(typ, "[]") {
		m.hint = "go through a list with {{range}}"
		return
	}
	m.suggest(field, fieldsOf(typ))
}

// missingPart tells of a part that the event does not have.
func (m *mistake) missingPart(typ, field, event string) {
	if fields := fieldsOf(typ); fields != nil && !slices.Contains(fields, field) {
		m.unknownField(field, typ)
		return
	}
	name := strings.TrimPrefix(typ, "formatters.")
	part := strings.TrimSuffix(m.expr, "."+field)
	if !partExpr.MatchString(part) {
		part = "." + name
	}
	m.lacks, m.named = true, true
	m.text = fmt.Sprintf("%s has no %s", event, name)
	m.hint = fmt.Sprintf("put what needs it between {{with %s}} and {{end}}", part)
}

var partExpr = regexp.MustCompile(`^\$?\w*(?:\.\w+)+$`)

func (m *mistake) suggest(word string, candidates []string) {
	if s := suggest(word, candidates); s != "" {
		m.hint = "did you mean " + s + "?"
	}
}

// suggest finds what was meant, also where only capitals differ.
func suggest(word string, candidates []string) string {
	for _, c := range candidates {
		if c != word && strings.EqualFold(strings.ReplaceAll(c, "_", ""), strings.ReplaceAll(word, "_", "")) {
			return c
		}
	}
	return configs.Suggest(word, candidates)
}

// typeWord is what people call a type of ours.
func typeWord(typ string) string {
	switch name := strings.TrimPrefix(typ, "formatters."); {
	case strings.HasPrefix(typ, "[]"):
		return "a list"
	case name == "Data":
		return "the event"
	case strings.HasPrefix(name, "interface"), strings.HasPrefix(name, "map["):
		return "what was given"
	case name == "Text", name == "Markdown", name == "URL":
		return "a text"
	case name == "Document":
		return "a long text"
	case strings.HasPrefix(name, "time."):
		return "a " + strings.ToLower(strings.TrimPrefix(name, "time."))
	case strings.Contains("AEIO", name[:1]):
		return "an " + name
	default:
		return "a " + name
	}
}

// shapes are the types that templates meet, by name.
var shapes = func() map[string]reflect.Type {
	out := map[string]reflect.Type{}
	collect(reflect.TypeFor[*Data](), out)
	return out
}()

func collect(t reflect.Type, out map[string]reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if _, ok := out[t.String()]; ok || !strings.HasPrefix(t.String(), "formatters.") {
		return
	}
	out[t.String()] = t
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				collect(f.Type, out)
			}
		}
	}
	p := reflect.PointerTo(t)
	for i := range p.NumMethod() {
		if m := p.Method(i).Type; m.NumIn() == 1 && m.NumOut() > 0 {
			collect(m.Out(0), out)
		}
	}
}

// fieldsOf lists the fields and methods of a type that templates may name: those
// of all types for a type that is not known, nil for one that is not ours.
func fieldsOf(typ string) []string {
	if typ == "interface {}" {
		var names []string
		for t := range shapes {
			names = append(names, fieldsOf(t)...)
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	t, ok := shapes[typ]
	if !ok {
		return nil
	}
	names := []string{}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				names = append(names, f.Name)
			}
		}
	}
	p := reflect.PointerTo(t)
	for i := range p.NumMethod() {
		names = append(names, p.Method(i).Name)
	}
	return names
}

// builtinFunctions are those of text/template that templates may call.
var builtinFunctions = []string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice"}

func functionNames() []string {
	names := slices.Clone(builtinFunctions)
	for name := range functions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
