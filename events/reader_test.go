package events

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// FuzzReader compares the keys and strings that the reader finds with
// encoding/json's.
func FuzzReader(f *testing.F) {
	for _, s := range Samples() {
		f.Add(s.Body)
	}
	for _, s := range []string{`{"a\u0041":"\ud800\u0041\\\"","b":[{"c":"]}"}],"d":1e5}`, `{"":"","a":"\n","a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var want map[string]json.RawMessage
		if CheckObject(body) != nil || !utf8.Valid(body) || json.Unmarshal(body, &want) != nil || len(want) > maxFields/2 {
			return
		}
		d := decoder{event: &Event{}}
		d.readFields(gjson.ParseBytes(body))
		if len(d.fields) >= maxFields {
			return
		}
		for key, raw := range want {
			v := d.get(key)
			if got := v.Raw; got != string(raw) {
				t.Errorf("%q is %q, want %q", key, got, raw)
			}
			var text string
			if v.Type == gjson.String && json.Unmarshal(raw, &text) == nil && d.str(v) != text && !halved(text) {
				t.Errorf("%q says %q, want %q", key, d.str(v), text)
			}
		}
		for _, field := range d.fields {
			if _, ok := want[field.key]; !ok {
				t.Errorf("%q is no key", field.key)
			}
		}
	})
}

// halved tells a text that had half of a surrogate pair: gjson makes one U+FFFD of
// it and the escape behind it, encoding/json two characters.
func halved(text string) bool { return strings.ContainsRune(text, utf8.RuneError) }
