package formatters

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/configs"
)

// longParagraphs are last paragraphs of 100,000 characters.
func longParagraphs() map[string]string {
	repeat := func(s string) string { return strings.Repeat(s, 100_000/utf8.RuneCountInString(s)+1) }
	return map[string]string{
		"words":    repeat("The quick brown fox jumps over the lazy dog. "),
		"one word": repeat("x"),
		"Chinese":  repeat("日本語の長い段落"),
		"Hebrew":   repeat("שלום עולם "),
		"marks":    repeat("a_b * c < d & e ~ f | g $ h: "),
		"emphasis": repeat("some **bold words** and *italic* ones, `code` and "),
		"all bold": "**" + repeat("bold words ") + "**",
		"links":    repeat("see [the page](https://x.example/a_b?c=d) and "),
		"list":     "- " + repeat("a point that is long "),
		"items":    repeat("- a point\n"),
		"code":     "```go\n" + repeat("func f() { return a < b } // ") + "\n```",
		"lines":    "```\n" + repeat("a line of code\n") + "```",
		"a span":   "`" + repeat("code and ") + "`",
	}
}

// TestLongLastParagraph: of a last paragraph that is far too long, most of what
// the receiver takes is kept, and a link to the rest: in every layout, for both
// kinds of receiver, with templates of a team's own, too.
func TestLongLastParagraph(t *testing.T) {
	dir := t.TempDir()
	own := `{{define "headline"}}A comment{{end}}{{define "body"}}{{quote 1000 4000 .Note.Body .Note.URL}}{{end}}`
	text := `{{define "headline"}}A comment{{end}}{{define "body"}}{{$body := get . "object_attributes.note"}}{{$body}} {{$body}} {{$body}} {{$body}} {{$body}}{{end}}`
	card := text + `{{define "color"}}danger{{end}}`
	for name, template := range map[string]string{"note": own, "text": text, "card": card} {
		if err := os.WriteFile(filepath.Join(dir, name+templateSuffix), []byte(template), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, found := Compile(&configs.Config{Templates: []string{dir}})
	if configs.HasErrors(found) {
		t.Fatal(found)
	}
	classic := team(t, Classic)
	for name, paragraph := range longParagraphs() {
		e := altered(t, "note.merge_request", attribute("note", "A first paragraph.\n\n"+paragraph))
		for _, kind := range []string{configs.KindMattermost, configs.KindSlack} {
			for _, layout := range []string{"", configs.LayoutPlain, configs.LayoutCard} {
				what := fmt.Sprintf("%s by classic for %s %s", name, kind, layout)
				post, err := classic.Render(context.Background(), Request{Event: e, Kind: kind, Look: configs.Look{Layout: layout}})
				if err != nil || post.Fault != "" {
					t.Errorf("%s: %v %s", what, err, post.Fault)
				}
				if name != "items" && name != "lines" { // of which the set shows 100 lines
					checkLong(t, what, kind, true, post)
				}
			}
		}
		for _, template := range []string{"note", "text", "card"} {
			for _, layout := range []string{"", configs.LayoutPlain, configs.LayoutCard} {
				for _, kind := range []string{configs.KindMattermost, configs.KindSlack} {
					what := fmt.Sprintf("%s by %s for %s %s", name, template, kind, layout)
					post, err := set.Render(context.Background(), Request{Event: e, Kind: kind, Look: configs.Look{Template: template, Layout: layout}})
					if err != nil || post.Fault != "" {
						t.Errorf("%s: %v %s", what, err, post.Fault)
						continue
					}
					checkLong(t, what, kind, template == "note", post)
				}
			}
		}
	}
}

// checkLong finds a message that lost too much, or whose link is not whole.
func checkLong(t *testing.T, what, kind string, quoted bool, post Post) {
	t.Helper()
	checkPost(t, what, kind, post)
	b := decodeBody(t, post.Body)
	long, most, cost, link := b.Text, maxMattermostText, oneEach, "[read on](https://gitlab.example/acme/api/-/merge_requests/42#note_88123)"
	if kind == configs.KindSlack {
		most, link = maxSlackText, "<https://gitlab.example/acme/api/-/merge_requests/42#note_88123|read on>"
	}
	if len(b.Attachments) > 0 {
		long = b.Attachments[0].Text
		if kind == configs.KindMattermost {
			most, cost = maxMattermostProps-emptyProps-jsonCost(b.Attachments[0].Fallback), jsonRune
		}
	}
	if quoted {
		most, cost = min(most, 4000), oneEach
	}
	if n := costOf(long, cost); n*10 < most*6 {
		t.Errorf("%s: %d of %d are kept", what, n, most)
	}
	if !strings.HasSuffix(long, link) {
		t.Errorf("%s: it ends with %q", what, long[max(0, len(long)-150):])
	}
}
