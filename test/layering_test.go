// Package test holds the tests of the project as a whole: its layering, what it
// ships beside the code, and what its documentation promises. What one package
// does is tested beside that package.
package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// root is the module's root, seen from this folder.
const root = ".."

const module = "github.com/gitlab-mattermost/relay"

// layer is one folder with Go code, and which of our packages it may import.
type layer struct {
	folder string
	may    []string
	why    string // what a wrong import is answered with
}

// layers is the whole table: a folder that is not in it is reported too.
var layers = []layer{
	{"cmd/relay", []string{"server", "events", "queue", "dispatch", "routes", "formatters", "delivery", "configs", "gitlab"},
		"the commands wire everything together, and nothing of theirs is needed below"},
	{"server", []string{"events", "queue", "configs"},
		"the door proves the sender and stores: what it knew of routes or messages could refuse or delay a webhook"},
	{"dispatch", []string{"events", "routes", "queue", "delivery", "configs"},
		"the dispatcher hands deliveries to lanes and never waits: rendering and HTTP belong to them"},
	{"delivery", []string{"formatters", "queue", "events", "configs"},
		"a lane is told what goes where; it decides nothing, so it works for replays and probes alike"},
	{"routes", []string{"events", "configs"},
		"matching is pure, so that explain, check and test give the answer that the running relay gives"},
	{"formatters", []string{"events", "configs"},
		"rendering is pure, so that preview shows what would be posted"},
	{"gitlab", []string{"events", "configs"},
		"GitLab's own side is asked and changed by a client that is told what to want; how it connects is handed to it"},
	{"events", nil,
		"what GitLab says does not depend on what we do with it"},
	{"queue", nil,
		"the store keeps bytes: it must be able to read what any version wrote, whatever has changed above"},
	{"configs", nil,
		"the file is shape and places; what its words mean is told by the package that compiles them"},
	{"test", nil,
		"tests of the whole look from outside; only their _test.go files may import what they check"},
	{"test/chaos", []string{"test/chat", "test/cluster", "test/progress"},
		"what is measured from outside must not share what it measures: the relay is a binary to it"},
	{"deploy/grafana", nil,
		"it prints a dashboard from a table; what it names is compared with a running relay"},
	{"test/chat", nil,
		"the chat server stands outside the relay and must not share its mistakes"},
	{"test/cluster", nil,
		"the NATS cluster stands outside the relay, as an operator's does"},
	{"test/gitlab", nil,
		"the GitLab stands outside the relay and must not share its mistakes"},
	{"test/progress", nil,
		"how far a measurement is does not depend on what is measured"},
	{"test/load", []string{"events", "formatters", "configs", "test/progress"},
		"what the relay is compared with decodes and writes alike; the relay itself is measured from outside"},
}

// forbidden are folder names that say nothing about what is in them.
var forbidden = []string{"internal", "pkg", "utils", "util", "common", "models", "types", "helpers", "shared", "lib", "base"}

func TestLayering(t *testing.T) {
	problems, err := checkLayers(os.DirFS(root), layers)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
	for _, l := range layers {
		if _, err := os.Stat(path.Join(root, l.folder)); err != nil {
			t.Errorf("%s is in the table of layers but not in the tree", l.folder)
		}
	}
}

// TestLayeringFinds feeds wrong trees to the check, which would otherwise be
// green also when it looks at nothing.
func TestLayeringFinds(t *testing.T) {
	file := func(src string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(src)} }
	tests := []struct {
		name string
		tree fstest.MapFS
		want []string
	}{
		{"all is well", fstest.MapFS{
			"routes/doc.go":            file("// Package routes owns who wants to know.\npackage routes\n"),
			"routes/table.go":          file("package routes\n\nimport _ \"" + module + "/events\"\n"),
			"routes/table_test.go":     file("package routes\n\nimport _ \"" + module + "/server\"\n"),
			"routes/testdata/x/bad.go": file("package bad\n\nimport _ \"" + module + "/server\"\n"),
			"cmd/relay/main.go":        file("// Relay relays.\npackage main\n"),
		}, nil},
		{"an import the wrong way", fstest.MapFS{
			"events/event.go": file("// Package events is told.\npackage events\n\nimport (\n\t\"fmt\"\n\t\"" + module + "/queue\"\n)\n"),
		}, []string{"events/event.go:6: events imports queue: what GitLab says does not depend on what we do with it"}},
		{"a subpackage counts as its layer", fstest.MapFS{
			"queue/doc.go":       file("// Package queue is told.\npackage queue\n"),
			"queue/wire/wire.go": file("// Package wire is told.\npackage wire\n\nimport _ \"" + module + "/events\"\n"),
		}, []string{"queue/wire/wire.go:4: queue/wire imports events: the store keeps bytes: it must be able to read what any version wrote, whatever has changed above"}},
		{"an import of a folder nobody knows", fstest.MapFS{
			"server/doc.go": file("// Package server is told.\npackage server\n\nimport _ \"" + module + "/extra\"\n"),
		}, []string{"server/doc.go:4: server imports extra: the door proves the sender and stores: what it knew of routes or messages could refuse or delay a webhook"}},
		{"a folder nobody knows", fstest.MapFS{
			"extra/extra.go": file("// Package extra is extra.\npackage extra\n"),
		}, []string{"extra: not in the table of layers: say what it may import, and why"}},
		{"a name that says nothing", fstest.MapFS{
			"events/utils/x.go": file("// Package utils is anything.\npackage utils\n"),
		}, []string{"events/utils: a folder called utils says nothing about what is in it"}},
		{"no package comment", fstest.MapFS{
			"events/event.go":      file("package events\n"),
			"events/event_test.go": file("// Package events has its comment in a test only.\npackage events\n"),
		}, []string{"events: package events has no package comment"}},
		{"no Go", fstest.MapFS{
			"events/event.go": file("pakage events\n"),
		}, []string{"events/event.go:1:1: expected 'package', found pakage"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := checkLayers(tt.tree, layers)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// checkLayers parses the package and import clauses of all Go files that end up
// in the binary. It reads the files itself: a test that asks `go list` is
// answered from the test cache when only other packages' files changed.
func checkLayers(tree fs.FS, table []layer) ([]string, error) {
	var problems []string
	comments := map[string]bool{} // folder with Go code: whether its package has a comment
	names := map[string]string{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if skipped(entry.Name()) {
				return fs.SkipDir
			}
			if slices.Contains(forbidden, entry.Name()) {
				problems = append(problems, fmt.Sprintf("%s: a folder called %s says nothing about what is in it", name, entry.Name()))
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, found, err := checkFile(tree, table, name)
		if err != nil {
			return err
		}
		problems = append(problems, found...)
		if file != nil {
			folder := path.Dir(name)
			comments[folder] = comments[folder] || strings.TrimSpace(file.Doc.Text()) != ""
			names[folder] = file.Name.Name
		}
		return nil
	})
	for folder, has := range comments {
		if layerOf(table, folder) == nil {
			problems = append(problems, folder+": not in the table of layers: say what it may import, and why")
		}
		if !has {
			problems = append(problems, fmt.Sprintf("%s: package %s has no package comment", folder, names[folder]))
		}
	}
	slices.Sort(problems)
	return problems, err
}

// skipped tells of the folders that the go command leaves out too.
func skipped(folder string) bool {
	return folder == "testdata" || folder == "vendor" || folder == "node_modules" ||
		folder != "." && (folder[0] == '.' || folder[0] == '_')
}

// checkFile finds the imports of ours that a file may not have. A file that is
// no Go is a problem, not an error.
func checkFile(tree fs.FS, table []layer, name string) (*ast.File, []string, error) {
	src, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, nil, err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, src, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return nil, []string{err.Error()}, nil
	}
	folder := path.Dir(name)
	from := layerOf(table, folder)
	if from == nil {
		return file, nil, nil // reported once for the folder
	}
	var problems []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, nil, err
		}
		to, ours := strings.CutPrefix(imported, module+"/")
		if !ours || within(to, from.folder) || slices.ContainsFunc(from.may, func(may string) bool { return within(to, may) }) {
			continue
		}
		problems = append(problems, fmt.Sprintf("%s:%d: %s imports %s: %s", name, set.Position(spec.Pos()).Line, folder, to, from.why))
	}
	return file, problems, nil
}

// layerOf is the row of the innermost folder of the table that holds this one.
func layerOf(table []layer, folder string) *layer {
	var found *layer
	for i := range table {
		if within(folder, table[i].folder) && (found == nil || len(table[i].folder) > len(found.folder)) {
			found = &table[i]
		}
	}
	return found
}

func within(folder, outer string) bool {
	return folder == outer || strings.HasPrefix(folder, outer+"/")
}
