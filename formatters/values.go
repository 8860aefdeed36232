package formatters

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// values and entries are what list and dict make. They know how much they hold,
// since a list of itself, over and over, would be endless to print.
type (
	values  []any
	entries map[string]any
)

// String is the values with spaces between them, as much as may be printed.
func (l values) String() string {
	var b strings.Builder
	for i, v := range l {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprint(&b, v)
		if b.Len() > maxOutput {
			break
		}
	}
	return b.String()
}

// String is the entries' names and values, by name.
func (m entries) String() string {
	var all values
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, Markdown(name+":"), m[name])
	}
	return all.String()
}

// maxHeld is how many values a list or a dict may hold, those in its lists
// counted.
const maxHeld = 1000

func list(items ...any) (values, error) {
	if held(values(items)) > maxHeld {
		return nil, fmt.Errorf("a list holds at most %d values", maxHeld)
	}
	return slices.Clone(items), nil // a program uses the slice of arguments again
}

func dict(pairs ...any) (entries, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict: want pairs of name and value")
	}
	m := make(entries, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: want a name, got %T", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	if held(m) > maxHeld {
		return nil, fmt.Errorf("dict: it holds at most %d values", maxHeld)
	}
	return m, nil
}

// held counts the values in v. What v holds was itself made by list or dict, so
// that this ends soon.
func held(v any) int {
	n := 0
	switch v := v.(type) {
	case values:
		for _, e := range v {
			n += held(e)
		}
	case entries:
		for _, e := range v {
			n += held(e)
		}
	}
	return n + 1
}

func sprint(args ...any) (string, error) { return bounded(fmt.Sprint(flat(args)...)) }

func sprintln(args ...any) (string, error) { return bounded(fmt.Sprintln(flat(args)...)) }

// flat replaces all but numbers and words by their strings. The strings of
// lists and dicts are bounded, while fmt would go through them for itself; and
// fmt prints a [Text] as it came under a verb that is not for strings.
func flat(args []any) []any {
	args = slices.Clone(args)
	for i, v := range args {
		switch v := v.(type) {
		case nil, bool, string, Markdown, int, int64, float64, time.Duration, json.Number:
		default:
			args[i] = fmt.Sprint(v)
		}
	}
	return args
}

var wideVerb = regexp.MustCompile(`%[^a-zA-Z%]*(?:\d{3}|\*)`)

// maxVerbs is how many values a format may print.
const maxVerbs = 100

func sprintf(format string, args ...any) (string, error) {
	if wideVerb.MatchString(format) {
		return "", errors.New("printf: width and precision are at most 99")
	}
	if strings.Count(format, "%") > maxVerbs {
		return "", fmt.Errorf("printf: at most %d verbs", maxVerbs)
	}
	return bounded(fmt.Sprintf(format, flat(args)...))
}

func bounded(s string) (string, error) {
	if len(s) > maxOutput {
		return "", errTooMuch
	}
	return s, nil
}
