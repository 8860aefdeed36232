package formatters

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// try writes the built-in samples by every template that a directory had a part
// in, and returns what failed. A template of a kind has to write all samples of
// its kind; one that only routes name, any sample that has the parts it needs.
func (s *Set) try() []*mistake {
	samples := events.Samples()
	decoded := make([]*events.Event, len(samples))
	for i, sample := range samples {
		decoded[i] = events.Decode(sample.Input("gitlab"))
	}
	partial := false
	for _, f := range s.files {
		partial = partial || f.isPartial() && !f.isBuiltin()
	}
	var out []*mistake
	for _, t := range s.own {
		if t.file.isBuiltin() && !partial {
			continue
		}
		r := trial{set: s, template: t, named: !slices.Contains(kinds, t.name)}
		for i, sample := range samples {
			if !r.sample(sample.Name, decoded[i]) {
				break
			}
		}
		out = append(out, r.result()...)
	}
	return out
}

// trial is one template being tried.
type trial struct {
	set      *Set
	template *compiled
	named    bool // it is none of a kind
	mistakes []*mistake
	furthest *mistake // of those because of what an event lacks
	written  bool     // it could write a sample
}

// sample tries one sample; false if no other need be tried.
func (r *trial) sample(name string, e *events.Event) bool {
	t := r.template
	if !r.named && e.Kind != t.name && !(t.name == generic && r.set.own[e.Kind] == nil) {
		return true
	}
	details := []string{configs.DetailFull}
	if strings.Contains(t.file.text, ".Detail") {
		details = append(details, configs.DetailBrief, configs.DetailTitle)
	}
	if r.named && t.unfit == nil {
		t.unfit = map[string]*mistake{}
	}
	for _, detail := range details {
		_, err := t.run(context.Background(), newData(Request{Event: e, Look: configs.Look{Detail: detail}}))
		if err == nil {
			r.written = true
			if r.named && detail == configs.DetailFull {
				t.unfit[name] = nil
			}
			continue
		}
		m := explain(err, name)
		if r.named && m.lacks {
			t.unfit[name] = m
			if f := r.furthest; f == nil || cmp.Or(cmp.Compare(m.line, f.line), cmp.Compare(m.col, f.col)) > 0 {
				r.furthest = m
			}
			break
		}
		r.mistakes = append(r.mistakes, m)
		if errors.Is(err, errTooLong) || errors.Is(err, errTooMuch) {
			return false
		}
		if !m.named {
			m.text += " (with the sample " + name + ")"
		}
	}
	return true
}

func (r *trial) result() []*mistake {
	if !r.written && len(r.mistakes) == 0 && r.furthest != nil {
		r.furthest.text = "it can write no event: " + r.furthest.text
		return []*mistake{r.furthest}
	}
	return r.mistakes
}

// findings are mistakes with their places, each once.
func findings(list []*mistake, files map[string]file) []configs.Finding {
	type place struct {
		file, text string
		line, col  int
	}
	seen := map[place]bool{}
	var out []configs.Finding
	slices.SortStableFunc(list, func(a, b *mistake) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.col, b.col))
	})
	for _, m := range list {
		at := place{file: m.file, line: m.line, col: m.col}
		if !m.lacks && m.named || m.mild {
			at.text = m.text // else one for each sample would be too many
		}
		if seen[at] {
			continue
		}
		seen[at] = true
		out = append(out, m.finding(files[m.file]))
	}
	return out
}

// finding is a mistake in a file, with its line.
func (m *mistake) finding(f file) configs.Finding {
	out := configs.Finding{
		Pos:     configs.Pos{File: cmp.Or(f.path, m.file), Line: m.line},
		Message: oneLine(m.text), Hint: m.hint,
	}
	if m.mild {
		out.Severity = configs.Warning
	}
	lines := strings.Split(f.text, "\n")
	if m.line < 1 || m.line > len(lines) {
		return out
	}
	for m.line > 1 && blank(lines[m.line-1]) { // the end of a file
		m.line--
		m.col = len(lines[m.line-1])
		out.Pos.Line = m.line
	}
	line := strings.TrimRight(lines[m.line-1], "\r")
	at := min(m.col, len(line))
	if m.expr != "" {
		if i := strings.Index(line, m.expr); i >= 0 {
			at = i
		}
	}
	if m.expr == "" && m.col == 0 {
		at = max(0, strings.Index(line, "{{"))
	}
	out.Pos.Col = 1 + utf8.RuneCountInString(line[:at])
	if utf8.RuneCountInString(line) > maxShown {
		return out
	}
	out.Line = strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unwanted(r)) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(line, " "))
	out.Caret, out.Width = out.Pos.Col, 1
	if m.expr != "" && strings.HasPrefix(line[at:], m.expr) {
		out.Width = utf8.RuneCountInString(m.expr)
	}
	return out
}

// maxShown is the longest line of a template that a finding shows, in
// characters.
const maxShown = 160
