package events

import (
	"encoding/json"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

// wellFormed checks what holds for every event, whatever it was read from.
func wellFormed(t *testing.T, e *Event) {
	t.Helper()
	if e.Kind == "" {
		t.Error("no kind")
	}
	if strings.Trim(e.Action, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		t.Errorf("action %q", e.Action)
	}
	if len(e.Warnings) > maxWarnings {
		t.Errorf("%d warnings", len(e.Warnings))
	}
	if strings.HasPrefix(e.Header, "Confidential ") && !e.Confidential {
		t.Error("not confidential under a confidential header")
	}
}

// places are the values of the samples of a kind, each place once: a list's
// items are one place.
type places map[string]bool

// visit calls visit with a setter of every value within v that stands in a new
// place, and puts back what was there.
func (p places) visit(place string, v any, visit func(set func(any))) {
	each := func(place string, old any, set func(any)) {
		if !p[place] {
			p[place] = true
			visit(set)
			set(old)
		}
		p.visit(place, old, visit)
	}
	switch v := v.(type) {
	case map[string]any:
		for key, old := range v {
			each(place+"."+key, old, func(other any) { v[key] = other })
		}
	case []any:
		for i, old := range v {
			each(place+"[]", old, func(other any) { v[i] = other })
		}
	}
}

// eachNewPlace calls visit for every place of every sample, with the sample, its
// payload and a setter of the value in that place.
func eachNewPlace(t *testing.T, visit func(s Sample, root any, set func(any))) {
	t.Helper()
	seen := map[string]places{}
	for _, s := range Samples() {
		kind, _, _ := strings.Cut(strings.ReplaceAll(s.Name, "~", "."), ".")
		if seen[kind] == nil {
			seen[kind] = places{}
		}
		var root any
		if err := json.Unmarshal(s.Body, &root); err != nil {
			t.Fatal(err)
		}
		seen[kind].visit("", root, func(set func(any)) { visit(s, root, set) })
	}
}

// TestEveryByteCut cuts after every byte each sample that has much which no other
// of its kind has: CheckObject refuses it, and Decode makes do with it.
func TestEveryByteCut(t *testing.T) {
	own := map[string]int{}
	eachNewPlace(t, func(s Sample, _ any, _ func(any)) { own[s.Name]++ })
	cut := 0
	for name, places := range own {
		if places < 10 {
			continue
		}
		cut++
		header, body := sent(t, name)
		for i := range body {
			head := body[:i:i]
			if CheckObject(head) == nil {
				t.Errorf("accepted after %d of %d bytes", i, len(body))
			}
			wellFormed(t, Decode(Input{Header: header, Body: head}))
			if t.Failed() {
				t.Fatalf("%s cut after %d of %d bytes", name, i, len(body))
			}
		}
	}
	if cut < len(Kinds()) {
		t.Errorf("only %d samples cut", cut)
	}
}

// otherTypes are values of every type of JSON, to stand where GitLab sends
// another.
var otherTypes = []any{nil, true, -1.5, "", "x", []any{}, []any{nil, "x", []any{}}, map[string]any{}, map[string]any{"id": []any{}, "": nil}}

// TestEveryTypeSwapped puts a value of every type in every place of every sample.
func TestEveryTypeSwapped(t *testing.T) {
	swapped := 0
	eachNewPlace(t, func(s Sample, root any, set func(any)) {
		for _, other := range otherTypes {
			set(other)
			body, err := json.Marshal(root)
			if err != nil {
				t.Fatal(err)
			}
			if err := CheckObject(body); err != nil {
				t.Fatal(err)
			}
			wellFormed(t, Decode(Input{Header: s.Header, Body: body}))
			if t.Failed() {
				t.Fatalf("%s: from %s", s.Name, body)
			}
			swapped++
		}
	})
	if swapped < 5000 {
		t.Errorf("only %d values swapped", swapped)
	}
}

// eachHostile calls try with payloads made to hurt who reads them, and what
// CheckObject says of them. Each is to cost at most a few times its own size: what
// takes longer than its length allows is found by the time limit of the test.
func eachHostile(try func(name, body string, err error)) {
	arrays := func(n int) string {
		return `{"object_kind":"push","commits":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}"
	}
	objects := func(n int) string {
		return strings.Repeat(`{"commits":`, n-1) + "{}" + strings.Repeat("}", n-1)
	}
	long := func(key, text string) string {
		return `{"object_kind":"merge_request","object_attributes":{"action":"update","` + key + `":"` + text + `"},"changes":{"` + key + `":{"previous":"","current":"` + text[:len(text)/2] + `"}}}`
	}
	const mega = 1_000_000
	try("1,000 deep", arrays(1000), nil)
	try("1,001 deep", arrays(1001), ErrTooDeep)
	try("1,000 objects deep", objects(1000), nil)
	try("1,001 objects deep", objects(1001), ErrTooDeep)
	try("12 million arrays never closed", `{"commits":`+strings.Repeat("[", 12*mega), ErrTooDeep)
	try("12 million objects never closed", `{"commits":`+strings.Repeat("{", 12*mega), ErrNotJSON)
	try("2 million objects with keys never closed", strings.Repeat(`{"a":`, 2*mega), ErrTooDeep)
	try("2 million brackets closed only", "{"+strings.Repeat("]", 2*mega), ErrNotJSON)
	try("a string of 10 MB", long("title", strings.Repeat("x", 10*mega)), nil)
	try("a string of 10 MB of line breaks", long("description", strings.Repeat(`\n`, 5*mega)), nil)
	try("a string of 2 MB of backticks", long("title", strings.Repeat("`", 2*mega)), nil)
	try("a string of 2 MB of surrogates", long("title", strings.Repeat(`\ud83d`, mega/3&^1)), nil)
	try("a string of 2 MB that never ends", `{"object_kind":"push","ref":"`+strings.Repeat("x", 2*mega), ErrNotJSON)
	try("a key of 2 MB", `{"`+strings.Repeat("k", 2*mega)+`":1,"object_kind":"push"}`, nil)
	try("a number of 2 MB", `{"object_kind":"push","user_id":`+strings.Repeat("9", 2*mega)+`}`, nil)
	try("a date of 2 MB", `{"object_kind":"issue","object_attributes":{"created_at":"2026-01-01 00:00:00.`+strings.Repeat("0", 2*mega)+`"}}`, nil)
	try("a username of 2 MB", `{"object_kind":"issue","user":{"username":"`+strings.Repeat("A", 2*mega)+`"}}`, nil)
	try("200,000 keys", "{"+strings.Repeat(`"a":{"b":[1]},`, mega/5)+`"object_kind":"push"}`, nil)
	try("200,000 commits", `{"object_kind":"push","commits":[`+strings.Repeat("{},", mega/5)+`{}],"after":"end"}`, nil)
	try("200,000 paths", `{"object_kind":"push","commits":[`+strings.Repeat(`{"added":[`+strings.Repeat(`"",`, 1000)+`""]},`, 200)+`{}]}`, nil)
	try("200,000 labels that changed", `{"object_kind":"issue","object_attributes":{"action":"update"},"changes":{"labels":[[],[`+strings.Repeat(`{"id":1},`, mega/5)+`{}]]}}`, nil)
	try("200,000 changes", `{"object_kind":"issue","object_attributes":{"action":"update"},"changes":{`+strings.Repeat(`"a":[1,2],`, mega/5)+`"b":[]}}`, nil)
	try("a megabyte of the trailer of a merge", `{"object_kind":"push","after":"a","commits":[{"id":"a","message":"`+strings.Repeat("See merge request ", mega/18)+`"}]}`, nil)
	try("invalid UTF-8", `{"object_kind":"push","ref":"refs/heads/`+strings.Repeat("\xff\xc0\x80", mega)+`"}`, nil)
	try("NUL", "{\"object_kind\":\"push\",\"ref\":\"refs/heads/\x00\"}", ErrNotJSON)
	try("escaped NUL", `{"object_kind":"push","ref":"refs/heads/a\u0000b"}`, nil)
	try("lone high surrogate", `{"object_kind":"push","ref":"refs/heads/\ud800"}`, nil)
	try("lone low surrogate", `{"object_kind":"push","ref":"refs/heads/\udc00x"}`, nil)
	try("surrogates the wrong way round", `{"object_kind":"push","ref":"refs/heads/\udc00\ud800"}`, nil)
	try("half an escape", `{"object_kind":"push","ref":"refs/heads/\u00`, ErrNotJSON)
}

func TestHostile(t *testing.T) {
	eachHostile(func(name, text string, want error) {
		t.Run(name, func(t *testing.T) {
			body := []byte(text)
			if err := CheckObject(body); !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("CheckObject = %v, want %v", err, want)
			}
			var e *Event
			used := allocated(func() { e = Decode(Input{Header: "Push Hook", Body: body}) })
			const times, least = 4, 8 << 20
			if limit := uint64(times*len(body) + least); used > limit {
				t.Errorf("%d MB for a payload of %d MB", used>>20, len(body)>>20)
			}
			wellFormed(t, e)
			eachString(reflect.ValueOf(*e), func(s string) {
				if !utf8.ValidString(s) {
					t.Errorf("%.40q is not valid UTF-8", s)
				}
			})
		})
	})
}

// allocated is how many bytes f takes from the heap, also those it gives back.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestListsAreBounded wants a payload of many small things not to become an
// event of many large ones.
func TestListsAreBounded(t *testing.T) {
	body := `{"object_kind":"push","commits":[` + strings.Repeat("{},", 100_000) + `{}],"after":"end"}`
	e := decode("Push Hook", body)
	if len(e.Push.Commits) != maxObjects {
		t.Errorf("%d commits", len(e.Push.Commits))
	}
	if len(e.Warnings) != 1 || e.Warnings[0] != "commits: list cut at 5000" {
		t.Errorf("warnings %q", e.Warnings)
	}
	if e.Push.After != "end" {
		t.Error("what follows the list was not read")
	}
	body = "{" + strings.Repeat(`"a":{"b":[1]},`, 10_000) + `"object_kind":"push"}`
	if e := decode("Push Hook", body); len(e.Warnings) == 0 || len(e.Warnings) > maxWarnings {
		t.Errorf("%d warnings", len(e.Warnings))
	}
}

// TestStringsAreBounded wants all lists together not to become an event of many
// strings.
func TestStringsAreBounded(t *testing.T) {
	commit := `{"added":[` + strings.Repeat(`"a",`, maxStrings/4) + `"a"],"title":"t"}`
	e := decode("Push Hook", `{"object_kind":"push","commits":[`+strings.Repeat(commit+",", 9)+commit+`]}`)
	paths := 0
	for _, c := range e.Push.Commits {
		paths += len(c.Added)
	}
	if paths != maxStrings || len(e.Push.Commits) != 10 || e.Push.Commits[9].Title != "t" {
		t.Errorf("%d paths in %d commits", paths, len(e.Push.Commits))
	}
	if len(e.Warnings) == 0 {
		t.Error("no warning")
	}
}
