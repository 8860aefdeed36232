package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v4"
)

// Fence bounds what the routes of an included file may do.
type Fence struct {
	Pos      Pos
	Projects *List     // the only projects they may route; nil: all
	To       []Pattern // the only addresses they may route to; none: all
}

const (
	maxIncluded = 1000 // files of one glob
	maxFenced   = 100  // files of one glob of a fence
)

// maxOf is the bound of an entry with or without a fence.
func maxOf(fence *Fence, without, with int) int {
	if fence == nil {
		return without
	}
	return with
}

// inclusion is the files that are read so far, to find one that comes twice.
type inclusion struct {
	path string
	info fs.FileInfo
}

// include reads `include`: globs, or {files, projects, to, env}.
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
				r.allowed = variablesOf(r.pos(n), nil)
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
	names, _ := r.patterns(o, "env")
	for _, p := range names {
		r.variableNames(p)
	}
	r.allowed = variablesOf(r.pos(n), names)
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
		r.add(Finding{Pos: p.Pos, Message: message, Hint: hint, Width: len([]rune(p.Text))})
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

// variableNames checks a pattern of names of variables.
func (r *reader) variableNames(p Pattern) {
	_, err := path.Match(p.Text, "")
	switch bare := strings.NewReplacer("*", "", "?", "", "[", "", "]", "", "-", "").Replace(p.Text); {
	case err != nil, bare != "" && !variableName.MatchString("_"+bare):
		r.add(Finding{
			Pos: p.Pos, Message: fmt.Sprintf("%q is no pattern of names of environment variables", harmless(p.Text)), Hint: "for example PAY_*",
			Width: len([]rune(p.Text)),
		})
	case bare == "":
		r.add(Finding{
			Pos: p.Pos, Severity: Warning, Message: fmt.Sprintf("env: %q lets these files read and post every variable, secrets too", p.Text),
			Hint: "name those that they need, for example PAY_*", Width: len([]rune(p.Text)),
		})
	}
}

// variablesOf allows the variables that an entry of include names. Without any an
// included file reads none: whoever writes it could post what the environment
// holds.
func variablesOf(entry Pos, names []Pattern) allowance {
	return func(name string) *expandError {
		for _, p := range names {
			if ok, err := path.Match(p.Text, name); ok && err == nil {
				return nil
			}
		}
		return &expandError{
			refused: true, message: fmt.Sprintf("reads the environment variable %s, and an included file may not", clip(name)),
			hint: fmt.Sprintf("write the value out, or allow the variable at %s: {files: …, env: [%s]}", entry, clip(name)),
		}
	}
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
		if paths, err = r.glob(r.dir, glob, fence); err != nil {
			r.badGlob(v, fence, err)
			return
		}
		if len(paths) == 0 {
			r.report(ofFence(fence), v.node, "write such a file, or remove the entry", "no file matches %q", v.shown())
			return
		}
	}
	if most := maxOf(fence, maxIncluded, maxFenced); len(paths) > most {
		r.report(ofFence(fence), v.node, "join some of them, or write several entries", "%q of include is more than %d files, and none is read", v.shown(), most)
		return
	}
	for _, p := range paths {
		r.includeFile(p, v, fence)
	}
}

// ofFence is the severity of what the folder of an include holds. Whoever adds or
// removes files behind a fence must not stop the others.
func ofFence(fence *Fence) Severity {
	if fence != nil {
		return Warning
	}
	return Error
}

// badGlob tells why the files of a glob are not known.
func (r *reader) badGlob(v value, fence *Fence, err error) {
	switch {
	case errors.Is(err, errVisited):
		r.report(ofFence(fence), v.node, "name the folder of the files, for example routes.d/*.yaml", "%q of include looks at more than %d files and folders, and none is read", v.shown(), maxOf(fence, maxVisited, maxFencedVisits))
	case errors.Is(err, errAlternatives):
		r.errorf(v.node, "write several entries", "%q of include stands for more than %d globs", v.shown(), maxAlternatives)
	case errors.Is(err, doublestar.ErrBadPattern):
		r.errorf(v.node, "for example routes.d/*.yaml", "%q is no glob", v.shown())
	default:
		r.errorf(v.node, "", "%q of include: %s", v.shown(), reason(err))
	}
}

func (r *reader) includeFile(name string, v value, fence *Fence) {
	if text, instead := r.Instead[name]; instead {
		r.read(name)
		r.readInstead(name, text, fence)
		return
	}
	again := slices.Contains(r.cfg.Files, name)
	data, message, hint := r.included1(name, v, fence)
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
func (r *reader) included1(name string, v value, fence *Fence) (data []byte, message, hint string) {
	info, err := os.Stat(r.at(name))
	if fence != nil {
		data, info, err = readBeneath(r.at(r.dir), r.at(name))
	}
	switch {
	case err != nil:
		r.read(name)
		return nil, fmt.Sprintf("%q of include: %s", v.shown(), reason(err)), ""
	case len(data) > maxFenceBytes:
		r.read(name)
		return nil, fmt.Sprintf("%q of include is larger than %d KiB", v.shown(), maxFenceBytes>>10), "split it"
	case info.IsDir():
		return nil, fmt.Sprintf("%q of include is a folder", v.shown()), fmt.Sprintf("did you mean %q?", strings.TrimSuffix(v.shown(), "/")+"/*.yaml")
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
	if fence == nil {
		data, err = readFile(r.at(name))
	}
	if err != nil {
		return nil, fmt.Sprintf("%q of include: %s", v.shown(), reason(err)), ""
	}
	return data, "", ""
}

// readIncluded reads an included file.
func (l *loading) readIncluded(name string, data []byte, fence *Fence) {
	l.fenced(name, fence)
	r, root := l.open(name, data)
	r.included, r.fence, r.may = true, fence, l.allowed
	if fence == nil && linked(l.at(l.folder()), l.at(name)) {
		r.text.mute = true
		if root == nil || !hasKeys(root, includedKeys) {
			root, r.found = nil, []Finding{{
				Pos: Pos{File: name}, Message: "this file is reached through a link, and is no YAML with users, routes or tests",
				Hint: "check the file that the link leads to",
			}}
		}
	}
	l.lostAddress = l.lostAddress || root == nil
	if root != nil {
		r.bounded(func() { r.includedFile(root) })
	}
	l.close(r)
}

// includedFile reads what an included file may have.
func (r *reader) includedFile(root *yaml.Node) {
	top, ok := r.object(root, "an included file", includedKeys)
	if !ok {
		r.lostAddress = true
		return
	}
	r.readLists(top)
	r.readTimes(top)
	r.users(top)
	r.cfg.Routes = append(r.cfg.Routes, r.routes(top)...)
	r.cfg.Tests = append(r.cfg.Tests, r.tests(top)...)
	r.unusedLists()
	r.unusedTimes()
}

// folder is the main file's.
func (l *loading) folder() string { return filepath.Dir(l.inclusions[0].path) }

// hasKeys tells whether a node is a map with any of these keys.
func hasKeys(n *yaml.Node, keys keyTable) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Kind == yaml.MappingNode && keys.has(n.Content[i].Value) {
			return true
		}
	}
	return false
}

// within checks that a route of an included file may route to an address.
func (r *reader) within(to To, v value, where string) {
	if r.fence == nil || to.Placed() && r.fence.mayPermit(to) || !to.Placed() && r.fence.Permits(to.Address, r.cfg.Destination(to.Address.Destination)) {
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
