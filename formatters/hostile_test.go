package formatters

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// hostile is what people with bad intent, or bad luck, write into fields.
var hostile = []string{
	"@channel", "hello @all, @here and @alice.", `\@all`, "&#64;all", "&#x40;channel", "&commat;here",
	"@\u0000all", "\u202e@here", "_@alice_", ".@channel", "x.@here", "[@alice](http://evil.example)", "**@all**",
	"](http://evil.example)", "[x](http://evil.example)", "x](http://evil.example) [y", "[x]: http://evil.example",
	"[x][y]", "<http://evil.example>", "http://evil.example/x?y=1", "www.evil.example", "see evil.example/path",
	"![x](http://evil.example/x.png)", "!", "wow!", "<img src=http://evil.example/x.png>", "<!-- x -->", "<b>x</b>",
	"<!here>", "<!channel>", "`<!channel>`", "<@u2u2u2u2u2u2u2u2u2u2u2u2u2>", "<http://evil.example|x>", "a<b|c>d",
	"`<a|b>`", "x<", "a|b>", "`", "``", "```", "`a` ``b``", strings.Repeat("`", 300), "~~~", "~~x~~", "~town-square",
	`\~town-square`, "#tag", `\#tag`, "# h", "## h", "#", "a\n# h", "a\n> q", "> q", "a\n\n- l\n- l", "- l", "+ l", "* l",
	"1. l", "1) l", "a\n---", "---", "===", "a\n===", "| a | b |\n|---|---|\n| c | d |", "    code", "\tcode", "**", "*", "__",
	"__init__", "*a* _b_ **c**", "***x***", ":smile:", ":)", "a:100:b", `\`, `a\`, `\*x\*`, `C:\new\[x](y)`, "&lt;!here&gt;",
	"&amp;#64;all", "&", "AT&T; &copy;", "\u2068@all\u2069", "\ufeff", "\x1b[31mred", "a\rb", "line\u2028line", "\xff\xfe@all",
	"שלום @all", "اختبار ](http://evil.example)", "javascript:alert(1)", "[x](javascript:alert(1))", "mailto:alice@evil.example",
	"alice@evil.example", "ftp://evil.example", "$x$", "{{.Title}}", "%s%n", "<details>", "</a>", "x\n```\n@all\n```\n@all",
	"<http://evil.example\n|x>", "a < b | c > d", "https://evil.example/`x`|y>", "\u200b@all", "＠all",
	strings.Repeat("x", 70_000), strings.Repeat("@all ", 4_000), strings.Repeat("[", 4_000), strings.Repeat("> ", 4_000),
	strings.Repeat("a ", 300) + "](http://evil.example)",
}

// TestHostileText puts every hostile string into every string of every sample,
// and finds in the message nothing that was not in the harmless one.
func TestHostileText(t *testing.T) {
	set := newSet(t)
	met := map[string]bool{}
	for i, sample := range events.Samples() {
		if (strings.HasPrefix(sample.Name, "job.") || strings.HasPrefix(sample.Name, "pipeline.")) &&
			!strings.Contains(sample.Name, "failed") && !strings.Contains(sample.Name, "success") {
			continue // the same templates
		}
		// Where a kind has a field for the first time, all strings are tried;
		// later every fourth, each time others.
		e := decodeSample(sample)
		fields := stringFields(reflect.ValueOf(e).Elem(), "")
		for j := range fields {
			key := e.Kind + fields[j].path
			fields[j].all = !met[key]
			met[key] = true
		}
		t.Run(sample.Name, func(t *testing.T) {
			t.Parallel()
			h := harness{t: t, set: set, event: e, turn: i}
			for _, f := range fields {
				h.field(f)
			}
		})
	}
}

// rendered is a message as the receiver sees it.
type rendered struct {
	body  string
	parts []string
}

type harness struct {
	t     *testing.T
	set   *Set
	event *events.Event
	turn  int
}

func (h harness) render(kind string) rendered {
	post, err := h.set.Render(context.Background(), Request{Event: h.event, Kind: kind})
	if err != nil {
		h.t.Fatalf("render: %v", err)
	}
	if post.Fault != "" {
		h.t.Fatalf("the template failed: %s", post.Fault)
	}
	return rendered{body: string(post.Body), parts: partsOf(h.t, post)}
}

// partsOf are the texts that the receiver reads on their own.
func partsOf(t testing.TB, p Post) []string {
	t.Helper()
	var b hookBody
	if err := json.Unmarshal(p.Body, &b); err != nil {
		t.Fatalf("the body is no JSON: %v", err)
	}
	parts := []string{b.Text}
	for _, a := range b.Attachments {
		parts = append(parts, a.Text)
	}
	return parts
}

func (h harness) field(f stringField) {
	was := f.value.String()
	defer f.value.SetString(was)
	// What may be in the message: what is there with harmless words, too.
	base, slackHosts := seen{}, map[string]bool{}
	var bodies []string
	innocent := []string{was, "", "words", "12345678"}
	if f.address() {
		innocent = append(innocent, "https://gitlab.example/x")
	}
	for _, s := range innocent {
		f.value.SetString(s)
		r := h.render(configs.KindMattermost)
		bodies = append(bodies, r.body)
		base = base.most(lookAll(r.parts))
		for _, part := range h.render(configs.KindSlack).parts {
			hosts, _ := lookSlack(part)
			maps.Copy(slackHosts, hosts)
		}
	}
	if slices.Equal(bodies, slices.Repeat(bodies[:1], len(bodies))) {
		return // it is not shown
	}
	for i, s := range hostile {
		if !f.all && (i+h.turn)%4 != 0 {
			continue
		}
		f.value.SetString(strings.ToValidUTF8(s, "\ufffd"))
		got := h.render(configs.KindMattermost)
		if slices.Contains(bodies, got.body) {
			continue
		}
		if extra := lookAll(got.parts).beyond(base, f.document(), f.address()); len(extra) > 0 {
			h.t.Errorf("%s = %.60q: %v\n%.600s", f.path, s, extra, strings.Join(got.parts, "\n--\n"))
		}
		h.slack(f, s, slackHosts)
	}
}

func (h harness) slack(f stringField, s string, allowed map[string]bool) {
	for _, part := range h.render(configs.KindSlack).parts {
		hosts, faults := lookSlack(part)
		for host := range hosts {
			if !allowed[host] && !f.document() && !f.address() {
				faults = append(faults, "links to "+host)
			}
		}
		if len(faults) > 0 {
			h.t.Errorf("Slack, %s = %.60q: %v\n%.600s", f.path, s, faults, part)
		}
	}
}

// stringField is one string somewhere in an event.
type stringField struct {
	path  string
	value reflect.Value
	all   bool
}

// document tells whether the field holds Markdown, whose writer may link and
// format.
func (f stringField) document() bool {
	name := f.path[strings.LastIndexByte(f.path, '.')+1:]
	return slices.Contains([]string{"Description", "Body", "Message", "TagMessage", "Comment", "Error"}, name)
}

// address tells whether the field is an address, which may lead anywhere.
func (f stringField) address() bool { return strings.HasSuffix(f.path, "URL") }

// stringFields finds all strings in an event but those that the relay itself
// writes.
func stringFields(v reflect.Value, path string) []stringField {
	switch v.Kind() {
	case reflect.String:
		return []stringField{{path: path, value: v}}
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return stringFields(v.Elem(), path)
	case reflect.Slice:
		var out []stringField
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return nil
		}
		for i := range min(v.Len(), 2) {
			out = append(out, stringFields(v.Index(i), fmt.Sprintf("%s[%d]", path, i))...)
		}
		return out
	case reflect.Struct:
		var out []stringField
		if v.Type() == reflect.TypeFor[time.Time]() {
			return nil
		}
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if path == "" && (name == "Kind" || name == "Source" || name == "Header" || name == "Warnings") {
				continue
			}
			out = append(out, stringFields(v.Field(i), path+"."+name)...)
		}
		return out
	}
	return nil
}
