package formatters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAppendJSON: the same as encoding/json.
func TestAppendJSON(t *testing.T) {
	for _, s := range append([]string{"", "plain", "\x00\x01\b\f\n\r\t\x1f\x7f", `"\/`, "<&>", "é中😀", "\u2028\u2029", "a\xffb\xc3", "\ufffd"}, hostile...) {
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
		if got := string(appendJSON(nil, s)) + "\n"; got != want.String() {
			t.Errorf("appendJSON(%q) = %s, want %s", s, got, want.String())
		}
	}
}

// TestPayloadIsText: nothing in a decoded payload prints unescaped, names
// included.
func TestPayloadIsText(t *testing.T) {
	const masked = Text("[redacted]")
	body := []byte(`{"a":"@all","@all":{"*x*":[null,"@here",1.50,true]},"variables":[{"key":"K","value":"secret","<b>":"x"}],"n":{"variables":{"@all":"secret"}}}`)
	want := map[string]any{
		"a":          Text("@all"),
		"@\u2060all": map[string]any{`\*x\*`: []any{Text(""), Text("@here"), json.Number("1.50"), true}},
		"variables":  []any{map[string]any{"key": Text("K"), "value": masked, "&lt;b>": masked}},
		"n":          map[string]any{"variables": map[string]any{"@\u2060all": masked}},
	}
	if diff := cmp.Diff(want, decodePayload(body)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, odd := range []string{"", "[]", "1", "null", "{", `{"a":1}}`} {
		if got := decodePayload([]byte(odd)); got == nil {
			t.Errorf("decodePayload(%q) is nil", odd)
		}
	}
}

// TestDataPrintsNothingRaw: no field that a template can reach, and no method
// that it can call, gives a plain string.
func TestDataPrintsNothingRaw(t *testing.T) {
	seen := map[reflect.Type]bool{}
	own := reflect.TypeFor[Data]()
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		for i := range typ.NumMethod() {
			m := typ.Method(i)
			if m.Name == "String" || typ.PkgPath() == "time" || typ.Kind() == reflect.Pointer && typ.Elem().PkgPath() == "time" {
				continue
			}
			for j := range m.Type.NumOut() {
				walk(fmt.Sprintf("%s.%s()", path, m.Name), m.Type.Out(j))
			}
		}
		switch typ.Kind() {
		case reflect.String:
			if typ != reflect.TypeFor[Text]() && typ != reflect.TypeFor[URL]() && typ != reflect.TypeFor[Markdown]() {
				t.Errorf("%s is a %s, which prints as it is", path, typ)
			}
		case reflect.Pointer, reflect.Slice, reflect.Array:
			walk(path, typ.Elem())
		case reflect.Struct:
			if typ.PkgPath() == "time" {
				return
			}
			for i := range typ.NumField() {
				// Detail is the relay's own word.
				if f := typ.Field(i); f.IsExported() && !(typ == own && f.Name == "Detail") {
					walk(path+"."+f.Name, f.Type)
				}
			}
		}
	}
	walk("Data", reflect.TypeFor[*Data]())
	if len(seen) < 20 {
		t.Errorf("only %d types were seen", len(seen))
	}
}
