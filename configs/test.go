package configs

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Test is one entry of tests:.
type Test struct {
	Name     string // as written, or "tests[3]"
	Pos      Pos
	Event    string         // name of a built-in sample, or absolute path of a payload file
	EventPos Pos            // of the event
	At       time.Time      // when its webhook comes; zero: whenever routes want it
	With     map[string]any // what the event's payload is changed to say: string, bool or []string
	To       []To           // whom it must go to, in any order
}

// tests reads `tests`.
func (r *reader) tests(top object) []Test {
	entries := r.entriesOf(top, "tests", "start each test with a dash: - event: …")
	if r.fence != nil && len(entries) > maxFencedRoutes {
		r.errorf(top.fields["tests"].key, "split the file", "this file has more than %d tests", maxFencedRoutes)
		return nil
	}
	var out []Test
	for i, n := range entries {
		out = append(out, r.test(n, i))
	}
	return out
}

func (r *reader) test(n *yaml.Node, index int) Test {
	where := fmt.Sprintf("tests[%d]", index)
	t := Test{Name: r.unnamed(where), Pos: r.pos(n)}
	if name := named(n); name != "" {
		where = fmt.Sprintf("test %q", harmless(name))
	}
	o, ok := r.object(n, where, testKeys)
	if !ok {
		return t
	}
	if name, ok := r.line(o, "name", "test"); ok {
		t.Name = name
	}
	if !o.has("event") && !o.meant["event"] {
		r.errorf(n, "add event: the name of a sample, such as merge_request.open, or a payload file", "%s has no event", where)
	}
	if v, ok := r.scalar(o, "event"); ok {
		t.Event, t.EventPos = v.text, r.pos(v.node)
		if isFile(t.Event) {
			r.payloadFile(v)
			t.Event = absolute(r.path(t.Event))
		}
		if strings.TrimSpace(t.Event) == "" {
			r.errorf(v.node, "name a sample, such as merge_request.open, or a payload file", "event of %s is empty", where)
		}
	}
	if f, ok := o.fields["with"]; ok {
		t.With = r.with(f, "with of "+where)
	}
	t.At = r.moment(o)
	t.To = r.expect(o, n)
	return t
}

// isFile tells a payload file from the name of a sample.
func isFile(event string) bool {
	return strings.HasSuffix(event, ".json") || strings.ContainsAny(event, `/\`)
}

// payloadFile refuses the payload file of a fenced file that could not be
// included itself.
func (r *reader) payloadFile(v value) {
	if r.fence == nil {
		return
	}
	err := reachable(r.folder(), r.path(v.text))
	if errors.Is(err, errOutside) || errors.Is(err, errLink) {
		r.errorf(v.node, "", "payload file %q of a test: %s", v.shown(), reason(err))
	}
}

// absolute is a path that holds wherever it is opened from.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// with reads what a payload is changed to say.
func (r *reader) with(f field, where string) map[string]any {
	o, ok := r.object(f.value, where, withKeys)
	if !ok {
		return nil
	}
	r.nothing(f, where)
	out := map[string]any{}
	for _, key := range o.order {
		switch key {
		case "bot", "draft", "confidential":
			if flag := r.flag(o, key); flag != nil {
				out[key] = flag.Value
			}
		case "visibility":
			if v := r.word(o, key, "", visibilityWords...); v != "" {
				out[key] = v
			}
		case "labels", "paths":
			if list, ok := r.optionalList(o, key); ok {
				out[key] = textsOf(list)
			}
		default:
			if v, ok := r.scalar(o, key); ok {
				out[key] = v.text
			}
		}
	}
	return out
}

// optionalList reads a list that may be empty.
func (r *reader) optionalList(o object, key string) ([]value, bool) {
	if f := o.fields[key]; f.value != nil && f.value.Kind == yaml.SequenceNode && len(f.value.Content) == 0 {
		return nil, true
	}
	return r.list(o, key)
}

func textsOf(values []value) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.text
	}
	return out
}

// expect reads the addresses that a test expects.
func (r *reader) expect(test object, n *yaml.Node) []To {
	f, ok := test.fields["expect"]
	if !ok {
		if !test.meant["expect"] {
			r.errorf(n, "add expect: {to: […]}, with [] for none", "%s expects nothing", test.where)
		}
		return nil
	}
	where := "expect of " + test.where
	o, ok := r.object(f.value, where, expectKeys)
	if !ok {
		return nil
	}
	if !o.has("to") {
		if len(f.value.Content) == 0 {
			r.errorf(f.key, "add to: […], with [] for none", "%s is empty", where)
		}
		return nil
	}
	values, _ := r.optionalList(o, "to")
	var out []To
	for _, v := range values {
		if to, ok := r.to(v, "to of "+where); ok {
			out = append(out, to)
		}
	}
	return out
}
