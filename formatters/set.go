package formatters

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// generic is the template of every kind that has none of its own.
const generic = "other"

// Set is the templates by which messages are written: one for each kind of
// event, and those that routes name. It is never changed after it was made, and
// may be used from several goroutines.
type Set struct {
	own     map[string]*compiled // by name
	builtin map[string]*compiled // the same without the directories' files
	files   map[string]file      // by the names of files, those that failed too
	shipped map[string]file      // the built-in ones among them, replaced or not
}

// compiled is one template. A part may be defined for an action, as
// headline.open is, and is then used for it instead of the general one.
type compiled struct {
	name    string // "push", "docs_push"
	file    file
	parts   // for actions that have none of their own
	actions map[string]parts
	unfit   map[string]*mistake // by sample: why a named template cannot write it
}

type parts struct {
	headline part
	body     part // or none
	color    part // or none
}

// part is a template, and its program if it has one.
type part struct {
	*template.Template
	program *program
}

func newPart(t *template.Template) part { return part{t, prepare(t)} }

// Names lists the templates that a route may name, in alphabetical order: the
// kinds that have one, and those that directories add.
func (s *Set) Names() []string {
	var names []string
	for base := range s.files {
		if f := s.files[base]; !f.isPartial() {
			names = append(names, f.name())
		}
	}
	slices.Sort(names)
	return names
}

// Has tells whether there is a template of that name; one with mistakes counts.
func (s *Set) Has(name string) bool {
	f, ok := s.files[name+templateSuffix]
	return ok && !f.isPartial()
}

// Fits tells whether a template can write the event of that name ("push",
// "merge_request.open"), or why not: it needs what the event lacks. It is tried
// with the event's sample; without one it fits.
func (s *Set) Fits(name, event string) (why string, ok bool) {
	t := s.own[name]
	if t == nil || t.unfit == nil {
		return "", true
	}
	for _, sample := range slices.Sorted(maps.Keys(t.unfit)) {
		if m := t.unfit[sample]; m != nil && variantOf(sample, event) {
			why = m.Error()
		} else if m == nil && variantOf(sample, event) {
			return "", true
		}
	}
	return why, why == ""
}

// variantOf tells whether a sample is one of that event.
func variantOf(sample, event string) bool {
	name, _, _ := strings.Cut(sample, "~")
	return name == event
}

// Render writes one message. A template that fails is replaced by the built-in
// one of its kind, and the post says so in Fault; if that fails too, by the
// generic one. It is an error only if that fails as well, or if the request
// makes no sense.
func (s *Set) Render(ctx context.Context, r Request) (p Post, err error) {
	if r.Event == nil {
		return Post{}, errors.New("render a message: no event")
	}
	defer func() {
		if x := recover(); x != nil {
			p, err = Post{}, fmt.Errorf("render a %s message: panic: %v", r.Kind, x)
		}
	}()
	m, failed, fault, err := s.write(ctx, r)
	if err != nil {
		return Post{}, err
	}
	p = Post{Markdown: m.markdown(), Failed: failed, Fault: fault}
	switch r.Kind {
	case configs.KindMattermost, configs.KindLog:
		p.Body = mattermostBody(m, r)
	case configs.KindSlack:
		p.Body = slackBody(m, r)
	default:
		return Post{}, fmt.Errorf("render a message: no such kind of destination: %q", r.Kind)
	}
	return p, nil
}

// write runs the templates until one does not fail. It returns the name of the first
// that failed, and how.
func (s *Set) write(ctx context.Context, r Request) (m message, name, fault string, err error) {
	var failed []*compiled
	var why []string
	for _, t := range s.candidates(r) {
		if m, err = t.run(ctx, newData(r)); err != nil {
			failed, why = append(failed, t), append(why, explain(err, r.Event.Name()).Error())
			continue
		}
		m.reduce(r.Look)
		m.url = whole(r.Event)
		if len(failed) > 0 {
			name, fault = failed[0].name, "template "+why[0]
			m.body = tidyBody(m.body + "\n" + failure(failed[0].name, why[0]))
		}
		if !t.file.timeless() {
			m.headline += lateness(r)
		}
		m.headline += mentioned(r)
		m.finish()
		return m, name, fault, nil
	}
	return message{}, "", "", fmt.Errorf("render a message: template %s", strings.Join(why, "; and without it: "))
}

// whole is where to read all of what an event's message tells.
func whole(e *events.Event) string {
	if e.Note != nil && e.Note.URL != "" {
		return e.Note.URL
	}
	return e.URL
}

// kinds are those of events that can have a template of their own; GitLab may
// send others.
var kinds = events.Kinds()

// candidates are the templates for a request, best first.
func (s *Set) candidates(r Request) []*compiled {
	kind := r.Event.Kind
	if !slices.Contains(kinds, kind) {
		kind = generic
	}
	name := kind
	if r.Look.Template != "" {
		name = r.Look.Template
	}
	list := make([]*compiled, 0, 3)
	for _, t := range [...]*compiled{s.own[name], s.builtin[kind], s.builtin[generic]} {
		switch {
		case t != nil && !slices.Contains(list, t):
			list = append(list, t)
		case t == nil && len(list) == 0 && name != kind:
			list = append(list, &compiled{name: name, file: file{base: name + templateSuffix}})
		case t == nil && len(list) == 0 && s.own[generic] != nil:
			list = append(list, s.own[generic])
		}
	}
	return list
}

// run executes the template.
func (t *compiled) run(ctx context.Context, d *Data) (m message, err error) {
	out := newOutput(ctx)
	defer out.release()
	p, ok := t.actions[string(d.Action)]
	if !ok {
		p = t.parts
	}
	if p.headline.Template == nil {
		return message{}, t.mistake("there is no such template")
	}
	if m.headline, err = out.execute(p.headline, d); err != nil {
		return message{}, err
	}
	m.headline = foldLines(m.headline)
	if m.headline == "" {
		return message{}, t.mistake("the headline is empty")
	}
	if p.body.Template == nil || d.Detail == configs.DetailTitle {
		return m, nil
	}
	if m.body, err = out.execute(p.body, d); err != nil {
		return message{}, err
	}
	if m.body = tidyBody(m.body); m.body == "" || p.color.Template == nil {
		return m, nil
	}
	if m.color, err = out.execute(p.color, d); err != nil {
		return message{}, err
	}
	m.color = strings.TrimSpace(m.color)
	if m.color != "" && !validColor.MatchString(m.color) {
		return message{}, t.mistake("the color is not good, warning, danger or #rrggbb")
	}
	return m, nil
}

var validColor = regexp.MustCompile(`^(?:good|warning|danger|#[0-9A-Fa-f]{6})$`)

// mistake is one of the whole template.
func (t *compiled) mistake(text string) *mistake { return &mistake{file: t.file.base, text: text} }

// failure is the line that tells in a message why its template was not used.
func failure(name, why string) string {
	return "(template " + Text(name).String() + " failed: " + Text(why).String() + ")"
}
