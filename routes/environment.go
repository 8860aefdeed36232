package routes

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/events"
)

// environment is what an `if` sees of an event: a struct with the event's fields by
// their names in snake case. A field is filled in when the first `if` asks for it.
// Parts that the event lacks are nil.
type environment struct {
	event  reflect.Value // the events.Event
	bots   *bots
	seen   reflect.Value // a struct of eventView.as
	filled []bool        // its fields, by their index
}

// view is what an `if` sees of a struct of package events: the same fields, but
// times are texts, durations are seconds, texts have an end, and a bot is whom the
// file says. Its type has no methods, which `if` could call; the checker finds
// fields by their tags.
type view struct {
	name   string // what mistakes call it: user, merge_request
	as     reflect.Type
	fields []viewField
}

type viewField struct {
	events.Field
	convert converter
}

// converter fills in dst from src, which are addressable.
type converter func(dst, src reflect.Value, b *bots)

var (
	views     []*view // of parts first, then of what holds them
	eventView = viewOf(reflect.TypeFor[events.Event]())
)

// viewOf is the view of a struct; there is one of each.
func viewOf(t reflect.Type) *view {
	name := typeName(t)
	if i := slices.IndexFunc(views, func(v *view) bool { return v.name == name }); i >= 0 {
		return views[i]
	}
	v := &view{name: name}
	var fields []reflect.StructField
	for i, f := range events.Fields(t) {
		as, convert := conversion(f.Type)
		v.fields = append(v.fields, viewField{f, convert})
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprintf("F%d", i), Type: as, Tag: reflect.StructTag(fmt.Sprintf(`expr:%q json:"%s,omitempty,omitzero"`, f.Name, f.Name)),
		})
	}
	v.as = reflect.StructOf(fields)
	views = append(views, v)
	return v
}

func typeName(t reflect.Type) string {
	var b strings.Builder
	for i, r := range strings.TrimSuffix(t.Name(), "Part") {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// conversion is how an `if` sees a type, and what makes that of it.
func conversion(t reflect.Type) (reflect.Type, converter) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return reflect.TypeFor[string](), func(dst, src reflect.Value, _ *bots) { dst.SetString(moment(*src.Addr().Interface().(*time.Time))) }
	case reflect.TypeFor[time.Duration]():
		return reflect.TypeFor[float64](), func(dst, src reflect.Value, _ *bots) { dst.SetFloat(time.Duration(src.Int()).Seconds()) }
	}
	switch t.Kind() {
	case reflect.String:
		return t, func(dst, src reflect.Value, _ *bots) { dst.SetString(cut(src.String())) }
	case reflect.Int, reflect.Int64:
		return reflect.TypeFor[int](), func(dst, src reflect.Value, _ *bots) { dst.SetInt(src.Int()) }
	case reflect.Struct:
		v := viewOf(t)
		return v.as, v.convert
	case reflect.Pointer:
		as, convert := conversion(t.Elem())
		return reflect.PointerTo(as), func(dst, src reflect.Value, b *bots) {
			if !src.IsNil() {
				dst.Set(reflect.New(as))
				convert(dst.Elem(), src.Elem(), b)
			}
		}
	case reflect.Slice:
		as, convert := conversion(t.Elem())
		return reflect.SliceOf(as), func(dst, src reflect.Value, b *bots) {
			dst.Set(reflect.MakeSlice(reflect.SliceOf(as), src.Len(), src.Len()))
			for i := range src.Len() {
				convert(dst.Index(i), src.Index(i), b)
			}
		}
	}
	return t, func(dst, src reflect.Value, _ *bots) { dst.Set(src) }
}

func (v *view) convert(dst, src reflect.Value, b *bots) {
	for i := range v.fields {
		v.fields[i].convert(dst.Field(i), v.fields[i].Of(src), b)
	}
	if u, ok := src.Addr().Interface().(*events.User); ok {
		dst.Field(v.index("bot")).SetBool(b.has(u))
	}
}

// index is the place of a field, or -1.
func (v *view) index(name string) int {
	return slices.IndexFunc(v.fields, func(f viewField) bool { return f.Name == name })
}

// names are the names that `if` knows the fields by.
func (v *view) names() []string {
	names := make([]string, len(v.fields))
	for i := range v.fields {
		names[i] = v.fields[i].Name
	}
	return names
}

// isPart tells whether a field of an event is a part, which it may lack.
func isPart(name string) bool {
	i := eventView.index(name)
	return i >= 0 && eventView.fields[i].Type.Kind() == reflect.Pointer
}

// maxVariable is how much of a text an `if` looks at, in bytes: its time is
// bounded, whatever the event holds.
const maxVariable = 16 << 10

// cut is the beginning of a text that an `if` looks at.
func cut(s string) string {
	if len(s) <= maxVariable {
		return s
	}
	i := maxVariable
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return s[:i]
}

// moment is a time as text: "2026-12-01T09:30:00Z"; "" when it is not known.
// The later of two times compares as the greater.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func newEnvironment(e *events.Event, b *bots) *environment {
	return &environment{
		event: reflect.ValueOf(e).Elem(), bots: b, seen: reflect.New(eventView.as).Elem(), filled: make([]bool, len(eventView.fields)),
	}
}

// with is the environment with these fields filled in, as a pointer to the struct.
func (env *environment) with(names ...string) any {
	for _, name := range names {
		i := eventView.index(name)
		if i < 0 || env.filled[i] {
			continue
		}
		f := &eventView.fields[i]
		f.convert(env.seen.Field(i), f.Of(env.event), env.bots)
		env.filled[i] = true
	}
	return env.seen.Addr().Interface()
}

// whole is the environment with all fields filled in.
func (env *environment) whole() any { return env.with(eventView.names()...) }

// lookup is the value of a path such as "pipeline.duration"; not ok when a part
// of it is missing.
func (env *environment) lookup(path string) (any, bool) {
	first, rest, deeper := strings.Cut(path, ".")
	i := eventView.index(first)
	if i < 0 {
		return nil, false
	}
	env.with(first)
	v, of := env.seen.Field(i), eventView.fields[i].Type
	if deeper {
		if v.Kind() == reflect.Pointer {
			v, of = v.Elem(), of.Elem()
		}
		if v.Kind() != reflect.Struct {
			return nil, false
		}
		if i = viewOf(of).index(rest); i < 0 {
			return nil, false
		}
		v = v.Field(i)
	}
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, false
	}
	return v.Interface(), true
}
