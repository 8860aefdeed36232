package routes

import (
	"slices"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
)

// index tells by an event's project which routes can take it at all, so that
// one of a thousand routes is found as fast as one of ten. A route is in it when
// every entry of its when names projects by a path, as `acme/api` and `acme/**`
// do; all others are asked about every event.
type index struct {
	under    map[string][]int // by that path; numbers of routes, ascending
	anywhere []int
	all      []int
}

func newIndex() index { return index{under: map[string][]int{}} }

// add takes the next route with what the entries of its when name.
func (x *index) add(number int, when []configs.Conditions) {
	x.all = append(x.all, number)
	var named []string
	for _, w := range when {
		paths := anchors(w.Projects)
		if paths == nil {
			named = nil
			break
		}
		named = append(named, paths...)
	}
	if len(named) == 0 {
		x.anywhere = append(x.anywhere, number)
	}
	slices.Sort(named)
	for _, path := range slices.Compact(named) {
		x.under[path] = append(x.under[path], number)
	}
}

// anchors are the paths that all projects of the list are, or lie under; nil
// when a pattern of it names none.
func anchors(projects *configs.List) []string {
	if projects == nil {
		return nil
	}
	var out []string
	for _, v := range projects.Values {
		p, wrong := compileProject(v.Text)
		switch {
		case wrong == nil && p.exact:
			out = append(out, p.text)
		case wrong == nil && p.prefix != "":
			out = append(out, p.prefix)
		default:
			return nil
		}
	}
	return out
}

// candidates are the routes that a project's events may match, each once.
type candidates struct {
	under    []int // ascending, perhaps repeated
	anywhere []int
}

// of finds the candidates for a project, whose path is in lower case. It uses
// the room it is given, as far as that goes.
func (x *index) of(project string, room []int) candidates {
	under, lists := room[:0], 0
	for end := 0; end < len(project); {
		if slash := strings.IndexByte(project[end+1:], '/'); slash >= 0 {
			end += 1 + slash
		} else {
			end = len(project)
		}
		if list := x.under[project[:end]]; len(list) > 0 {
			under = append(under, list...)
			lists++
		}
	}
	if lists > 1 {
		slices.Sort(under)
	}
	return candidates{under, x.anywhere}
}

// has tells whether a route is among them.
func (c *candidates) has(number int) bool {
	return slices.Contains(c.under, number) || slices.Contains(c.anywhere, number)
}

// next takes the first candidate that is left; false when none is.
func (c *candidates) next() (number int, ok bool) {
	switch {
	case len(c.under) == 0 && len(c.anywhere) == 0:
		return 0, false
	case len(c.under) == 0, len(c.anywhere) > 0 && c.anywhere[0] < c.under[0]:
		number, c.anywhere = c.anywhere[0], c.anywhere[1:]
		return number, true
	}
	number = c.under[0]
	for len(c.under) > 0 && c.under[0] == number {
		c.under = c.under[1:]
	}
	return number, true
}
