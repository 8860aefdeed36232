package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// surface is what a package offers to the others.
type surface struct {
	names   int            // exported names of the package
	methods map[string]int // exported methods of exported types
}

func surfaceOf(t *testing.T, folder string) surface {
	t.Helper()
	s := surface{methods: map[string]int{}}
	files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_on.go") { // the second shape of a name
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			s.add(d)
		}
	}
	return s
}

func (s *surface) add(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		switch on := receiver(d); {
		case !d.Name.IsExported():
		case on == "":
			s.names++
		case ast.IsExported(on):
			s.methods[on]++
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() {
					s.names++
				}
			case *ast.ValueSpec:
				for _, n := range spec.Names {
					if n.IsExported() {
						s.names++
					}
				}
			}
		}
	}
}

// receiver is the type that a method belongs to, or "".
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	on := f.Recv.List[0].Type
	if star, ok := on.(*ast.StarExpr); ok {
		on = star.X
	}
	if name, ok := on.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// What the queue offers may get smaller, and does not grow unnoticed: whoever raises
// a number here says why.
func TestSurfaceOfTheQueue(t *testing.T) {
	s := surfaceOf(t, "queue")
	all := 0
	for _, n := range s.methods {
		all += n
	}
	for _, c := range []struct {
		what      string
		got, most int
	}{
		{"methods of *Queue", s.methods["Queue"], 45},
		{"names", s.names, 92},
		{"methods", all, 74},
	} {
		if c.got > c.most {
			t.Errorf("package queue exports %d %s, at most %d are allowed", c.got, c.what, c.most)
		}
	}
}

// No file of the queue is longer than 400 lines.
func TestFilesOfTheQueueAreShort(t *testing.T) {
	err := filepath.WalkDir(filepath.Join(root, "queue"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".go" {
			return err
		}
		text, err := os.ReadFile(name)
		if n := strings.Count(string(text), "\n"); n > 400 {
			t.Errorf("%s has %d lines", name, n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
