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
	if pattern.Written != "" {
		// The sentence would show what the environment holds.
		return configs.Finding{
			Pos: pattern.Pos, Severity: p.severity, Message: fmt.Sprintf("%q does not fit here", pattern.Written),
			Hint: "look at what the environment makes of it", Width: utf8.RuneCountInString(pattern.Written),
		}
	}
	return configs.Finding{
		Pos: pattern.Pos, Severity: p.severity, Message: p.message, Hint: p.hint,
		Width: utf8.RuneCountInString(pattern.Text),
	}
}

// maxPattern is the longest pattern, in bytes; maxInstructions is how large the
// machine of a regular expression may become, which `{1000}` makes large.
const (
	maxPattern      = 4 << 10
	maxInstructions = 10_000
)

// maxFileInstructions is how large the machines of all regular expressions of a
// fenced file may become: each instruction takes about 100 bytes of memory.
const maxFileInstructions = 50_000

// regex is a regular expression that knows what it costs.
type regex struct {
	*regexp.Regexp
	size int // instructions
}

func (r *regex) matches(text string, steps *meter) bool {
	return steps.spend(regexSteps(len(text), r.size)) && r.MatchString(text)
}

// instructions is the size of what a pattern keeps; nil is no regular expression.
func (r *regex) instructions() int {
	if r == nil {
		return 0
	}
	return r.size
}

func (p glob) instructions() int          { return p.re.instructions() }
func (p labelPattern) instructions() int  { return p.re.instructions() }
func (p branchPattern) instructions() int { return p.re.instructions() }
func (p eventPattern) instructions() int  { return p.re.instructions() }

// regexSteps is what a regular expression takes for a text: RE2 looks at each
// character once for each instruction at most, and mostly at far fewer.
func regexSteps(text, size int) int { return 1 + text*(size+3)/4 }

// compileRegex compiles a regular expression of a bounded size.
func compileRegex(text string) (*regex, error) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxInstructions {
		return nil, &syntax.Error{Code: syntax.ErrLarge, Expr: text}
	}
	re, err := regexp.Compile(text)
	return &regex{re, len(program.Inst)}, err
}

// expressionPattern compiles `/re/`: RE2, unanchored. It is nil without a problem for
// what is no such pattern.
func expressionPattern(text, flags string) (*regex, *problem) {
	if len(text) > maxPattern {
		return nil, &problem{message: fmt.Sprintf("a pattern of %d bytes is too long: at most %d", len(text), maxPattern), hint: "write several patterns"}
	}
	if !strings.HasPrefix(text, "/") {
		return nil, nil
	}
	if len(text) < 3 || !strings.HasSuffix(text, "/") {
		return nil, &problem{message: fmt.Sprintf("%q starts like a regular expression and does not end like one", text), hint: "write /…/, or leave the slash out"}
	}
	re, err := compileRegex(flags + text[1:len(text)-1])
	var wrong *syntax.Error
	switch {
	case errors.As(err, &wrong):
		return nil, &problem{message: fmt.Sprintf("not a regular expression: %s", wrong.Code), hint: "the syntax is RE2, which has no look-around and no back-references"}
	case err != nil:
		return nil, &problem{message: "not a regular expression", hint: "the syntax is RE2"}
	}
	return re, nil
}

// glob is a doublestar glob or regular expression over projects, actors, paths
// or environments. `acme/**` also matches `acme`.
type glob struct {
	written string
	text    string // as it is compared: of projects and actors in lower case
	exact   bool
	prefix  string // of "prefix/**"; the commonest patterns need no matcher
	suffix  string // of "**/*suffix"
	re      *regex
	matcher *matcher
}

const magic = `*?[]{}\`

// compileGlob compiles a pattern; without case the texts that it is asked about
// must be in lower case.
func compileGlob(text string, withoutCase bool) (glob, *problem) {
	flags := ""
	p := glob{written: text, text: text}
	if withoutCase {
		flags, p.text = "(?i)", strings.ToLower(text)
	}
	re, wrong := expressionPattern(text, flags)
	if re != nil || wrong != nil {
		p.re = re
		return p, wrong
	}
	prefix, tree := strings.CutSuffix(p.text, "/**")
	suffix, anywhere := strings.CutPrefix(p.text, "**/*")
	switch {
	case !doublestar.ValidatePattern(p.text):
		return p, &problem{message: fmt.Sprintf("%q is no glob", text), hint: `a bracket or brace is open; \ before it makes it plain`}
	case !strings.ContainsAny(p.text, magic):
		p.exact = true
	case tree && prefix != "" && !strings.ContainsAny(prefix, magic):
		p.prefix = prefix
	case anywhere && suffix != "" && !strings.ContainsAny(suffix, magic+"/"):
		p.suffix = suffix
	default:
		p.matcher = compileMatcher(p.text)
	}
	return p, nil
}

func (p *glob) matches(text string, steps *meter) bool {
	switch {
	case !steps.spend(1):
		return false
	case p.re != nil:
		return p.re.matches(text, steps)
	case p.exact:
		return text == p.text
	case p.prefix != "":
		return strings.HasPrefix(text, p.prefix) && (len(text) == len(p.prefix) || text[len(p.prefix)] == '/')
	case p.suffix != "":
		return strings.HasSuffix(text, p.suffix)
	}
	return p.matcher.matches(text, steps)
}

func anyMatches(patterns []glob, text string, steps *meter) bool {
	for i := range patterns {
		if patterns[i].matches(text, steps) {
			return true
		}
	}
	return false
}

func compileProject(text string) (glob, *problem) {
	p, wrong := compileGlob(text, true)
	if p.re != nil || wrong != nil && strings.HasPrefix(text, "/") {
		return p, wrong
	}
	switch {
	case strings.Contains(text, "://"):
		return p, &problem{message: "projects takes the paths of projects, not their URLs", hint: "write group/project"}
	case strings.HasSuffix(text, "/"):
		return p, &problem{message: fmt.Sprintf("%q ends with a slash, which no project's path does", text), hint: fmt.Sprintf("did you mean %q?", text+"**")}
	case wrong != nil:
		return p, wrong
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

func compileActor(text string) (glob, *problem) {
	if name, ok := strings.CutPrefix(text, "@"); ok {
		return glob{}, &problem{message: fmt.Sprintf("%q is no username", text), hint: fmt.Sprintf("did you mean %q?", name)}
	}
	if strings.ContainsAny(text, "@ ") && !strings.HasPrefix(text, "/") {
		return glob{}, &problem{message: fmt.Sprintf("%q is no username", text), hint: "it is the name in the address of the person's page in GitLab"}
	}
	return compileGlob(text, true)
}

func compilePath(text string) (glob, *problem) {
	better := strings.TrimPrefix(text, "./")
	if strings.HasSuffix(better, "/") && !strings.HasPrefix(better, "/") {
		better += "**"
	}
	if better != text {
		return glob{}, &problem{message: fmt.Sprintf("%q matches no file: paths start at the project's top and end in a name", text), hint: fmt.Sprintf("did you mean %q?", better)}
	}
	return compileGlob(text, false)
}

func compileEnvironment(text string) (glob, *problem) { return compileGlob(text, false) }

// labelPattern is a label as it is, or a regular expression.
type labelPattern struct {
	text string
	re   *regex
}

func compileLabel(text string) (labelPattern, *problem) {
	re, wrong := expressionPattern(text, "")
	if re != nil || wrong != nil {
		return labelPattern{re: re}, wrong
	}
	if strings.Contains(text, "*") {
		quoted := "^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*") + "$"
		return labelPattern{}, &problem{
			message: fmt.Sprintf("%q has a *, and labels takes whole labels", text),
			hint:    fmt.Sprintf("did you mean /%s/?", strings.TrimSuffix(quoted, ".*$")),
		}
	}
	return labelPattern{text: text}, nil
}

func (p *labelPattern) matches(label string, steps *meter) bool {
	if p.re != nil {
		return p.re.matches(label, steps)
	}
	return steps.spend(1) && p.text == label
}

func anyLabel(patterns []labelPattern, labels []string, steps *meter) bool {
	for _, l := range labels {
		for i := range patterns {
			if patterns[i].matches(l, steps) {
				return true
			}
		}
	}
	return false
}

// branchPattern is GitLab's wildcard, where * crosses slashes and nothing else
// is special (GitLab's "Protected branches" documentation), a regular
// expression, $default or $protected.
type branchPattern struct {
	text string
	word string // "$default", "$protected"
	re   *regex
}

const (
	wordDefault   = configs.WordDefault
	wordProtected = configs.WordProtected
)

func compileBranch(text string) (branchPattern, *problem) { return compileRef(text, keyBranches) }

// compileTarget compiles a pattern of target_branches: GitLab does not tell
// whether those are protected.
func compileTarget(text string) (branchPattern, *problem) {
	if text == wordProtected {
		return branchPattern{}, &problem{message: "$protected never matches in target_branches: GitLab tells it of pushes alone", hint: "name the branches, or write $default"}
	}
	return compileRef(text, keyTargetBranches)
}

func compileRef(text, key string) (branchPattern, *problem) {
	re, wrong := expressionPattern(text, "")
	switch {
	case re != nil || wrong != nil:
		return branchPattern{re: re}, wrong
	case text == wordDefault || text == wordProtected:
		return branchPattern{word: text}, nil
	case strings.HasPrefix(text, "refs/"):
		short := strings.TrimPrefix(strings.TrimPrefix(text, "refs/heads/"), "refs/")
		return branchPattern{}, &problem{message: fmt.Sprintf("%q is a full ref, and %s takes names", text, key), hint: fmt.Sprintf("did you mean %q?", short)}
	}
	return branchPattern{text: text}, nil
}

// matches is asked about a branch of the subject's: its own or the target.
func (p *branchPattern) matches(s *subject, branch string) bool {
	switch {
	case branch == "":
		return false
	case p.re != nil:
		return p.re.matches(branch, &s.meter)
	case p.word == wordDefault:
		return branch == s.event.Project.DefaultBranch
	case p.word == wordProtected:
		return s.event.Push != nil && s.event.Push.Protected
	}
	return wildcard(p.text, branch, &s.meter)
}

// wildcard matches a text against a pattern in which only * is special, in time
// proportional to the product of their lengths at worst.
func wildcard(pattern, text string, steps *meter) bool {
	star, mark := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case !steps.spend(1):
			return false
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
