package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestCheckObject(t *testing.T) {
	nested := func(n int) string {
		return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}"
	}
	objects := func(n int) string {
		return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)
	}
	tests := []struct {
		name, body string
		want       error
	}{
		{"empty object", "{}", nil},
		{"space around", " \t\r\n{ } \n", nil},
		{"values", `{"a":[1,-2.5e+3,0,0.1,1E5,true,false,null,"x",{},[]],"b":{"c":"d"}}`, nil},
		{"escapes", `{"a":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"}`, nil},
		{"one name twice", `{"a":1,"a":2}`, nil},
		{"invalid UTF-8", "{\"a\":\"\xff\xfe\"}", nil},
		{"1000 deep", nested(1000), nil},
		{"1000 objects deep", objects(1000), nil},
		{"1001 deep", nested(1001), ErrTooDeep},
		{"1001 objects deep", objects(1001), ErrTooDeep},
		{"depth that never closes", `{"a":` + strings.Repeat("[", 100_000), ErrTooDeep},
		{"nothing", "", ErrNotObject},
		{"space", "  ", ErrNotObject},
		{"array", "[]", ErrNotObject},
		{"string", `"{}"`, ErrNotObject},
		{"null", "null", ErrNotObject},
		{"form", "payload=%7B%7D", ErrNotObject},
		{"byte order mark", "\ufeff{}", ErrNotObject},
		{"12 million brackets", strings.Repeat("[", 12_000_000), ErrNotObject},
		{"open", "{", ErrNotJSON},
		{"two objects", "{}{}", ErrNotJSON},
		{"something after", "{} x", ErrNotJSON},
		{"comma at the end", `{"a":1,}`, ErrNotJSON},
		{"comma at the start", `{,"a":1}`, ErrNotJSON},
		{"comma at an array's end", `{"a":[1,]}`, ErrNotJSON},
		{"no colon", `{"a" 1}`, ErrNotJSON},
		{"no value", `{"a":}`, ErrNotJSON},
		{"key without quotes", `{a:1}`, ErrNotJSON},
		{"number as key", `{1:1}`, ErrNotJSON},
		{"wrong bracket", `{"a":[1}`, ErrNotJSON},
		{"wrong brace", `{"a":{"b":1]}`, ErrNotJSON},
		{"line break in a string", "{\"a\":\"\n\"}", ErrNotJSON},
		{"unknown escape", `{"a":"\x"}`, ErrNotJSON},
		{"short escape", `{"a":"\u12"}`, ErrNotJSON},
		{"leading zero", `{"a":01}`, ErrNotJSON},
		{"plus", `{"a":+1}`, ErrNotJSON},
		{"point without digits", `{"a":1.}`, ErrNotJSON},
		{"exponent without digits", `{"a":1e}`, ErrNotJSON},
		{"minus alone", `{"a":-}`, ErrNotJSON},
		{"half a word", `{"a":tru}`, ErrNotJSON},
		{"comment", `{"a":1/**/}`, ErrNotJSON},
		{"single quotes", `{'a':1}`, ErrNotJSON},
		{"NaN", `{"a":NaN}`, ErrNotJSON},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := CheckObject([]byte(tt.body)); !errors.Is(got, tt.want) {
				t.Errorf("CheckObject = %v, want %v", got, tt.want)
			}
			if want := json.Valid([]byte(tt.body)); tt.want != ErrNotObject && tt.want != ErrTooDeep && want != (tt.want == nil) {
				t.Errorf("json.Valid = %v", want)
			}
		})
	}
}

// TestCheckObjectAllocates nothing, whatever the body.
func TestCheckObjectAllocatesNothing(t *testing.T) {
	deep := []byte(`{"a":` + strings.Repeat("[", 1_000_000))
	sample, _ := SampleNamed("merge_request.update")
	for _, body := range [][]byte{deep, sample.Body} {
		if n := testing.AllocsPerRun(10, func() { CheckObject(body) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// TestCheckObjectCut wants every beginning of a sample to be refused.
func TestCheckObjectCut(t *testing.T) {
	s, _ := SampleNamed("note.commit")
	body := bytes.TrimSpace(s.Body)
	for i := range body {
		if CheckObject(body[:i]) == nil {
			t.Fatalf("accepted after %d of %d bytes", i, len(body))
		}
	}
}

// FuzzCheckObject compares with encoding/json.
func FuzzCheckObject(f *testing.F) {
	for _, s := range Samples() {
		f.Add(s.Body)
	}
	for _, s := range []string{"{}", `{"a":[{}]}`, `{"a":"\u0000"}`, `{"a":-0.0e-0}`, `{"a":1}x`, "[]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := CheckObject(body)
		trimmed := bytes.TrimLeft(body, " \t\r\n")
		switch {
		case len(trimmed) == 0 || trimmed[0] != '{':
			if err != ErrNotObject {
				t.Errorf("%v for what is no object", err)
			}
		case err == ErrTooDeep:
			if bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) <= maxDepth {
				t.Error("too deep with too few brackets")
			}
		case (err == nil) != json.Valid(body):
			t.Errorf("CheckObject = %v, json.Valid = %v", err, json.Valid(body))
		}
	})
}
