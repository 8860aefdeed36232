package routes

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	var got []string
	prefixes := map[reflect.Type]string{}
	element := func(t reflect.Type) reflect.Type {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		return t
	}
	add := func(t reflect.Type, prefix string) {
		for _, name := range fieldNames(t) {
			got = append(got, prefix+name)
		}
		prefixes[t] = prefix
	}
	add(typeOfEnvironment, "")
	for i := range typeOfEnvironment.NumField() { // the parts, whose fields are named by their place
		if f := typeOfEnvironment.Field(i); f.Type.Kind() != reflect.Slice && element(f.Type).Kind() == reflect.Struct {
			add(element(f.Type), f.Tag.Get("expr")+".")
		}
	}
	var rest func(t reflect.Type) // elements of lists, and what stands in parts
	rest = func(t reflect.Type) {
		for i := range t.NumField() {
			if e := element(t.Field(i).Type); e.Kind() == reflect.Struct {
				if _, known := prefixes[e]; !known {
					add(e, "")
				}
				rest(e)
			}
		}
	}
	rest(typeOfEnvironment)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-documented +seen):\n%s", diff)
	}
}
