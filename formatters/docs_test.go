package formatters

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// docsFile is the documentation of templates. What stands below the mark in it
// is written from the source.
const (
	docsFile = "../docs/templates.md"
	docsMark = "<!-- Below this line: go test ./formatters -run TestDocs -update -->\n"
)

// TestDocs keeps the reference in docs/templates.md as the source is.
func TestDocs(t *testing.T) {
	old, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	intro, was, ok := strings.Cut(string(old), docsMark)
	if !ok {
		t.Fatalf("%s has lost its mark", docsFile)
	}
	d := readSource(t)
	now := "\n" + d.data() + d.functions(t) + d.builtin(t)
	if *update {
		if err := os.WriteFile(docsFile, []byte(intro+docsMark+now), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(was, now); diff != "" {
		t.Errorf("the reference is not as the source is (-docs +source)\n%s", diff)
	}
}

// TestDocsExamples compiles every template that the hand-written part shows.
func TestDocsExamples(t *testing.T) {
	text, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	intro, _, _ := strings.Cut(string(text), docsMark)
	blocks := regexp.MustCompile("(?s)```gotemplate\n(.*?)```").FindAllStringSubmatch(intro, -1)
	if len(blocks) < 3 {
		t.Errorf("only %d examples", len(blocks))
	}
	for _, b := range blocks {
		dir := t.TempDir()
		name := "docs_push"
		if strings.Contains(b[1], `define "commit"`) {
			name = "_commit"
		}
		if err := os.WriteFile(dir+"/"+name+templateSuffix, []byte(b[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, found := Compile(&configs.Config{Templates: []string{dir}}); len(found) > 0 {
			t.Errorf("%s\n%v", b[1], found)
		}
	}
}

// sourceDocs is what the source says of the types that templates meet.
type sourceDocs struct {
	types   map[string]*ast.TypeSpec
	docs    map[string]string // of types
	methods map[string][]*ast.FuncDecl
}

func readSource(t *testing.T) *sourceDocs {
	t.Helper()
	d := &sourceDocs{types: map[string]*ast.TypeSpec{}, docs: map[string]string{}, methods: map[string][]*ast.FuncDecl{}}
	set := token.NewFileSet()
	for _, name := range []string{"data.go", "parts.go", "pipeline.go", "document.go"} {
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			switch decl := decl.(type) {
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok {
						d.types[ts.Name.Name] = ts
						d.docs[ts.Name.Name] = decl.Doc.Text()
					}
				}
			case *ast.FuncDecl:
				if decl.Recv != nil && decl.Name.IsExported() && len(decl.Type.Params.List) == 0 {
					name := strings.TrimLeft(types.ExprString(decl.Recv.List[0].Type), "*")
					d.methods[name] = append(d.methods[name], decl)
				}
			}
		}
	}
	return d
}

// data is the tables of fields: of the event, then of each type that it has.
func (d *sourceDocs) data() string {
	var b strings.Builder
	b.WriteString("## What a template gets\n\nThe dot is the event. Not every event has a field with `*`; ask for it first: `{{with .Push}}…{{end}}`.\n" +
		"A `text` is escaped when it is printed. `Markdown` is printed as it is.\n")
	b.WriteString(d.table("Data", "The event"))
	for _, name := range d.order() {
		b.WriteString(d.table(name, name))
	}
	return b.String()
}

// order lists the types of the event's fields, in their order, and then those
// of theirs.
func (d *sourceDocs) order() []string {
	var out []string
	add := func(expr ast.Expr) {
		name := strings.TrimLeft(types.ExprString(expr), "[]*")
		ts, ok := d.types[name]
		if !ok || slices.Contains(out, name) || name == "Data" {
			return
		}
		if _, ok := ts.Type.(*ast.StructType); ok && name != "Document" {
			out = append(out, name)
		}
	}
	for i := -1; i < len(out); i++ {
		name := "Data"
		if i >= 0 {
			name = out[i]
		}
		for _, f := range d.types[name].Type.(*ast.StructType).Fields.List {
			if f.Names[0].IsExported() {
				add(f.Type)
			}
		}
		for _, m := range d.methods[name] {
			add(m.Type.Results.List[0].Type)
		}
	}
	return out
}

// table is one type.
func (d *sourceDocs) table(name, title string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n", title)
	if name != "Data" {
		text := sentence(d.docs[name], name)
		fmt.Fprintf(&b, "%s.\n\n", strings.ToUpper(text[:1])+text[1:])
	}
	b.WriteString("| field | type | |\n|---|---|---|\n")
	row := func(field string, typ ast.Expr, comment string) {
		fmt.Fprintf(&b, "| `.%s` | %s | %s |\n", field, typeName(typ), strings.ReplaceAll(comment, "|", `\|`))
	}
	for _, f := range d.types[name].Type.(*ast.StructType).Fields.List {
		for _, n := range f.Names {
			if n.IsExported() {
				row(n.Name, f.Type, strings.TrimSpace(f.Comment.Text()))
			}
		}
	}
	for _, m := range d.methods[name] {
		if m.Name.Name != "String" {
			row(m.Name.Name, m.Type.Results.List[0].Type, sentence(m.Doc.Text(), m.Name.Name))
		}
	}
	return b.String()
}

// sentence is a doc comment on one line, without the name that starts it.
func sentence(doc, name string) string {
	s := strings.Join(strings.Fields(doc), " ")
	for _, start := range []string{name + " is ", name + " are ", name + " tells whether "} {
		if rest, ok := strings.CutPrefix(s, start); ok {
			if strings.HasSuffix(start, "whether ") {
				rest = "whether " + rest
			}
			s = rest
			break
		}
	}
	s = regexp.MustCompile(`\[([a-z]+\.)?(\w+)\]`).ReplaceAllString(s, "$2")
	return strings.TrimSuffix(s, ".")
}

func typeName(e ast.Expr) string {
	s := types.ExprString(e)
	list := strings.HasPrefix(s, "[]")
	star := strings.HasPrefix(s, "*")
	s = strings.TrimLeft(s, "[]*")
	switch s {
	case "Text":
		s = "text"
	case "Document":
		s = "long text"
	case "URL":
		s = "address"
	case "int", "int64":
		s = "number"
	case "bool":
		s = "true or false"
	case "time.Time":
		s = "time"
	case "time.Duration":
		s = "duration"
	case "map[string]any":
		s = "JSON"
	case "string":
		s = "word"
	case "Markdown":
	default:
		s = "[" + s + "](#" + strings.ToLower(s) + ")"
	}
	switch {
	case list:
		return "list of " + s
	case star && !strings.HasPrefix(s, "long"):
		return s + " *"
	}
	return s
}

var (
	functionGroup = regexp.MustCompile(`^\t// (.*)$`)
	functionLine  = regexp.MustCompile(`^\t"(\w+)":\s+\w+,(?:\s+// (\{\{.*?\}\})(?:, (\{\{.*?\}\}))*(?:: (.*))?)?$`)
)

// functions is the table of functions, from the comments in funcs.go.
func (d *sourceDocs) functions(t *testing.T) string {
	src, err := os.ReadFile("funcs.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(src), "var functions = template.FuncMap{\n")
	body, _, _ = strings.Cut(body, "\n}\n")
	var b strings.Builder
	b.WriteString("\n## Functions\n\nTemplates can also call text/template's own `and`, `or`, `not`, `eq`, `ne`, `lt`, `le`, `gt`, `ge`, `len`, `index`, `slice`, and\n" +
		"`print`, `println` and `printf`, which print at most 64 KiB. No function reads files, the environment or the network.\n")
	group, listed := "", 0
	for line := range strings.SplitSeq(body, "\n") {
		if m := functionGroup.FindStringSubmatch(line); m != nil {
			group = strings.TrimSuffix(m[1], ".")
			continue
		}
		m := functionLine.FindStringSubmatch(line)
		if m == nil || m[2] == "" {
			continue
		}
		if group != "" {
			fmt.Fprintf(&b, "\n%s:\n\n| function | as in | |\n|---|---|---|\n", strings.ReplaceAll(group, ";", ","))
			group = ""
		}
		_, calls, _ := strings.Cut(line, "// ")
		what := ""
		if i := strings.LastIndex(calls, "}}: "); i >= 0 {
			calls, what = calls[:i+2], calls[i+4:]
		}
		what = strings.NewReplacer("<", `\<`, "{{", "`{{", "}}", "}}`").Replace(what)
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", m[1], strings.ReplaceAll(calls, "|", `\|`), what)
		listed++
	}
	if listed != len(functions)-3 {
		t.Errorf("%d functions are listed, of %d", listed, len(functions)-3)
	}
	return b.String()
}

// builtin is the template of each kind, with the parts that its events have.
func (d *sourceDocs) builtin(t *testing.T) string {
	set := newSet(t)
	var b strings.Builder
	b.WriteString("\n## The built-in templates\n\nThese are the files of the set `standard`; `relay templates show NAME` prints them, and those of `classic` too.\n" +
		"`other` writes every event whose kind has no template of its own.\n")
	for _, kind := range events.Kinds() {
		own, ok := set.own[kind]
		if !ok {
			continue
		}
		fmt.Fprintf(&b, "\n### %s%s\n\nEvents: %s.", kind, templateSuffix, eventList(kind))
		if parts := partsOfKind(kind); parts != "" {
			fmt.Fprintf(&b, " Parts: %s.", parts)
		}
		fmt.Fprintf(&b, "\n\n```gotemplate\n%s```\n", own.file.text)
	}
	b.WriteString("\n### Partials\n")
	for _, base := range slices.Sorted(maps.Keys(set.files)) {
		if f := set.files[base]; f.isPartial() {
			fmt.Fprintf(&b, "\n`%s`:\n\n```gotemplate\n%s```\n", base, f.text)
		}
	}
	return b.String()
}

func eventList(kind string) string {
	var names []string
	for _, name := range events.Names() {
		if name == kind || strings.HasPrefix(name, kind+".") {
			names = append(names, "`"+name+"`")
		}
	}
	return strings.Join(names, ", ")
}

// partsOfKind lists the parts that the samples of a kind have, those that not
// all have with "sometimes".
func partsOfKind(kind string) string {
	total, counts := 0, map[string]int{}
	var names []string
	for _, sample := range events.Samples() {
		e := decodeSample(sample)
		if e.Kind != kind {
			continue
		}
		total++
		v := reflect.ValueOf(newData(Request{Event: e})).Elem()
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || f.Type.Kind() != reflect.Pointer || v.Field(i).IsNil() {
				continue
			}
			if counts[f.Name] == 0 {
				names = append(names, f.Name)
			}
			counts[f.Name]++
		}
	}
	var out []string
	for _, name := range names {
		s := fmt.Sprintf("`.%s`", name)
		if counts[name] < total {
			s += " (not always)"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}
