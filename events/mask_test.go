package events

import (
	"encoding/json"
	"strings"
	"testing"
)

func withoutToken(s string) string { return strings.ReplaceAll(s, "token", "[redacted]") }

func same(s string) string { return s }

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		`{"a": 1, "b": [true, null, "x"]}`: `{"a": 1, "b": [true, null, "x"]}`,
		`{"object_attributes":{"variables":[{"key":"PW","value":"canary","variable_type":"file","n":3}],"id":7}}`: `{"object_attributes":{"variables":[{"key":"PW","value":"[redacted]","variable_type":"file","n":"[redacted]"}],"id":7}}`,
		`{"variables": {"PW": "canary", "N": {"deep": ["canary"]}}, "after": "variables"}`:                        `{"variables": {"PW": "[redacted]", "N": "[redacted]"}, "after": "variables"}`,
		`{"variables":"canary"}`: `{"variables":"[redacted]"}`,
		`{"variables":12}`:       `{"variables":"[redacted]"}`,
		`{"variables":null}`:     `{"variables":null}`,
		`{"variables":["canary",["canary"],{"key":{"a":"canary"}}]}`: `{"variables":["[redacted]","[redacted]",{"key":"[redacted]"}]}`,
		`{"v\u0061riables":[{"value":"canary \" }"}],"x":"\""}`:      `{"v\u0061riables":[{"value":"[redacted]"}],"x":"\""}`,
		`{"to\u006ben":"a to\u006ben & more","b":["token"]}`:         `{"[redacted]":"a [redacted] \u0026 more","b":["[redacted]"]}`,
		`[{"builds":[{"variables":[]}]},"variables"]`:                `[{"builds":[{"variables":[]}]},"variables"]`,
	} {
		got := Mask([]byte(in), withoutToken)
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

// Every sample stays what it is, apart from what is masked, and deep nesting
// takes no more than one pass.
func TestMaskKeepsPayloads(t *testing.T) {
	for _, s := range Samples() {
		got := Mask(s.Body, same)
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: the masked payload is no JSON", s.Name)
		}
		if !strings.Contains(string(s.Body), `"variables"`) && got != string(s.Body) {
			t.Errorf("%s: the payload was changed", s.Name)
		}
	}
	deep := strings.Repeat(`{"a":[`, 400) + `{"variables":{"PW":"canary"}}` + strings.Repeat(`]}`, 400)
	if got := Mask([]byte(deep), same); strings.Contains(got, "canary") || len(got) != len(deep)+len(`[redacted]`)-len(`canary`) {
		t.Error("a deep payload is not masked")
	}
}

func FuzzMask(f *testing.F) {
	f.Add(`{"variables":[{"key":"a","value":1}],"b":{"c":[1,2.5e3,true]}}`)
	f.Fuzz(func(t *testing.T, in string) {
		if CheckObject([]byte(in)) != nil {
			t.Skip()
		}
		if got := Mask([]byte(in), withoutToken); !json.Valid([]byte(got)) {
			t.Errorf("%q was made %q, which is no JSON", in, got)
		}
	})
}
