package formatters

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
)

// The names of the built-in sets.
const (
	Standard = configs.SetStandard
	Classic  = configs.SetClassic // the words of the service that this one succeeds
)

//go:embed templates/*.md.tmpl
var standardFiles embed.FS

//go:embed classic/*.md.tmpl
var classicFiles embed.FS

// templateSuffix ends the names of files with templates.
const templateSuffix = ".md.tmpl"

// maxFile is the most that a file of templates may hold, in bytes.
const maxFile = 256 << 10

// file is a file of templates.
type file struct {
	base string // its name: "push.md.tmpl", "_commit.md.tmpl"
	set  string // Standard, Classic, or the directory
	path string // where it is; empty for a built-in one
	text string
	turn int // of its set, in the order in which they are read
}

func (f file) name() string    { return strings.TrimSuffix(f.base, templateSuffix) }
func (f file) isPartial() bool { return strings.HasPrefix(f.base, "_") }
func (f file) isBuiltin() bool { return f.path == "" }

// timeless tells whether messages do not say how late they are.
func (f file) timeless() bool { return f.set == Classic }

// validName matches the names that templates may have.
var validName = regexp.MustCompile(`^_?[a-z0-9][a-z0-9_-]{0,62}$`)

// builtinFiles reads a built-in set.
func builtinFiles(set string) ([]file, error) {
	dir, name := standardFiles, "templates"
	if set == Classic {
		dir, name = classicFiles, "classic"
	}
	sub, err := fs.Sub(dir, name)
	if err != nil {
		return nil, fmt.Errorf("open the %s templates: %w", set, err)
	}
	files, _, err := readFiles(sub, set, "")
	return files, err
}

// readFiles reads the templates in a directory. What is wrong with a file's
// name or size is a finding at that file.
func readFiles(dir fs.FS, set, path string) (files []file, found []configs.Finding, err error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, nil, fmt.Errorf("read the templates: %w", err)
	}
	for _, e := range entries {
		base := e.Name()
		at := configs.Pos{File: filepath.Join(path, base)}
		switch {
		case strings.HasPrefix(base, "."):
			continue
		case !strings.HasSuffix(base, templateSuffix):
			if strings.HasSuffix(base, ".tmpl") {
				found = append(found, configs.Finding{Pos: at, Severity: configs.Warning,
					Message: base + " is not read: the names of templates end in " + templateSuffix})
			}
			continue
		case !validName.MatchString(strings.TrimSuffix(base, templateSuffix)):
			found = append(found, configs.Finding{Pos: at, Message: fmt.Sprintf("%q cannot be the name of a template", base),
				Hint: "a name is made of a-z, 0-9, _ and -, and starts with a letter or a digit"})
			continue
		}
		f := file{base: base, set: set}
		if path != "" {
			f.path = at.File
		}
		if f.text, err = readText(dir, base); err != nil {
			found = append(found, configs.Finding{Pos: at, Message: err.Error()})
			continue
		}
		files = append(files, f)
	}
	return files, found, nil
}

func readText(dir fs.FS, base string) (string, error) {
	info, err := fs.Stat(dir, base)
	if err != nil {
		return "", fmt.Errorf("read the template: %w", withoutPath(err))
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("this is no file")
	}
	if info.Size() > maxFile {
		return "", fmt.Errorf("the file is larger than %d KiB", maxFile>>10)
	}
	text, err := fs.ReadFile(dir, base)
	if err != nil {
		return "", fmt.Errorf("read the template: %w", withoutPath(err))
	}
	return string(text), nil
}

// withoutPath is an error about a file whose place is told beside it.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// directory reads the templates of one directory of relay.yaml.
func directory(path string, pos configs.Pos) ([]file, []configs.Finding) {
	files, found, err := readFiles(os.DirFS(path), path, path)
	if err != nil {
		return nil, []configs.Finding{{Pos: pos, Message: fmt.Sprintf("the templates in %s cannot be read: %s", path, withoutPath(errors.Unwrap(err)))}}
	}
	return files, found
}

// Template describes one file of templates of a [Set].
type Template struct {
	Name    string // "push", "docs_push", "_commit"
	Kind    bool   // used for all events of that kind that no route gives another
	Partial bool   // called by others
	Set     string // Standard, Classic, or the directory
	Path    string // of the file; empty for a built-in one
	Text    string
}

func (f file) describe() Template {
	return Template{
		Name: f.name(), Kind: slices.Contains(kinds, f.name()), Partial: f.isPartial(),
		Set: f.set, Path: f.path, Text: f.text,
	}
}

// Templates lists the files of a set by name; of those that replace each other
// only the one that is used.
func (s *Set) Templates() []Template {
	var list []Template
	for _, base := range slices.Sorted(maps.Keys(s.files)) {
		list = append(list, s.files[base].describe())
	}
	return list
}

// Template finds the file of that name.
func (s *Set) Template(name string) (Template, bool) {
	f, ok := s.files[name+templateSuffix]
	return f.describe(), ok
}

// Builtin finds the built-in file of that name, also if a directory replaces it.
func (s *Set) Builtin(name string) (Template, bool) {
	f, ok := s.shipped[name+templateSuffix]
	return f.describe(), ok
}

// FileName is the name of the file in a directory.
func (t Template) FileName() string { return t.Name + templateSuffix }
