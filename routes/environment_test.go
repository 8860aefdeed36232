package routes

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/events"
)

// TestFieldsAreDocumented: what `if` can see is what docs/events.md lists.
func TestFieldsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, fields, _ := strings.Cut(string(page), "\n# Fields\n")
	var want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| ").FindAllStringSubmatch(fields, -1) {
		want = append(want, m[1])
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, pathsOf(eventView)); diff != "" {
		t.Errorf("(-documented +seen):\n%s", diff)
	}
}

// pathsOf are the paths of all fields as docs/events.md names them: those of a part
// behind its place in the event, those of an element of a list by their own names.
func pathsOf(v *view) []string {
	of := func(f viewField) *view {
		t := f.Type
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if i := slices.IndexFunc(views, func(v *view) bool { return v.name == typeName(t) && t.Kind() == reflect.Struct }); i >= 0 {
			return views[i]
		}
		return nil
	}
	paths, placed := v.names(), map[*view]bool{v: true}
	for _, f := range v.fields {
		if part := of(f); part != nil {
			placed[part] = true
			for _, name := range part.names() {
				paths = append(paths, f.Name+"."+name)
			}
		}
	}
	for _, other := range views {
		if !placed[other] {
			paths = append(paths, other.names()...)
		}
	}
	slices.Sort(paths)
	return paths
}

// TestEveryFieldIsSeen: whatever an event holds, `if` and `explain -o json` have, with
// its value, under its name, and nothing else.
func TestEveryFieldIsSeen(t *testing.T) {
	var e events.Event
	fill(reflect.ValueOf(&e).Elem(), new(int))
	want := seenAs(reflect.ValueOf(&e).Elem())
	s := (&Table{}).subject(&e)
	text, err := json.Marshal((&Table{}).Explain(&e).Fields)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, any(got)); diff != "" {
		t.Errorf("(-event +explain)\n%s", diff)
	}
	for _, path := range pathsOf(eventView) {
		if v, ok := s.environment().lookup(path); ok && v != false && reflect.ValueOf(v).IsZero() {
			t.Errorf("if sees nothing in %s", path)
		}
	}
	if len(got) < 37 {
		t.Errorf("only %d fields", len(got))
	}
}

// fill puts a value of its own into every field.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString("text " + strconv.Itoa(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint('x')
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n) * int64(time.Second))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(int64(*n), 0)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
}

// seenAs is what JSON should have of a value, found without the table.
func seenAs(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Time:
		return x.UTC().Format(time.RFC3339)
	case time.Duration:
		return x.Seconds()
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		return float64(v.Int())
	case reflect.Pointer:
		return seenAs(v.Elem())
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, seenAs(v.Index(i)))
		}
		return list
	case reflect.Struct:
		m := map[string]any{}
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Payload" {
				m[snake(name)] = seenAs(v.Field(i))
			}
		}
		switch x := v.Addr().Interface().(type) { // what is computed
		case *events.Event:
			m["event"] = x.Name()
			m["on_default_branch"] = x.OnDefaultBranch()
		case *events.PushPart:
			m["paths"] = seenAs(reflect.ValueOf(x.Paths()))
		case *events.PipelinePart:
			m["child"], m["could_not_start"] = x.Child(), x.CouldNotStart()
		}
		maps.DeleteFunc(m, func(_ string, v any) bool { return v == false })
		return m
	}
	return v.Interface()
}

var wordStart = regexp.MustCompile(`([a-z])([A-Z])|([A-Z])([A-Z][a-z])`)

// snake is a field's name in conditions.
func snake(name string) string {
	return strings.ToLower(wordStart.ReplaceAllString(name, "${1}${3}_${2}${4}"))
}
