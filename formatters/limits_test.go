package formatters

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// altered is a sample whose payload was changed.
func altered(t *testing.T, name string, change func(payload map[string]any)) *events.Event {
	t.Helper()
	sample, ok := events.SampleNamed(name)
	if !ok {
		t.Fatalf("no sample %s", name)
	}
	dec := json.NewDecoder(bytes.NewReader(sample.Body))
	dec.UseNumber()
	var payload map[string]any
	if err := dec.Decode(&payload); err != nil {
		t.Fatal(err)
	}
	change(payload)
	body, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	return events.Decode(events.Input{Source: "gitlab", Header: sample.Header, Body: body})
}

// attribute changes one of a payload's object_attributes.
func attribute(name string, value any) func(map[string]any) {
	return func(payload map[string]any) { payload["object_attributes"].(map[string]any)[name] = value }
}

// repeated makes n of the first of a list.
func repeated(list any, n int, change func(i int, one map[string]any)) []any {
	first := list.([]any)[0].(map[string]any)
	out := make([]any, n)
	for i := range out {
		one := make(map[string]any, len(first))
		for k, v := range first {
			one[k] = v
		}
		change(i, one)
		out[i] = one
	}
	return out
}

func hugeEvents(t *testing.T) map[string]*events.Event {
	t.Helper()
	out := map[string]*events.Event{
		"2000 commits": altered(t, "push", func(p map[string]any) {
			p["total_commits_count"] = 2000
			p["commits"] = repeated(p["commits"], 2000, func(i int, c map[string]any) {
				c["id"] = fmt.Sprintf("%040x", 0xabc000+i)
				c["message"] = fmt.Sprintf("Commit %d: %s\n\n%s", i, strings.Repeat("a long title ", 20), strings.Repeat("body\n", 50))
			})
		}),
		"500 failed jobs": altered(t, "pipeline.failed", func(p map[string]any) {
			p["builds"] = repeated(p["builds"], 500, func(i int, b map[string]any) {
				b["id"] = 9000 + i
				b["status"] = "failed"
				b["allow_failure"] = false
				b["name"] = fmt.Sprintf("job %d %s", i, strings.Repeat("<&|`*", 30))
				b["stage"] = fmt.Sprintf("stage %d %s", i%100, strings.Repeat("é", 200))
			})
		}),
		"200 reviewers": altered(t, "merge_request.open", func(p map[string]any) {
			p["reviewers"] = repeated(p["reviewers"], 200, func(i int, u map[string]any) {
				u["name"] = fmt.Sprintf("Reviewer %d %s", i, strings.Repeat("x", 300))
			})
		}),
	}
	const mega = 1 << 20
	for name, title := range map[string]string{
		"letters": strings.Repeat("x", mega), "words": strings.Repeat("word ", mega/5), "backticks": strings.Repeat("`", mega),
		"mentions": strings.Repeat("@all ", mega/5), "forms": strings.Repeat("<a|b>", mega/5), "emoji": strings.Repeat("😀", mega/4),
		"lines": strings.Repeat("\n# h\n", mega/5), "brackets": strings.Repeat("[x](", mega/4), "marks": strings.Repeat("*_~", mega/3),
	} {
		out["1 MB title of "+name] = altered(t, "merge_request.open", attribute("title", title))
		out["1 MB issue title of "+name] = altered(t, "issue.open", attribute("title", title))
	}
	for name, part := range map[string]string{
		"prose":     "Some words, *thoughts* and `code`, [linked](https://x.example/a), 日本語 and é. ",
		"lists":     "- a point\n  - a point in it with [a link](https://x.example/a)\n\n",
		"code":      "```go\nfunc f() { return `x` }\n```\n\n",
		"one fence": "a line of code | > <\n",
		"table":     "| a | b |\n|---|---|\n| 1 | 2 |\n\n",
		"quotes":    "> > quoted\n\n",
		"links":     "[x](https://x.example/a)",
		"people":    "@grace #7 !2 ~bug 1a2b3c4d ",
		"images":    "![x](https://x.example/a)\n",
		"nothing":   "<!-- nothing -->\n\n",
	} {
		text := strings.Repeat(part, 100_000/utf8.RuneCountInString(part)+1)
		if name == "one fence" {
			text = "```\n" + text
		}
		out["100,000 runes of "+name] = altered(t, "note.merge_request", attribute("note", text))
		out["a description of "+name] = altered(t, "merge_request.open", attribute("description", text))
	}
	return out
}

// TestHugeEvents: whatever the size of an event, it is one post that the
// receiver takes whole, and no template fails for it.
func TestHugeEvents(t *testing.T) {
	set := newSet(t)
	for name, e := range hugeEvents(t) {
		for _, layout := range []string{"", configs.LayoutPlain, configs.LayoutCard} {
			for _, kind := range []string{configs.KindMattermost, configs.KindSlack} {
				r := Request{Event: e, Kind: kind, Look: configs.Look{
					Layout: layout, Username: strings.Repeat("u", 500), Icon: "https://x.example/" + strings.Repeat("i", 500),
				}}
				post, err := set.Render(context.Background(), r)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if post.Fault != "" {
					t.Errorf("%s: %s", name, post.Fault)
				}
				checkPost(t, name+", "+kind+" "+layout, kind, post)
			}
		}
	}
}

// checkPost finds what a receiver would not take, or cut.
func checkPost(t *testing.T, name, kind string, post Post) {
	t.Helper()
	if len(post.Body) > 128<<10 {
		t.Errorf("%s: %d bytes of JSON", name, len(post.Body))
	}
	parts := partsOf(t, post)
	most, looked := maxMattermostText, lookAll(parts)
	if kind == configs.KindSlack {
		most, looked = maxSlackText, lookSlackAll(parts)
	}
	if len(looked.faults) > 0 {
		t.Errorf("%s: %v", name, looked.faults)
	}
	for _, part := range parts {
		if n := utf8.RuneCountInString(part); n > most || n == 0 {
			t.Errorf("%s: %d characters", name, n)
		}
		if kind == configs.KindMattermost {
			checkFences(t, name, part)
		}
	}
	if kind == configs.KindMattermost && len(parts) > 1 {
		b := decodeBody(t, post.Body)
		if n := propsCost(t, b); n > maxMattermostProps {
			t.Errorf("%s: %d characters of properties", name, n)
		}
	}
}

func checkFences(t *testing.T, name, markdown string) {
	t.Helper()
	fence := ""
	for l := range strings.SplitSeq(markdown, "\n") {
		fence = nextFence(fence, l)
	}
	if fence != "" {
		t.Errorf("%s: a fence is open at the end of %q", name, markdown[max(0, len(markdown)-200):])
	}
}

// propsCost is what an old server stores beside the text: the attachments with
// all their keys, and the name and icon, as JSON escaped for HTML.
func propsCost(t *testing.T, b hookBody) int {
	t.Helper()
	var attachments []any
	for _, a := range b.Attachments {
		attachments = append(attachments, map[string]any{
			"id": 0, "fallback": a.Fallback, "color": a.Color, "pretext": "", "author_name": "", "author_link": "",
			"author_icon": "", "title": "", "title_link": "", "text": a.Text, "fields": nil, "image_url": "",
			"thumb_url": "", "footer": "", "footer_icon": "", "ts": nil,
		})
	}
	props, err := json.Marshal(map[string]any{
		"attachments": attachments, "from_webhook": "true", "webhook_display_name": "a name of the hook",
		"override_username": b.Username, "override_icon_url": b.IconURL,
	})
	if err != nil {
		t.Fatal(err)
	}
	return utf8.RuneCount(props)
}

func limitOf(most uint16, cost func(rune) int, slack bool) limit {
	return limit{most: int(most), cost: cost, slack: slack}
}

// FuzzLength: a message that is cut keeps to the limit and stays as harmless as
// it was, with its fences closed and its links whole.
func FuzzLength(f *testing.F) {
	for _, seed := range allSeeds() {
		for _, s := range []string{seed, "- ```\n  " + seed + "\n  " + seed + "\n  ```\n- " + seed, "> 1. ~~~\n>    " + seed + "\n" + seed} {
			f.Add(s, uint16(120))
		}
	}
	f.Fuzz(func(t *testing.T, s string, limit uint16) {
		limit = 80 + limit%2000
		text := Text(cutEnd(oneLine(strings.ToValidUTF8(s, "")), maxTitle))
		headline := "Ada commented on " + string(boldLink(text, "https://gitlab.example/all")) + ": " + text.String()
		body, err := quoted(document(s, project), "", extent{lines: 100, chars: 4000})
		if err != nil {
			t.Fatal(err)
		}
		for _, whole := range []string{headline, tidyBody("facts\n" + string(body))} {
			m := message{headline: "x", body: whole, layout: configs.LayoutCard}
			m.finish()
			cut := fit(m.body, limitOf(limit, jsonRune, false), "")
			if n := jsonCost(cut); n > int(limit) {
				t.Errorf("%q is cut to %d, want at most %d", m.body, n, limit)
			}
			was, is := lookAt(m.body, true), lookAt(cut, true)
			if extra := is.beyond(was, true, false); len(extra) > 0 {
				t.Errorf("%q cut to %d: %v\n%q", m.body, limit, extra, cut)
			}
			if is.counts["code block"] > was.counts["code block"] {
				t.Errorf("%q cut to %d has code that was none\n%q", m.body, limit, cut)
			}
			checkFences(t, "cut", cut)
			slack := fit(mrkdwn(m.body), limitOf(limit, oneEach, true), "")
			if n := utf8.RuneCountInString(slack); n > int(limit) {
				t.Errorf("%q is cut to %d for Slack, want at most %d", m.body, n, limit)
			}
			if faults := lookSlack(slack).faults; len(faults) > 0 {
				t.Errorf("%q cut to %d for Slack: %v\n%q", m.body, limit, faults, slack)
			}
		}
	})
}

// TestSteps: what a template takes is counted, whether it is prepared or left to
// text/template, and nothing that an event holds takes the built-in ones near the
// bound.
func TestSteps(t *testing.T) {
	long := strings.Repeat("*a* ", 1<<18)
	e := altered(t, "issue.open", attribute("description", long))
	for _, tt := range []struct{ name, text string }{
		{"documents", `{{define "headline"}}{{range 5000}}{{if quote 6 500 $.Issue.Description .}}{{end}}{{end}}x{{end}}`},
		{"left to text/template", `{{define "headline"}}{{range $i := 5000}}{{$x := quote 6 500 $.Issue.Description ""}}{{end}}x{{end}}`},
		{"texts", `{{define "headline"}}{{range 5000}}{{$x := raw $.Issue.Description}}{{$y := cut 10 (print $x $x)}}{{end}}x{{end}}`},
		{"loops", `{{define "headline"}}{{range 1000}}{{range 1000}}{{end}}{{end}}x{{end}}`},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "issue.md.tmpl"), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		set, _ := Compile(&configs.Config{Templates: []string{dir}})
		_, err := set.own["issue"].run(t.Context(), newData(Request{Event: e}))
		if err == nil || !strings.Contains(err.Error(), "250,000 steps") && !strings.Contains(err.Error(), "64 KiB") {
			t.Errorf("%s: %v, want that it took too many steps", tt.name, err)
		}
	}
	most := 0
	for _, sample := range events.Samples() {
		e := decodeSample(sample)
		for _, c := range newSet(t).candidates(Request{Event: e})[:1] {
			p, ok := c.actions[string(e.Action)]
			if !ok {
				p = c.parts
			}
			for _, one := range []part{p.headline, p.body} {
				if one.Template == nil {
					continue
				}
				o := newOutput(t.Context())
				if _, err := o.execute(one, newData(Request{Event: e})); err != nil {
					t.Fatal(err)
				}
				most = max(most, o.steps)
			}
		}
	}
	t.Logf("the built-in templates take at most %d steps for a sample", most)
	if most > maxSteps/10 {
		t.Errorf("the built-in templates take %d steps", most)
	}
}
