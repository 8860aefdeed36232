package events

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestUnescape(t *testing.T) {
	for _, s := range []string{
		"", "a", `a\nb`, `\"\\\/\b\f\n\r\t`, `\u0041\u00e9\u20AC`, `\ud83d\ude00!`, `\u0000`,
		`\ud800`, `\ud800x`, `\ud800\u0041`, `\udc00\ud800`, `\ud800\ud83d\ude00`, `é\té`, `\ud83d\n`,
	} {
		var want string
		if err := json.Unmarshal([]byte(`"`+s+`"`), &want); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if got := unescape(s); got != want {
			t.Errorf("unescape(%s) = %q, want %q", s, got, want)
		}
	}
}

// TestUnescapeBroken has what CheckObject refuses: it is read somehow, as valid
// UTF-8 and to its end.
func TestUnescapeBroken(t *testing.T) {
	tests := []struct{ in, want string }{
		{`a\`, "a\uFFFD"},
		{`\u`, "\uFFFD"},
		{`\u12`, "\uFFFD12"},
		{`\u12x4b`, "\uFFFD12x4b"},
		{`\xb`, "xb"},
		{`\éb`, "éb"},
		{`\ud800\u`, "\uFFFD\uFFFD"},
		{`\ud800\`, "\uFFFD\uFFFD"},
	}
	for _, tt := range tests {
		if got := unescape(tt.in); got != tt.want || !utf8.ValidString(got) {
			t.Errorf("unescape(%s) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

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
		d := decoder{event: &Event{}, reader: reader{json: share(body)}}
		d.readFields()
		if len(d.fields) >= maxFields {
			return
		}
		for key, raw := range want {
			v := d.get(key)
			if got := d.raw(v); got != string(raw) {
				t.Errorf("%q is %q, want %q", key, got, raw)
			}
			var text string
			if d.sort(v) == '"' && json.Unmarshal(raw, &text) == nil && d.str(v) != text {
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
