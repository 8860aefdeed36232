package configs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Fence bounds what the routes of an included file may do.
type Fence struct {
	Pos      Pos
	Projects *List     // the only projects they may route; nil: all
	To       []Pattern // the only addresses they may route to; none: all
}

const maxIncluded = 1000 // files

// inclusion is the files that are read so far, to find one that comes twice.
type inclusion struct {
	path string
	info fs.FileInfo
}

// include reads `include`: globs, or {files, projects, to}.
func (r *reader) include(top object) {
	f, ok := top.fields["include"]
	if !ok {
		return
	}
	entries := []*yaml.Node{f.value}
	if f.value.Kind == yaml.SequenceNode {
		entries = f.value.Content
		if len(entries) == 0 {
			r.errorf(f.key, "give it a value, or remove it", "include is empty")
		}
	}
	for _, n := range entries {
		if !isMap(n) {
			if v, ok := r.text1(n, f.key, "include"); ok {
				r.includeFiles(v, nil)
			}
			continue
		}
		r.includeFenced(n)
	}
}

func (r *reader) includeFenced(n *yaml.Node) {
	const where = "an entry of include"
	o, ok := r.object(n, where, includeKeys)
	if !ok {
		return
	}
	fence := &Fence{Pos: r.pos(n), Projects: r.conditionList(o, "projects")}
	fence.To, _ = r.patterns(o, "to")
	for _, p := range fence.To {
		r.fenceAddress(p)
	}
	if !o.has("projects") && !o.has("to") {
		fence = nil
	}
	if !o.has("files") && !o.meant["files"] {
		r.errorf(n, "add files: with a glob", "%s names no files", where)
	}
	files, _ := r.list(o, "files")
	for _, v := range files {
		r.includeFiles(v, fence)
	}
}

// fenceAddress checks a pattern of addresses.
func (r *reader) fenceAddress(p Pattern) {
	wrong := func(message, hint string) {
		r.found = append(r.found, Finding{Pos: p.Pos, Message: message, Hint: hint, Width: len([]rune(p.Text))})
	}
	if _, err := path.Match(p.Text, ""); err != nil {
		wrong(fmt.Sprintf("%q is no pattern of addresses", harmless(p.Text)), "for example mm#pay-*")
		return
	}
	name, _, _ := strings.Cut(strings.ReplaceAll(p.Text, "@", "#"), "#")
	names := r.destinationNames()
	if len(names) == 0 || strings.ContainsAny(name, `*?[\`) || slices.Contains(names, name) {
		return
	}
	hint := "there is " + clip(strings.Join(names, ", "))
	if s := Suggest(name, names); s != "" {
		hint = fmt.Sprintf("did you mean %q?", s+strings.TrimPrefix(p.Text, name))
	}
	wrong(fmt.Sprintf("unknown destination %q in to of an entry of include", harmless(name)), hint)
}

// includeFiles reads the files that a glob matches, in order of their names.
func (r *reader) includeFiles(v value, fence *Fence) {
	glob := r.path(v.text)
	magic := strings.ContainsAny(v.text, `*?[{\`)
	if v.text == "" {
		r.errorf(v.node, "", "a file of include is empty")
		return
	}
	paths := []string{glob}
	if magic {
		var err error
		if paths, err = r.glob(glob); err != nil {
			r.errorf(v.node, "for example routes.d/*.yaml", "%q is no glob", v.shown())
			return
		}
		if len(paths) == 0 {
			severity := Error
			if fence != nil {
				severity = Warning // whoever removes a file there stops nobody else
			}
			r.report(severity, v.node, "write such a file, or remove the entry", "no file matches %q", v.shown())
			return
		}
		slices.Sort(paths)
	}
	for _, p := range paths {
		r.includeFile(p, v, fence)
	}
}

func (r *reader) includeFile(name string, v value, fence *Fence) {
	if text, instead := r.Instead[name]; instead {
		r.read(name)
		r.readInstead(name, text, fence)
		return
	}
	again := slices.Contains(r.cfg.Files, name)
	data, message, hint := r.included1(name, v)
	switch {
	case message == "":
		r.loading.readIncluded(name, data, fence)
	case fence != nil && !again:
		r.refused(name, fence, message, hint)
	default:
		r.errorf(v.node, hint, "%s", message)
	}
}

// included1 is what an included file holds, or why it cannot be included.
func (r *reader) included1(name string, v value) (data []byte, message, hint string) {
	info, err := os.Stat(r.at(name))
	switch {
	case err != nil:
		r.read(name)
		return nil, fmt.Sprintf("%q of include: %s", v.shown(), reason(err)), ""
	case info.IsDir():
		return nil, fmt.Sprintf("%q of include is a folder", v.shown()), fmt.Sprintf("did you mean %q?", strings.TrimSuffix(v.shown(), "/")+"/*.yaml")
	case len(r.inclusions) > maxIncluded:
		return nil, fmt.Sprintf("include takes %d files at most", maxIncluded), "join some of them"
	}
	for i, other := range r.inclusions {
		if !os.SameFile(info, other.info) {
			continue
		}
		if i == 0 {
			return nil, "the file includes itself", "keep the files that it includes in a folder of their own"
		}
		return nil, other.path + " is included twice", "name it once"
	}
	r.inclusions = append(r.inclusions, inclusion{name, info})
	r.read(name)
	if data, err = readFile(r.at(name)); err != nil {
		return nil, fmt.Sprintf("%q of include: %s", v.shown(), reason(err)), ""
	}
	return data, "", ""
}

// readIncluded reads an included file.
func (l *loading) readIncluded(name string, data []byte, fence *Fence) {
	l.fenced(name, fence)
	r, root := l.open(name, data)
	r.included, r.fence = true, fence
	if root != nil {
		if top, ok := r.object(root, "an included file", includedKeys); ok {
			r.users(top)
			l.cfg.Routes = append(l.cfg.Routes, r.routes(top)...)
			l.cfg.Tests = append(l.cfg.Tests, r.tests(top)...)
		} else {
			l.lostAddress = true
		}
	} else {
		l.lostAddress = true
	}
	l.close(r)
}

// within checks that a route of an included file may route to an address.
func (r *reader) within(to To, v value, where string) {
	if r.fence == nil || len(r.fence.To) == 0 {
		return
	}
	if r.fence.Permits(to.Address, r.cfg.Destination(to.Address.Destination)) {
		return
	}
	var may []string
	for _, p := range r.fence.To {
		may = append(may, p.Text)
	}
	hint := fmt.Sprintf("%s lets it route to %s", r.fence.Pos, strings.Join(may, ", "))
	r.errorf(v.node, hint, "this file may not route to %q, in to of %s", v.shown(), where)
}

// Permits tells whether the fence lets its file route to an address. The
// destination's own channel also goes by its name. d may be nil.
func (f *Fence) Permits(a Address, d *Destination) bool {
	own := a
	if own.Channel == "" && d != nil {
		own.Channel = d.Channel
	}
	return len(f.To) == 0 || slices.ContainsFunc(f.To, func(p Pattern) bool {
		plain, _ := path.Match(p.Text, a.String()) // a bad pattern was reported when the file was loaded
		named, _ := path.Match(p.Text, own.String())
		return plain || named
	})
}
