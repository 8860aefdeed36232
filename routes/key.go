package routes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// Keys of conditions.
const (
	keyEvents         = "events"
	keySources        = "sources"
	keyProjects       = "projects"
	keyVisibility     = "visibility"
	keyBranches       = "branches"
	keyTargetBranches = "target_branches"
	keyLabels         = "labels"
	keyActors         = "actors"
	keyBots           = "bots"
	keyPaths          = "paths"
	keyEnvironments   = "environments"
	keyDraft          = "draft"
	keyConfidential   = "confidential"
	keyIf             = "if"
	keyTimes          = "times"
	keyAlso           = "also"
)

// key is one condition on an event.
type key struct {
	name  string
	want  []string
	match func(*subject) bool
	got   func(*subject) []string // for people; never asked on the live path unless nothing matched
	note  func(*subject) string   // more for people: why a value that fits is not enough; may be nil
}

// conditions are keys that all must match, with what they name outright.
type conditions struct {
	keys     []key
	actors   []glob // patterns of actors that name one, or that ignore has too
	projects []glob // of projects alike
	bots     bool   // bots: true
}

// keys compiles conditions, the cheapest key first. `also` is not among them.
func (c *compiler) keys(w configs.Conditions) ([]key, []writtenEvent) {
	var keys []key
	add := func(k key, there bool) {
		if there {
			keys = append(keys, k)
		}
	}
	patterns, written := c.events(w.Events)
	if w.Events != nil {
		keys = append(keys, eventsKey(texts(w.Events), patterns))
	}
	add(plainKey(w.Sources, func(s *subject) string { return s.event.Source }))
	add(plainKey(w.Visibility, func(s *subject) string { return s.event.Project.Visibility }))
	add(flagKey(w.Confidential, func(s *subject) (bool, bool) { return s.event.Confidential, true }))
	add(flagKey(w.Draft, (*subject).draft))
	add(flagKey(w.Bots, func(s *subject) (bool, bool) { return s.bot, s.actor != "" }))
	add(globKey(w.Projects, compiled(c, w.Projects, compileProject), (*subject).folded, (*subject).path))
	add(branchKey(w.Branches, compiled(c, w.Branches, compileBranch), (*subject).branch))
	add(branchKey(w.TargetBranches, compiled(c, w.TargetBranches, compileTarget), (*subject).target))
	add(c.labelsKey(w.Labels))
	add(globKey(w.Actors, compiled(c, w.Actors, compileActor), (*subject).who, (*subject).username))
	add(globKey(w.Environments, compiled(c, w.Environments, compileEnvironment), (*subject).environmentName, (*subject).environmentName))
	add(pathsKey(w.Paths, compiled(c, w.Paths, compilePath)))
	add(c.ifKey(w.If))
	return keys, written
}

func (c *compiler) events(l *configs.List) (patterns []eventPattern, written []writtenEvent) {
	if l == nil {
		return nil, nil
	}
	for _, v := range l.Values {
		if c.exhausted(v.Pos.File) {
			break
		}
		p, wrong := c.vocabulary.compile(v.Text)
		if c.told(v, wrong) && c.afford(v.Pos, p.instructions()) {
			patterns = append(patterns, p)
			written = append(written, writtenEvent{p, v})
		}
	}
	return patterns, written
}

// compiled compiles the patterns of a list and tells of those that are none.
func compiled[P interface{ instructions() int }](c *compiler, l *configs.List, compile func(string) (P, *problem)) []P {
	if l == nil {
		return nil
	}
	var out []P
	for _, v := range l.Values {
		if c.exhausted(v.Pos.File) {
			break
		}
		if p, wrong := compile(v.Text); c.told(v, wrong) && c.afford(v.Pos, p.instructions()) {
			out = append(out, p)
		}
	}
	return out
}

// exhausted tells whether the regular expressions of a file have taken all that
// they may.
func (c *compiler) exhausted(file string) bool { return c.instructions[file] > maxFileInstructions }

// afford counts the instructions of a fenced file's regular expression, and reports
// the first one that is too much.
func (c *compiler) afford(at configs.Pos, instructions int) bool {
	if c.cfg.Fences[at.File] == nil {
		return true
	}
	c.instructions[at.File] += instructions
	if !c.exhausted(at.File) {
		return true
	}
	c.report(configs.Error, at, 1, "the regular expressions of this file are too large together",
		"write shorter ones, and smaller numbers than {1000}; globs cost nothing here")
	return false
}

// told reports a problem and tells whether the pattern is usable.
func (c *compiler) told(v configs.Pattern, wrong *problem) bool {
	if wrong == nil {
		return true
	}
	c.found = append(c.found, wrong.at(v))
	return wrong.severity == configs.Warning
}

func texts(l *configs.List) []string {
	if l == nil {
		return nil
	}
	out := make([]string, len(l.Values))
	for i, v := range l.Values {
		out[i] = v.Text
	}
	return out
}

func eventsKey(want []string, patterns []eventPattern) key {
	standard := slices.ContainsFunc(patterns, func(p eventPattern) bool { return p.set == setStandard })
	return key{
		name: keyEvents, want: want,
		match: func(s *subject) bool {
			for i := range patterns {
				if patterns[i].matches(s) {
					return true
				}
			}
			return false
		},
		got: func(s *subject) []string { return []string{s.event.Name()} },
		note: func(s *subject) string {
			if standard && s.standard != "" && inStandard(s.event.Kind, s.event.Action) {
				return s.standard
			}
			return ""
		},
	}
}

// plainKey is of words that are compared as they are.
func plainKey(l *configs.List, value func(*subject) string) (key, bool) {
	if l == nil {
		return key{}, false
	}
	want := texts(l)
	return key{
		name: l.Key, want: want,
		match: func(s *subject) bool { v := value(s); return v != "" && slices.Contains(want, v) },
		got:   func(s *subject) []string { return some(value(s)) },
	}, true
}

// flagKey is of a value that may not apply to the event.
func flagKey(f *configs.Flag, value func(*subject) (is, applies bool)) (key, bool) {
	if f == nil {
		return key{}, false
	}
	want := f.Value
	return key{
		name: f.Key, want: []string{strconv.FormatBool(want)},
		match: func(s *subject) bool { is, applies := value(s); return applies && is == want },
		got: func(s *subject) []string {
			is, applies := value(s)
			if !applies {
				return nil
			}
			return []string{strconv.FormatBool(is)}
		},
	}, true
}

// globKey asks about value, and shows people the event's own spelling of it.
func globKey(l *configs.List, patterns []glob, value, shown func(*subject) string) (key, bool) {
	if l == nil {
		return key{}, false
	}
	return key{
		name: l.Key, want: texts(l),
		match: func(s *subject) bool { v := value(s); return v != "" && anyMatches(patterns, v, &s.meter) },
		got:   func(s *subject) []string { return some(shown(s)) },
	}, true
}

func branchKey(l *configs.List, patterns []branchPattern, value func(*subject) string) (key, bool) {
	if l == nil {
		return key{}, false
	}
	return key{
		name: l.Key, want: texts(l),
		match: func(s *subject) bool {
			branch := value(s)
			for i := range patterns {
				if patterns[i].matches(s, branch) {
					return true
				}
			}
			return false
		},
		got: func(s *subject) []string { return some(value(s)) },
	}, true
}

// labelsKey asks for any of some labels and none of others.
func (c *compiler) labelsKey(l *configs.Labels) (key, bool) {
	if l == nil {
		return key{}, false
	}
	either, neither := compiled(c, l.Any, compileLabel), compiled(c, l.None, compileLabel)
	want := texts(l.Any)
	for _, v := range texts(l.None) {
		want = append(want, "none of "+v)
	}
	asks := l.Any != nil
	return key{
		name: keyLabels, want: want,
		match: func(s *subject) bool {
			return (!asks || anyLabel(either, s.event.Labels, &s.meter)) && !anyLabel(neither, s.event.Labels, &s.meter)
		},
		got: func(s *subject) []string { return s.event.Labels },
		note: func(s *subject) string {
			if s.event.Kind == events.Pipeline || s.event.Kind == events.Job {
				return "GitLab sends no labels with a " + s.event.Kind
			}
			return ""
		},
	}, true
}

const maxFilesShown = 10

// pathsKey asks about the files of a push.
func pathsKey(l *configs.List, patterns []glob) (key, bool) {
	if l == nil {
		return key{}, false
	}
	return key{
		name: keyPaths, want: texts(l),
		match: func(s *subject) bool {
			found := false
			s.eachFile(func(name string) bool {
				found = anyMatches(patterns, name, &s.meter)
				return !found && !s.over
			})
			return found
		},
		got: func(s *subject) []string {
			files := s.files()
			if more := len(files) - maxFilesShown; more > 0 {
				return append(slices.Clone(files[:maxFilesShown]), fmt.Sprintf("and %d more", more))
			}
			return files
		},
		note: func(s *subject) string {
			if p := s.event.Push; p != nil && p.Total > len(p.Commits) {
				return fmt.Sprintf("GitLab lists at most the newest 20 commits: %d of %d are looked at", len(p.Commits), p.Total)
			}
			return ""
		},
	}, true
}

func (c *compiler) ifKey(e *configs.Expression) (key, bool) {
	if e == nil || c.exhausted(e.Pos.File) {
		return key{}, false
	}
	x, wrong := compileExpression(e)
	if wrong != nil {
		c.found = append(c.found, *wrong)
		return key{}, false
	}
	sum := 0
	for _, size := range x.regexes {
		sum += size
	}
	if !c.afford(e.Pos, sum) {
		return key{}, false
	}
	return key{name: keyIf, want: []string{x.text}, match: x.holds, got: x.got, note: x.note}, true
}

// alsoKey stands in every when: what needs a word of also is not posted
// without it.
func alsoKey(l *configs.List) key {
	want := texts(l)
	return key{
		name: keyAlso, want: want,
		match: func(s *subject) bool { return s.gate == "" || slices.Contains(want, s.gate) },
		got:   func(s *subject) []string { return some(s.gate) },
	}
}

// fenceKey stands in every when of an included file that may route only some
// projects.
func (c *compiler) fenceKey(f *configs.Fence) (key, bool) {
	if f == nil || f.Projects == nil {
		return key{}, false
	}
	var patterns []glob
	for _, v := range f.Projects.Values {
		// The include tells of a pattern that is none, once.
		if p, wrong := compileProject(v.Text); wrong == nil || wrong.severity == configs.Warning {
			patterns = append(patterns, p)
		}
	}
	k, _ := globKey(f.Projects, patterns, (*subject).folded, (*subject).path)
	k.note = func(s *subject) string {
		return fmt.Sprintf("%s:%d lets the file route these projects alone", f.Pos.File, f.Pos.Line)
	}
	return k, true
}

// some is a list of one value, or none.
func some(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// maxGot is how much of what the event has an answer shows, in bytes.
const maxGot = 1000

// text is a key's answer for people: `branches: want main, got develop`.
func (k *key) text(s *subject, part string) string {
	got := strings.Join(k.got(s), ", ")
	if len(got) > maxGot {
		got = strings.ToValidUTF8(got[:maxGot], "") + "…"
	}
	if got == "" {
		got = "none"
	}
	if k.note != nil && k.note(s) != "" {
		got += ", " + k.note(s)
	}
	want := strings.Join(k.want, " or ")
	switch {
	case k.name == keyAlso:
		return fmt.Sprintf("also: got %s, which the route does not name", got)
	case part == partWhen:
		return fmt.Sprintf("%s: want %s, got %s", k.name, want, got)
	}
	if want == got {
		return fmt.Sprintf("%s takes it out: %s: %s", part, k.name, got)
	}
	return fmt.Sprintf("%s takes it out: %s: has %s, got %s", part, k.name, want, got)
}
