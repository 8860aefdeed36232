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
		if p, isPrinted := pairs[i].(printed); isPrinted {
			name, ok = string(p), true
		}
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

// printed is what print, println and printf return: the template's own words,
// and GitLab's text escaped.
type printed string

// plainOf is a value as people read it: a text as it came, finished Markdown
// without its markup. Whatever is shown as code, cut, or put into an address is
// read so first, because it would show the escapes.
func plainOf(v any) string {
	switch v := v.(type) {
	case nil, string, Text, *Document, URL, User:
		s, _ := source(v)
		return s
	case Markdown:
		return strings.ReplaceAll(plainText(string(v)), joiner, "")
	case fmt.Stringer:
		return withoutEscapes(v.String())
	}
	return withoutEscapes(fmt.Sprint(v))
}

// withoutEscapes takes back what [escape] did.
func withoutEscapes(s string) string {
	return invisible.Replace(unescape([]byte(s)))
}

// invisible are the characters that escape adds.
var invisible = strings.NewReplacer(joiner, "", isolate, "", isolateEnd, "")

func sprint(args ...any) (any, error) { return bounded(fmt.Sprint(flat(args)...), args) }

func sprintln(args ...any) (any, error) { return bounded(fmt.Sprintln(flat(args)...), args) }

// flat replaces all but numbers and words by their strings. The strings of
// lists and dicts are bounded, while fmt would go through them for itself; and
// fmt prints a [Text] as it came under a verb that is not for strings.
func flat(args []any) []any {
	args = slices.Clone(args)
	for i, v := range args {
		switch v := v.(type) {
		case nil, bool, string, printed, Markdown, int, int64, float64, time.Duration, json.Number:
		default:
			args[i] = fmt.Sprint(v)
		}
	}
	return args
}

var wideVerb = regexp.MustCompile(`%[^a-zA-Z%]*(?:\d{3}|\*)`)

// maxVerbs is how many values a format may print.
const maxVerbs = 100

func sprintf(format any, args ...any) (any, error) {
	f := markdownOf(format)
	if wideVerb.MatchString(f) {
		return nil, errors.New("printf: width and precision are at most 99")
	}
	if strings.Count(f, "%") > maxVerbs {
		return nil, fmt.Errorf("printf: at most %d verbs", maxVerbs)
	}
	return bounded(fmt.Sprintf(f, flat(args)...), args)
}

// bounded is what was printed of these values: Markdown if one of them was.
func bounded(s string, args []any) (any, error) {
	if len(s) > maxOutput {
		return nil, errTooMuch
	}
	for _, v := range args {
		if _, finished := v.(Markdown); finished {
			return Markdown(s), nil
		}
	}
	return printed(s), nil
}
