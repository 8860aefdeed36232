package formatters

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
	tree "text/template/parse"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// New compiles the standard set.
func New() (*Set, error) {
	set, found := Compile(&configs.Config{})
	if configs.HasErrors(found) {
		return nil, fmt.Errorf("compile the standard templates: %s", found[0].Message)
	}
	return set, nil
}

// Compile compiles the templates that a configuration names, later ones
// replacing earlier ones file by file, over the standard set. Every template
// from a directory is tried with the built-in samples. The set is usable also
// when errors were found: what is wrong is left out of it.
func Compile(cfg *configs.Config) (*Set, []configs.Finding) {
	files, shipped, found := gather(cfg)
	s := &Set{files: files, shipped: shipped}
	builtin, mistakes := compileFiles(shipped)
	s.builtin = builtin
	own := mistakes
	if s.own = builtin; !maps.Equal(files, shipped) {
		s.own, own = compileFiles(files)
		if slices.ContainsFunc(own, func(m *mistake) bool { return !m.mild && files[m.file].isPartial() }) {
			own = slices.DeleteFunc(own, func(m *mistake) bool { return m.caller }) // of what the partial would define
		} else {
			own = append(own, s.try()...)
		}
	}
	return s, append(found, findings(own, files)...)
}

// gather reads the files of all sets, in order; shipped are the built-in ones
// among them.
func gather(cfg *configs.Config) (files, shipped map[string]file, found []configs.Finding) {
	files, shipped = map[string]file{}, map[string]file{}
	for turn, name := range append([]string{Standard}, cfg.Templates...) {
		var pos configs.Pos
		if turn > 0 && turn <= len(cfg.TemplatesPos) {
			pos = cfg.TemplatesPos[turn-1]
		}
		var read []file
		var more []configs.Finding
		if name == Standard || name == Classic {
			var err error
			if read, err = builtinFiles(name); err != nil {
				more = []configs.Finding{{Pos: pos, Message: err.Error()}}
			}
		} else {
			read, more = directory(name, pos)
		}
		found = append(found, more...)
		for _, f := range read {
			f.turn = turn
			files[f.base] = f
			if f.isBuiltin() {
				shipped[f.base] = f
			}
		}
	}
	return files, shipped, found
}

// compileFiles compiles files to templates: each with all partials, of which
// those of later sets win.
func compileFiles(files map[string]file) (map[string]*compiled, []*mistake) {
	order := slices.SortedFunc(maps.Values(files), func(a, b file) int {
		return cmp.Or(cmp.Compare(a.turn, b.turn), cmp.Compare(a.base, b.base))
	})
	var mistakes []*mistake
	partials := template.New("").Option("missingkey=error").Funcs(functions)
	for _, f := range order {
		if f.isPartial() {
			mistakes = append(mistakes, parseFile(partials, f)...)
		}
	}
	out := map[string]*compiled{}
	for _, f := range order {
		if f.isPartial() {
			continue
		}
		t, wrong := compileFile(partials, f)
		mistakes = append(mistakes, wrong...)
		if t != nil {
			out[t.name] = t
		}
	}
	return out, mistakes
}

// parseFile adds what a file defines.
func parseFile(into *template.Template, f file) []*mistake {
	t, err := into.New(f.base).Parse(f.text)
	if err != nil {
		return []*mistake{explain(err, "")}
	}
	if t.Tree == nil || f.isBuiltin() {
		return nil
	}
	for _, n := range t.Root.Nodes {
		if !tree.IsEmptyTree(n) {
			m := mistakeAt(t.Tree, n, "what stands outside of {{define}} is never shown")
			m.mild = true
			return []*mistake{m}
		}
	}
	return nil
}

// compileFile compiles one template; nil if it cannot be used.
func compileFile(partials *template.Template, f file) (*compiled, []*mistake) {
	t, err := partials.Clone()
	if err != nil {
		return nil, []*mistake{{file: f.base, text: err.Error()}}
	}
	mistakes := parseFile(t, f)
	if slices.ContainsFunc(mistakes, func(m *mistake) bool { return !m.mild }) {
		return nil, mistakes
	}
	k := &compiled{name: f.name(), file: f, actions: map[string]parts{}}
	if t.Lookup("headline") == nil {
		return nil, []*mistake{{file: f.base, text: "it defines no headline", hint: `write {{define "headline"}}…{{end}}`}}
	}
	if m := guard(t); m != nil {
		return nil, []*mistake{m}
	}
	k.parts = parts{newPart(t.Lookup("headline")), newPart(t.Lookup("body")), newPart(t.Lookup("color"))}
	for _, one := range t.Templates() {
		if part, action, ok := strings.Cut(one.Name(), "."); ok {
			k.define(part, action, one)
		}
	}
	if !f.isBuiltin() {
		mistakes = append(append(mistakes, k.unused(t)...), k.unknownFields(t)...)
	}
	return k, mistakes
}

// partNames are what a template defines to be shown.
var partNames = []string{"headline", "body", "color"}

// define sets one part for one action.
func (k *compiled) define(part, action string, t *template.Template) {
	p, ok := k.actions[action]
	if !ok {
		p = k.parts
	}
	switch part {
	case "headline":
		p.headline = newPart(t)
	case "body":
		p.body = newPart(t)
	case "color":
		p.color = newPart(t)
	default:
		return
	}
	k.actions[action] = p
}

// unused finds parts that are never shown because their names are mistyped.
func (k *compiled) unused(t *template.Template) []*mistake {
	var out []*mistake
	for _, one := range t.Templates() {
		if one.Tree == nil || one.ParseName != k.file.base || one.Name() == k.file.base {
			continue
		}
		part, action, _ := strings.Cut(one.Name(), ".")
		meant := ""
		switch {
		case !slices.Contains(partNames, part):
			if p := suggest(part, partNames); p != "" && !calls(t, one.Name()) {
				meant = strings.Replace(one.Name(), part, p, 1)
			}
		case action != "" && !slices.Contains(events.Actions(k.name), action):
			if a := suggest(action, events.Actions(k.name)); a != "" {
				meant = part + "." + a
			}
		}
		if meant != "" {
			m := mistakeAt(one.Tree, one.Root, fmt.Sprintf("%q is never used", one.Name()))
			m.expr, m.hint, m.mild = strconv.Quote(one.Name()), "did you mean "+meant+"?", true
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *mistake) int { return cmp.Compare(a.line, b.line) })
	return out
}

// calls tells whether any template calls the one of that name.
func calls(t *template.Template, name string) bool {
	for _, one := range t.Templates() {
		if one.Tree == nil || one.Root == nil {
			continue
		}
		g := guardian{}
		g.list(one.Root)
		if slices.ContainsFunc(g.calls, func(c *tree.TemplateNode) bool { return c.Name == name }) {
			return true
		}
	}
	return false
}
