package routes

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"

	"github.com/gitlab-mattermost/relay/configs"
)

// syntaxProblem tells where an expression stops being one.
func syntaxProblem(e *configs.Expression, err error) *configs.Finding {
	var wrong *file.Error
	if !errors.As(err, &wrong) {
		return at(e, file.Location{}, "if is no expression", `for example "pipeline.duration > 1800"`)
	}
	message, hint := "if is no expression: "+wrong.Message, ""
	rest := []rune(e.Text)[min(wrong.From, utf8.RuneCountInString(e.Text)):]
	switch {
	case strings.Contains(wrong.Message, "maximum allowed nodes"):
		message, hint = "if is too long", "split it into several routes"
	case strings.Contains(wrong.Message, "EOF"):
		message, hint = "if is no expression: it ends too early", "is a bracket open, or a value missing?"
	case strings.Contains(wrong.Message, "disabled") || strings.Contains(wrong.Message, "unknown function"):
		message, hint = "if is no expression: "+wrong.Message, "there is "+strings.Join(functions, ", ")
	case strings.HasPrefix(string(rest), "="):
		message, hint = "if is no expression: = alone compares nothing", "write =="
	case operatorAsFunction.MatchString(e.Text) && strings.Contains(wrong.Message, "unexpected token"):
		m := operatorAsFunction.FindStringSubmatch(e.Text)
		message, hint = fmt.Sprintf("if is no expression: %s is between two texts", m[1]), fmt.Sprintf(`for example tag %s "v"`, m[1])
	case strings.Contains(wrong.Message, "unexpected token"):
		message, hint = "if is no expression: this is not expected here", "is an operator missing before it, or a quote?"
	case strings.Contains(wrong.Message, "literal not terminated"):
		message, hint = "if is no expression: a quote is never closed", "close it"
	}
	return at(e, wrong.Location, message, hint)
}

// operatorAsFunction finds `startsWith(tag, "v")`.
var operatorAsFunction = regexp.MustCompile(`(?:^|[\s(!])(startsWith|endsWith|contains|matches)\(`)

var (
	noField      = regexp.MustCompile(`^type (\S+) has no field (\S+)$`)
	mismatched   = regexp.MustCompile(`^invalid operation: (\S+) \(mismatched types? (\S+)(?: and (\S+))?\)$`)
	notBoolean   = regexp.MustCompile(`^expected bool, but got (\S+)$`)
	badPredicate = regexp.MustCompile(`^predicate should return boolean \(got (\S+)\)$`)
)

// typeProblem tells in the file's words what does not fit.
func typeProblem(e *configs.Expression, err error) *configs.Finding {
	var wrong *file.Error
	if !errors.As(err, &wrong) {
		wrong = &file.Error{Message: err.Error()}
	}
	said := withNames(wrong.Message)
	message, hint := "if cannot be worked out: "+plainTypes(said), ""
	switch m := said; {
	case noField.MatchString(m):
		found := noField.FindStringSubmatch(m)
		var fields []string
		if i := slices.IndexFunc(views, func(v *view) bool { return viewPrefix+v.name == strings.TrimPrefix(found[1], "*") }); i >= 0 {
			fields = views[i].names()
		}
		message = fmt.Sprintf("%s has no %q, in if", plainType(found[1]), found[2])
		hint = "it has " + strings.Join(fields, ", ")
		if s := configs.Suggest(found[2], fields); s != "" {
			hint = fmt.Sprintf("did you mean %q?", s)
		} else if len(fields) == 0 {
			hint = ""
		}
	case mismatched.MatchString(m):
		found := mismatched.FindStringSubmatch(m)
		message = fmt.Sprintf("%s cannot be used with %s, in if", found[1], plainType(found[2]))
		if found[3] != "" {
			message = fmt.Sprintf("%s cannot compare %s with %s, in if", found[1], plainType(found[2]), plainType(found[3]))
		}
		hint = mismatchHint(found[2], found[3])
	case notBoolean.MatchString(m):
		message = fmt.Sprintf("if takes a condition, and this is %s", plainType(notBoolean.FindStringSubmatch(m)[1]))
		hint = "compare it: ==, !=, <, >, contains, matches, in"
	case badPredicate.MatchString(m):
		message = fmt.Sprintf("the condition inside the brackets is %s, in if", plainType(badPredicate.FindStringSubmatch(m)[1]))
		hint = "compare it: ==, !=, <, >, contains, matches, in"
	case strings.Contains(m, "error parsing regexp"):
		message, hint = "not a regular expression, in if", "the syntax is RE2, which has no look-around and no back-references"
	}
	return at(e, wrong.Location, message, hint)
}

// mismatchHint helps with what is compared most often.
func mismatchHint(a, b string) string {
	text := a == "string" || b == "string"
	for _, t := range []string{a, b} {
		switch {
		case strings.HasSuffix(t, viewPrefix+"project"):
			return "did you mean project.path?"
		case strings.HasSuffix(t, viewPrefix+"user"):
			return "did you mean actor.username?"
		case t == "[]string":
			return "whether a list holds something is written 'x' in labels"
		case text && (t == "float64" || t == "int"):
			return "durations are numbers of seconds, without quotes"
		}
	}
	return ""
}

var goType = regexp.MustCompile(`\*?(?:\[\])?\*?(?:view\.)\w+|\[\]string|float64|\bint\b|\bbool\b|\bstring\b`)

func plainTypes(message string) string {
	return goType.ReplaceAllStringFunc(message, plainType)
}

// plainType is a Go type in the file's words.
func plainType(t string) string {
	switch t {
	case "string":
		return "text"
	case "int", "float64":
		return "a number"
	case "bool":
		return "true or false"
	case "[]string":
		return "a list of texts"
	case "nil":
		return "nothing"
	}
	name := t[strings.LastIndexByte(t, '.')+1:]
	if strings.Contains(t, "[]") {
		return "a list of " + name + "s"
	}
	return name
}

const viewPrefix = "view."

// withNames replaces what the checker calls a view, its whole type, by its name.
func withNames(message string) string {
	for _, v := range slices.Backward(views) {
		message = strings.ReplaceAll(message, v.as.String(), viewPrefix+v.name)
	}
	return message
}
