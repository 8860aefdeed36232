package configs

import (
	"fmt"
	"regexp"
	"strings"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

const maxExpandErrors = 20 // that are told of one value

// allowance says why a variable may not be read; nil if it may.
type allowance func(name string) *expandError

// expandError is a ${…} that cannot be expanded.
type expandError struct {
	reference, message, hint string
	unset                    bool // it would expand with another environment
	refused                  bool // an included file may not read the variable
}

// expand replaces ${VAR} and ${VAR:-default} in a value and $${ by ${. The
// default also stands in for a variable that is set to nothing. Any other $ is
// itself. A nil may allows every variable.
func expand(s string, env Env, may allowance) (string, []expandError) {
	var b strings.Builder
	var errs []expandError
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), errs
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return "", append(errs, expandError{reference: s, message: "${ without }", hint: "close it, or write $${ for the two characters"})
		}
		value, err := variable(s[2:end], env, may)
		if err != nil {
			err.reference = s[:end+1]
			if errs = append(errs, *err); len(errs) >= maxExpandErrors {
				return "", errs
			}
		}
		b.WriteString(value)
		s = s[end+1:]
	}
}

func variable(inner string, env Env, may allowance) (string, *expandError) {
	name, fallback, hasFallback := strings.Cut(inner, ":-")
	if strings.Contains(fallback, "${") {
		return "", &expandError{message: "a ${VAR} inside a default is not read", hint: "write the default out"}
	}
	if !variableName.MatchString(name) {
		return "", &expandError{message: "this is no ${VAR}", hint: "write ${VAR} or ${VAR:-default}, or $${ for the two characters"}
	}
	if may != nil {
		if err := may(name); err != nil {
			return "", err
		}
	}
	value, set := env(name)
	if hasFallback && value == "" {
		return fallback, nil
	}
	if !set {
		return "", &expandError{
			message: fmt.Sprintf("environment variable %s is not set", name),
			hint:    fmt.Sprintf("set it, or write ${%s:-default}", name),
			unset:   true,
		}
	}
	return value, nil
}
