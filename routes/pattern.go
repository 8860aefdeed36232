package routes

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/gitlab-mattermost/relay/configs"
)

// problem is what is wrong with a pattern.
type problem struct {
	message, hint string
	severity      configs.Severity
}

func (p *problem) at(pattern configs.Pattern) configs.Finding {
	return configs.Finding{
		Pos: pattern.Pos, Severity: p.severity, Message: p.message, Hint: p.hint,
		Width: utf8.RuneCountInString(pattern.Text),
	}
}

// expression compiles `/re/`: RE2, unanchored. It is nil without a problem for
// what is no such pattern.
func expression(text, flags string) (*regexp.Regexp, *problem) {
	if !strings.HasPrefix(text, "/") {
		return nil, nil
	}
	if len(text) < 3 || !strings.HasSuffix(text, "/") {
		return nil, &problem{message: fmt.Sprintf("%q starts like a regular expression and does not end like one", text), hint: "write /…/, or leave the slash out"}
	}
	re, err := regexp.Compile(flags + text[1:len(text)-1])
	var wrong *syntax.Error
	switch {
	case errors.As(err, &wrong):
		return nil, &problem{message: fmt.Sprintf("not a regular expression: %s", wrong.Code), hint: "the syntax is RE2, which has no look-around and no back-references"}
	case err != nil:
		return nil, &problem{message: "not a regular expression", hint: "the syntax is RE2"}
	}
	return re, nil
}

// projectPattern is a doublestar glob or regular expression over project
// paths, without case. `acme/**` also matches `acme`.
type projectPattern struct {
	written string
	text    string // in lower case
	prefix  string // of "prefix/**"; the commonest patterns need no glob
	exact   bool
	re      *regexp.Regexp
}

func compileProject(text string) (projectPattern, *problem) {
	re, wrong := expression(text, "(?i)")
	if re != nil || wrong != nil {
		return projectPattern{re: re}, wrong
	}
	p := projectPattern{text: strings.ToLower(text)}
	prefix, tree := strings.CutSuffix(p.text, "/**")
	const magic = `*?[]{}\!`
	switch {
	case strings.Contains(text, "://"):
		return p, &problem{message: "projects takes the paths of projects, not their URLs", hint: "write group/project"}
	case strings.HasSuffix(text, "/"):
		return p, &problem{message: fmt.Sprintf("%q ends with a slash, which no project's path does", text), hint: fmt.Sprintf("did you mean %q?", text+"**")}
	case !doublestar.ValidatePattern(p.text):
		return p, &problem{message: fmt.Sprintf("%q is no glob", text), hint: `a bracket or brace is open; \ before it makes it plain`}
	case !strings.ContainsAny(p.text, magic):
		p.exact = true
	case tree && !strings.ContainsAny(prefix, magic):
		p.prefix = prefix
	}
	if !strings.Contains(text, "/") && text != "**" && !strings.ContainsAny(text, "{}") {
		better := text + "/**"
		if text == "*" {
			better = "**"
		}
		return p, &problem{
			message: fmt.Sprintf("%q matches no project: the path of every project has a group before it", text),
			hint:    fmt.Sprintf("did you mean %q?", better), severity: configs.Warning,
		}
	}
	return p, nil
}

// matches takes a path in lower case.
func (p *projectPattern) matches(path string) bool {
	switch {
	case p.re != nil:
		return p.re.MatchString(path)
	case p.exact:
		return path == p.text
	case p.prefix != "":
		return strings.HasPrefix(path, p.prefix) && (len(path) == len(p.prefix) || path[len(p.prefix)] == '/')
	}
	return doublestar.MatchUnvalidated(p.text, path)
}

// branchPattern is GitLab's wildcard, where * crosses slashes and nothing else
// is special (GitLab's "Protected branches" documentation), a regular
// expression, $default or $protected.
type branchPattern struct {
	text string
	word string // "$default", "$protected"
	re   *regexp.Regexp
}

const (
	wordDefault   = "$default"
	wordProtected = "$protected"
)

func compileBranch(text string) (branchPattern, *problem) {
	re, wrong := expression(text, "")
	switch {
	case re != nil || wrong != nil:
		return branchPattern{re: re}, wrong
	case text == wordDefault || text == wordProtected:
		return branchPattern{word: text}, nil
	case strings.HasPrefix(text, "$"):
		hint := "there is $default and $protected; a branch whose name starts with $ is /^\\$…$/"
		if s := configs.Suggest(text, []string{wordDefault, wordProtected}); s != "" {
			hint = fmt.Sprintf("did you mean %q?", s)
		}
		return branchPattern{}, &problem{message: fmt.Sprintf("unknown word %q in branches", text), hint: hint}
	case strings.HasPrefix(text, "refs/"):
		short := strings.TrimPrefix(strings.TrimPrefix(text, "refs/heads/"), "refs/")
		return branchPattern{}, &problem{message: fmt.Sprintf("%q is a full ref, and branches takes names", text), hint: fmt.Sprintf("did you mean %q?", short)}
	}
	return branchPattern{text: text}, nil
}

func (p *branchPattern) matches(s *subject) bool {
	branch := s.branch()
	switch {
	case branch == "":
		return false
	case p.re != nil:
		return p.re.MatchString(branch)
	case p.word == wordDefault:
		return s.event.OnDefaultBranch()
	case p.word == wordProtected:
		return s.event.Push != nil && s.event.Push.Protected
	}
	return wildcard(p.text, branch)
}

// wildcard matches a text against a pattern in which only * is special, in time
// proportional to the product of their lengths at worst.
func wildcard(pattern, text string) bool {
	star, mark := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && pattern[p] == text[t]:
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
