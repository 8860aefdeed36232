package formatters

import (
	"reflect"
	"testing"

	"github.com/gitlab-mattermost/relay/events"
)

// TestEveryFieldIsInTemplates: templates have what an event holds, under the same
// name, as a field or a method.
func TestEveryFieldIsInTemplates(t *testing.T) {
	element := func(t reflect.Type) reflect.Type {
		for t != nil && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice) {
			t = t.Elem()
		}
		return t
	}
	own := reflect.TypeFor[events.Event]().PkgPath()
	seen := map[reflect.Type]bool{}
	var compare func(path string, event, data reflect.Type)
	compare = func(path string, event, data reflect.Type) {
		if seen[event] {
			return
		}
		seen[event] = true
		for i := range event.NumField() {
			f := event.Field(i)
			if !f.IsExported() {
				continue
			}
			of, to := element(f.Type), element(namedIn(data, f.Name))
			if to == nil {
				t.Errorf("templates lack %s%s", path, f.Name)
			} else if of.Kind() == reflect.Struct && of.PkgPath() == own {
				compare(path+f.Name+".", of, to)
			}
		}
	}
	compare("", reflect.TypeFor[events.Event](), reflect.TypeFor[Data]())
	if len(seen) < 18 {
		t.Errorf("only %d types were seen", len(seen))
	}
}

// namedIn is the type of a field, or of what a method gives; nil without either.
func namedIn(t reflect.Type, name string) reflect.Type {
	if f, ok := t.FieldByName(name); ok {
		return f.Type
	}
	if m, ok := reflect.PointerTo(t).MethodByName(name); ok {
		return m.Type.Out(0)
	}
	return nil
}
