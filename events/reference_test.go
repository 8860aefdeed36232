package events

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// referenceFile is the page that tells what events there are and what they hold.
var referenceFile = filepath.Join("..", "docs", "events.md")

const referenceHead = `<!-- Made by "go test ./events -run TestReference -update" from events/event.go and events/testdata. Do not edit. -->

# Events

GitLab sends a webhook, the relay makes an event of it. This page lists every event, and what an event holds.

An event's name is its kind, or kind and action with a dot between: ` + "`push`, `merge_request.open`, `pipeline.failed`" + `. Routes choose events by these names; a kind alone stands for all its events: ` + "`push` for `push.create` and `push.delete` too. The plain event alone, without those, is the regular expression `/^push$/`, or `/^tag_push$/`" + `.

- An action that is not listed here keeps GitLab's word, in lower case: ` + "`deployment.paused`" + `.
- An event of a kind that is not listed is ` + "`other`, with GitLab's word for it: `other.design`" + `.
- The **Test** button of GitLab sends a real event of the project, often an old one, and nothing marks it. Some GitLab versions leave its action out: the event is then ` + "`merge_request`, `issue` or `release`" + ` alone, which is in the set ` + "`standard`" + `, and its message tells its state.
- *Since* is the GitLab version that sends it first, where GitLab's documentation names one.
- Triggers have the names of GitLab's API; the page with a webhook's settings has them in words.

`

const fieldsHead = `# Fields

What GitLab does not send is empty: no text, the number 0, false, an empty list. The relay reads what it can, from any version of GitLab; what it cannot read is named in ` + "`warnings`" + `.

These are the names that conditions (` + "`if`" + `) use: ` + "`pipeline.duration > 1800`" + ` is true of a pipeline that ran for more than half an hour. Seconds are a number.

`

const botsText = `# Bots

GitLab does not tell whether a user is a bot; the relay goes by the username, without regard to case. Bots are

- the users of access tokens: ` + "`project_42_bot_…` and `group_42_bot_…`" + `,
- usernames that end with %s,
- usernames that begin with the word %s,
- %s.

`

const confidentialText = `# What is confidential

A confidential event goes only where [` + "`confidential`" + `](routing.md#confidential-issues) lets it. In doubt an event is confidential: GitLab does not mark everything that it should, for example comments on the designs of a confidential issue.

| Event | Confidential |
|---|---|
| any event | if ` + "`X-Gitlab-Event` or `event_type`" + ` says so, or any key ` + "`confidential`" + ` in it is not false |
| an update of an issue | also if the issue was confidential before (` + "`changes.confidential`" + `) |
| an issue or another work item | unless GitLab says that it is not, by its own key, ` + "`event_type`" + ` or header |
| a comment on an issue | likewise |
| a comment on a merge request, commit or snippet | only if it is internal, or something else in the payload is confidential |
| a comment on anything else: a design, epic, wiki page, alert, vulnerability | unless the payload has an issue or epic that says that it is not |
| a reaction | like a comment on the same thing; a reaction to an internal comment always |
| ` + "`vulnerability`" + ` | always |
| ` + "`other`" + ` | if a key ` + "`internal`" + ` is true, or it is about a work item, design or alert that is not marked as public |

`

// kindRow is what a person wrote about a kind, nameRow about an event.
type kindRow struct{ kind, triggers, hooks, since, meaning string }
type nameRow struct{ name, since, meaning string }

// TestReference keeps docs/events.md as it would be made now.
func TestReference(t *testing.T) {
	page := referencePage(t)
	if *update {
		if err := os.MkdirAll(filepath.Dir(referenceFile), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	compareGolden(t, referenceFile, page)
}

func referencePage(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(referenceHead)
	kinds, names := referenceKinds(t), referenceNames(t)
	b.WriteString("| Kind | Since | |\n|---|---|---|\n")
	for _, k := range kinds {
		meaning, _, _ := strings.Cut(k.meaning, ". ")
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s |\n", k.kind, k.kind, k.since, strings.TrimSuffix(meaning, ".")+".")
	}
	for _, k := range kinds {
		writeKind(&b, k, names)
	}
	b.WriteString("\n" + confidentialText + fieldsHead)
	writeFields(t, &b)
	fmt.Fprintf(&b, botsText, codes(botEndings, " or "), codes(botBeginnings, " or "), codes(botNames, " or "))
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// referenceKinds are the rows of kinds.tsv: one for each kind, in their order.
func referenceKinds(t *testing.T) []kindRow {
	t.Helper()
	table, err := os.ReadFile(filepath.Join("testdata", "kinds.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []kindRow
	var kinds []string
	for _, c := range tableRows(t, table, 5) {
		rows = append(rows, kindRow{c[0], c[1], c[2], c[3], c[4]})
		kinds = append(kinds, c[0])
	}
	if !slices.Equal(kinds, Kinds()) {
		t.Errorf("kinds.tsv has %q, want %q", kinds, Kinds())
	}
	return rows
}

// referenceNames are the rows of names.tsv: one for each event, in their order.
func referenceNames(t *testing.T) []nameRow {
	t.Helper()
	table, err := os.ReadFile(filepath.Join("testdata", "names.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []nameRow
	var names []string
	for _, c := range tableRows(t, table, 3) {
		rows = append(rows, nameRow{c[0], c[1], c[2]})
		names = append(names, c[0])
	}
	if !slices.Equal(names, Names()) {
		t.Errorf("names.tsv has %q, want %q", names, Names())
	}
	return rows
}

func writeKind(b *strings.Builder, k kindRow, names []nameRow) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", k.kind, k.meaning)
	if k.kind == Other {
		return
	}
	sent := "Sent by " + k.hooks
	if k.triggers != "" {
		sent += " for the trigger " + codes(strings.Split(k.triggers, ", "), " or ")
	}
	sent += ", with `X-Gitlab-Event` " + codes(headersOf(k), " or ")
	if k.since != "" {
		sent += ", since GitLab " + k.since
	}
	fmt.Fprintf(b, "\n%s.\n\n", sent)
	names = slices.DeleteFunc(slices.Clone(names), func(n nameRow) bool {
		kind, _, _ := strings.Cut(n.name, ".")
		return kind != k.kind
	})
	if !slices.ContainsFunc(names, func(n nameRow) bool { return n.since != "" }) {
		b.WriteString("| Event | |\n|---|---|\n")
		for _, n := range names {
			fmt.Fprintf(b, "| `%s` | %s |\n", n.name, n.meaning)
		}
		return
	}
	b.WriteString("| Event | Since | |\n|---|---|---|\n")
	for _, n := range names {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", n.name, n.since, n.meaning)
	}
}

func headersOf(k kindRow) []string {
	headers := []string{headerOf[k.kind]}
	if strings.Contains(k.triggers, "confidential_") {
		headers = append(headers, "Confidential "+headerOf[k.kind])
	}
	if k.kind == Job {
		headers = append(headers, "Build Hook")
	}
	if k.kind != System && strings.Contains(k.hooks, "system") {
		headers = append(headers, headerOf[System])
	}
	return headers
}

// codes lists words as code: with commas, but last before the last.
func codes(words []string, last string) string {
	var out []string
	for _, w := range words {
		out = append(out, "`"+w+"`")
	}
	if len(out) < 2 {
		return strings.Join(out, "")
	}
	return strings.Join(out[:len(out)-1], ", ") + last + out[len(out)-1]
}

// structType is a type of event.go.
type structType struct {
	name, doc string
	fields    []structField
}

type structField struct {
	name, doc string
	typ       string // the Go type, without * and []
	list      bool
	pointer   bool
	computed  bool
}

func writeFields(t *testing.T, b *strings.Builder) {
	t.Helper()
	types := eventTypes(t)
	for _, s := range types {
		prefix := prefixOf(s, types)
		fmt.Fprintf(b, "## Fields of %s\n\n%s\n", titleOf(s, types), s.doc)
		if places := placesOf(s, types); len(places) > 1 || len(places) == 1 && places[0] != strings.TrimSuffix(prefix, ".") {
			fmt.Fprintf(b, "\nIt is in %s.\n", codes(places, " and "))
		}
		b.WriteString("\n| Field | Type | |\n|---|---|---|\n")
		for _, f := range s.fields {
			name := snakeCase(f.name)
			if f.computed {
				name = computedName(f.name)
			}
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", prefix+name, typeWords(t, f, types), strings.ReplaceAll(f.doc, "|", `\|`))
		}
		b.WriteString("\n")
	}
}

// eventTypes are the structs of event.go, in their order.
func eventTypes(t *testing.T) []structType {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var types []structType
	methods := map[string][]structField{}
	for _, declaration := range file.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && slices.Contains(computed, f.Name.Name) {
			of, _ := goType(f.Recv.List[0].Type)
			methods[of] = append(methods[of], computedField(f))
		}
		general, ok := declaration.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		spec := general.Specs[0].(*ast.TypeSpec)
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		s := structType{name: spec.Name.Name, doc: plainDoc(general.Doc.Text())}
		s.doc = sentence(strings.TrimPrefix(s.doc, s.name+" is "))
		for _, f := range fields.Fields.List {
			for _, name := range f.Names {
				field := structField{name: name.Name, doc: plainDoc(f.Comment.Text() + f.Doc.Text())}
				field.typ, field.list = goType(f.Type)
				_, field.pointer = f.Type.(*ast.StarExpr)
				if field.typ == "byte" {
					continue // the payload, which is not read by field
				}
				if field.doc == "" {
					t.Errorf("%s.%s has no comment", s.name, field.name)
				}
				s.fields = append(s.fields, field)
			}
		}
		types = append(types, s)
	}
	for i := range types {
		types[i].fields = append(methods[types[i].name], types[i].fields...)
	}
	return types
}

// computedField is a field that a method gives, with the first sentence of its
// comment.
func computedField(f *ast.FuncDecl) structField {
	doc := plainDoc(f.Doc.Text())
	for _, verb := range []string{" is ", " are ", " tells ", " tells whether "} {
		doc = strings.TrimPrefix(doc, f.Name.Name+verb)
	}
	doc, _, _ = strings.Cut(doc, ". ")
	field := structField{name: f.Name.Name, doc: strings.TrimSuffix(doc, "."), computed: true}
	field.typ, field.list = goType(f.Type.Results.List[0].Type)
	return field
}

func goType(e ast.Expr) (name string, list bool) {
	switch e := e.(type) {
	case *ast.StarExpr:
		return goType(e.X)
	case *ast.ArrayType:
		name, _ = goType(e.Elt)
		return name, true
	case *ast.SelectorExpr:
		return e.X.(*ast.Ident).Name + "." + e.Sel.Name, false
	case *ast.Ident:
		return e.Name, false
	}
	return "", false
}

var docLink = regexp.MustCompile(`\[([A-Z]\w*[a-z]\w*)\]`)

// plainDoc is a comment on one line, without the links of Go's documentation.
func plainDoc(comment string) string {
	return docLink.ReplaceAllString(strings.Join(strings.Fields(comment), " "), "$1")
}

func sentence(s string) string {
	r := []rune(s)
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}

// prefixOf is what stands before the names of a type's fields: the place of the
// one that an event has itself.
func prefixOf(s structType, types []structType) string {
	for _, f := range types[0].fields {
		if f.typ == s.name && !f.list {
			return snakeCase(f.name) + "."
		}
	}
	return ""
}

// placesOf are all places where a type stands.
func placesOf(s structType, types []structType) []string {
	var places []string
	for _, parent := range types {
		prefix := prefixOf(parent, types)
		for _, f := range parent.fields {
			if f.typ == s.name {
				places = append(places, prefix+snakeCase(f.name))
			}
		}
	}
	return places
}

func titleOf(s structType, types []structType) string {
	if s.name == types[0].name {
		return "every event"
	}
	if prefix := prefixOf(s, types); prefix != "" && s.name != "User" {
		return strings.TrimSuffix(prefix, ".")
	}
	return "a " + strings.ToLower(s.name)
}

// typeWords is a field's type in the words of people who do not write Go.
func typeWords(t *testing.T, f structField, types []structType) string {
	t.Helper()
	words := map[string]string{
		"string": "text", "Address": "text", "LongText": "text", "SignedText": "text", "bool": "true or false", "int": "number", "int64": "number",
		"time.Time": "time, as `2026-12-01T09:30:00Z`", "time.Duration": "seconds",
	}[f.typ]
	for _, s := range types {
		if s.name == f.typ {
			title := titleOf(s, types)
			words = fmt.Sprintf("[%s](#fields-of-%s)", strings.TrimPrefix(title, "a "), strings.ReplaceAll(title, " ", "-"))
		}
	}
	if words == "" {
		t.Errorf("no words for the type of %s", f.name)
	}
	if f.list {
		words = "list of " + words
	}
	return words
}

func TestSnakeCase(t *testing.T) {
	for name, want := range map[string]string{
		"Kind": "kind", "URL": "url", "IID": "iid", "OnURL": "on_url", "GroupURL": "group_url", "SHA": "sha",
		"MergeRequest": "merge_request", "PipelineID": "pipeline_id", "OldRev": "old_rev", "URLPath": "url_path",
	} {
		if got := snakeCase(name); got != want {
			t.Errorf("snakeCase(%s) = %s, want %s", name, got, want)
		}
	}
}
