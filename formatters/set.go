package formatters

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"text/template"

	"github.com/gitlab-mattermost/relay/configs"
)

//go:embed templates/*.md.tmpl
var standard embed.FS

// generic is the template of every kind that has none of its own.
const generic = "other"

const templateSuffix = ".md.tmpl"

// Set is a set of templates, one for each kind of event. It is never changed
// after it was made, and may be used from several goroutines.
type Set struct {
	kinds   map[string]*kindTemplate
	generic *kindTemplate
}

// kindTemplate is the template of one kind of event. A part may be defined for
// an action, as headline.open is, and is then used for it instead of the
// general one.
type kindTemplate struct {
	file    string
	parts   // for actions that have none of their own
	actions map[string]parts
}

type parts struct {
	headline *template.Template
	body     *template.Template // or nil
	color    *template.Template // or nil
}

// New compiles the standard set.
func New() (*Set, error) {
	dir, err := fs.Sub(standard, "templates")
	if err != nil {
		return nil, fmt.Errorf("open the standard templates: %w", err)
	}
	return compile(dir)
}

// compile makes a set of the templates in a directory: <kind>.md.tmpl, and
// partials for all of them in _*.md.tmpl.
func compile(dir fs.FS) (*Set, error) {
	files, err := fs.Glob(dir, "*"+templateSuffix)
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	partials := template.New("").Option("missingkey=error").Funcs(functions)
	for _, file := range files {
		if strings.HasPrefix(file, "_") {
			if err := parseFile(partials, dir, file); err != nil {
				return nil, err
			}
		}
	}
	s := &Set{kinds: make(map[string]*kindTemplate, len(files))}
	for _, file := range files {
		if strings.HasPrefix(file, "_") {
			continue
		}
		k, err := compileKind(partials, dir, file)
		if err != nil {
			return nil, err
		}
		s.kinds[strings.TrimSuffix(path.Base(file), templateSuffix)] = k
	}
	if s.generic = s.kinds[generic]; s.generic == nil {
		return nil, fmt.Errorf("compile templates: %s%s is missing", generic, templateSuffix)
	}
	return s, nil
}

func parseFile(into *template.Template, dir fs.FS, file string) error {
	text, err := fs.ReadFile(dir, file)
	if err != nil {
		return fmt.Errorf("read template %s: %w", file, err)
	}
	if _, err := into.New(file).Parse(string(text)); err != nil {
		return fmt.Errorf("compile template %w", errors.New(reason(err)))
	}
	return nil
}

func compileKind(partials *template.Template, dir fs.FS, file string) (*kindTemplate, error) {
	t, err := partials.Clone()
	if err != nil {
		return nil, fmt.Errorf("compile template %s: %w", file, err)
	}
	if err := parseFile(t, dir, file); err != nil {
		return nil, err
	}
	if err := guard(t); err != nil {
		return nil, fmt.Errorf("compile template %s: %w", file, err)
	}
	k := &kindTemplate{file: file, actions: map[string]parts{}}
	k.parts = parts{headline: t.Lookup("headline"), body: t.Lookup("body"), color: t.Lookup("color")}
	if k.headline == nil {
		return nil, fmt.Errorf("compile template %s: it defines no headline", file)
	}
	for _, one := range t.Templates() {
		if part, action, ok := strings.Cut(one.Name(), "."); ok {
			k.define(part, action, one)
		}
	}
	return k, nil
}

// define sets one part for one action.
func (k *kindTemplate) define(part, action string, t *template.Template) {
	p, ok := k.actions[action]
	if !ok {
		p = k.parts
	}
	switch part {
	case "headline":
		p.headline = t
	case "body":
		p.body = t
	case "color":
		p.color = t
	default:
		return
	}
	k.actions[action] = p
}

// Render writes one message. A template that fails is replaced by the generic
// one, and the post says so in Fault; it is an error only if that fails too,
// or if the request makes no sense.
func (s *Set) Render(ctx context.Context, r Request) (p Post, err error) {
	if r.Event == nil {
		return Post{}, errors.New("render a message: no event")
	}
	defer func() {
		if x := recover(); x != nil {
			p, err = Post{}, fmt.Errorf("render a %s message: panic: %v", r.Kind, x)
		}
	}()
	m, fault, err := s.write(ctx, r)
	if err != nil {
		return Post{}, err
	}
	p = Post{Markdown: m.markdown(), Fault: fault}
	switch r.Kind {
	case configs.KindMattermost, configs.KindLog:
		p.Body, err = mattermostBody(m, r)
	case configs.KindSlack:
		p.Body, err = slackBody(m, r)
	default:
		err = fmt.Errorf("no such kind of destination: %q", r.Kind)
	}
	if err != nil {
		return Post{}, fmt.Errorf("render a message: %w", err)
	}
	return p, nil
}

// write runs the templates.
func (s *Set) write(ctx context.Context, r Request) (m message, fault string, err error) {
	d := newData(r)
	k := s.kinds[r.Event.Kind]
	if k == nil {
		k = s.generic
	}
	m, err = k.run(ctx, d)
	if err != nil {
		why := reason(err)
		fault = "template " + why
		m, err = s.generic.run(ctx, d)
		if err != nil {
			return message{}, "", fmt.Errorf("render a message: %s; and without its template: %s", fault, reason(err))
		}
		m.body = strings.TrimLeft(m.body+"\n"+"(template "+failure(k.file, why)+")", "\n")
	}
	m.headline += lateness(r)
	m.finish()
	return m, fault, nil
}

// run executes the template.
func (k *kindTemplate) run(ctx context.Context, d *Data) (m message, err error) {
	out := newOutput(ctx)
	defer out.release()
	p, ok := k.actions[string(d.Action)]
	if !ok {
		p = k.parts
	}
	if m.headline, err = out.execute(p.headline, d); err != nil {
		return message{}, err
	}
	m.headline = foldLines(m.headline)
	if m.headline == "" {
		return message{}, fmt.Errorf("template: %s: the headline is empty", k.file)
	}
	if p.body != nil {
		if m.body, err = out.execute(p.body, d); err != nil {
			return message{}, err
		}
		m.body = tidyBody(m.body)
	}
	if p.color != nil && m.body != "" {
		if m.color, err = out.execute(p.color, d); err != nil {
			return message{}, err
		}
		m.color = strings.TrimSpace(m.color)
		if m.color != "" && !validColor.MatchString(m.color) {
			return message{}, fmt.Errorf("template: %s: the color is not good, warning, danger or #rrggbb", k.file)
		}
	}
	return m, nil
}

var validColor = regexp.MustCompile(`^(?:good|warning|danger|#[0-9A-Fa-f]{6})$`)

// reason is a template's error without what people do not need: "file:line:
// what is wrong".
func reason(err error) string {
	s := strings.TrimPrefix(err.Error(), "template: ")
	if m := execError.FindStringSubmatch(s); m != nil {
		s = m[1] + ": " + m[2]
	}
	return cutEnd(oneLine(s), 300)
}

// execError matches text/template's "push.md.tmpl:3:5: executing "body" at
// <.X>: what is wrong"; the column and the name of the part are left out.
var execError = regexp.MustCompile(`(?s)^([^:]+:\d+)(?::\d+)?: (?:executing "[^"]*" at )?(.*)$`)

// failure names the template, and says why it failed: `NAME failed:
// file:line: reason`.
func failure(file, why string) string {
	name := strings.TrimSuffix(file, templateSuffix)
	return Text(name).String() + " failed: " + Text(why).String()
}
