package events

import (
	"reflect"
	"strings"
)

// The table of an event's fields is event.go: a field of a struct there has its
// name, its type, and its documentation in a comment. From it come what `if` and
// `explain -o json` show (by [Fields]), what templates see, and docs/events.md.

// Field is one field of an event, or of a part of one.
type Field struct {
	Name string // in `if`: target_branch
	Type reflect.Type

	index  int
	method reflect.Value // of a pointer; of a computed field
}

// computed are the methods that are fields too: nothing is stored for them.
var computed = []string{"Name", "OnDefaultBranch", "Paths", "Child", "CouldNotStart"}

// Fields lists the fields of a struct of event.go: those that are computed, and
// then the others, in their order. The payload is none: it is not read by field.
func Fields(t reflect.Type) []Field {
	var list []Field
	for _, name := range computed {
		if m, ok := reflect.PointerTo(t).MethodByName(name); ok {
			list = append(list, Field{Name: computedName(name), Type: m.Type.Out(0), method: m.Func})
		}
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Name != "Payload" {
			list = append(list, Field{Name: snakeCase(f.Name), Type: f.Type, index: i})
		}
	}
	return list
}

// Of is the field of a struct that can be addressed.
func (f *Field) Of(v reflect.Value) reflect.Value {
	if f.method.IsValid() {
		return f.method.Call([]reflect.Value{v.Addr()})[0]
	}
	return v.Field(f.index)
}

// computedName is the name of a computed field. An event's own is called as in
// routes, because "name" would be that of anything.
func computedName(method string) string {
	if method == "Name" {
		return "event"
	}
	return snakeCase(method)
}

// snakeCase is a field's name in conditions: MergeRequest is merge_request,
// OnURL is on_url.
func snakeCase(name string) string {
	var b strings.Builder
	for i := range len(name) {
		upper := 'A' <= name[i] && name[i] <= 'Z'
		wordBegins := i > 0 && upper && (name[i-1] >= 'a' || i+1 < len(name) && name[i+1] >= 'a')
		if wordBegins {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(name[i : i+1]))
	}
	return b.String()
}
