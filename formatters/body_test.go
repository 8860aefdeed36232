package formatters

import (
	"encoding/json"
	"html"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
)

func TestMattermostBody(t *testing.T) {
	look := configs.Look{Username: "GitLab", Icon: ":fox_face:"}
	for _, tt := range []struct {
		name string
		m    message
		r    Request
		want string
	}{
		{"plain", message{headline: "a", body: "b"}, Request{}, `{"text":"a\nb"}`},
		{"headline only", message{headline: "<a> & b"}, Request{}, `{"text":"<a> & b"}`},
		{"color without a body", message{headline: "a", color: "good"}, Request{}, `{"text":"a"}`},
		{"look", message{headline: "a"}, Request{Channel: "reviews", Look: look},
			`{"text":"a","channel":"reviews","username":"GitLab","icon_emoji":":fox_face:"}`},
		{"icon URL", message{headline: "a"}, Request{Channel: "@alice", Look: configs.Look{Icon: "https://x.example/i.png"}},
			`{"text":"a","channel":"@alice","icon_url":"https://x.example/i.png"}`},
		{"card", message{headline: "a", body: "test: [x](https://x.example), `y`", color: "danger"}, Request{},
			`{"text":"a","attachments":[{"fallback":"test: x, y","color":"danger","text":"test: [x](https://x.example), ` + "`y`" + `"}]}`},
	} {
		got := mattermostBody(tt.m, tt.r)
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestSlackBody(t *testing.T) {
	m := message{headline: "a **[b](https://x.example)** <c", body: "- x_y_z \\*d\\* :tada: &#58;no:", color: "good"}
	got := slackBody(m, Request{Channel: "reviews", Look: configs.Look{Username: "GitLab", Icon: ":fox_face:"}})
	want := `{"text":"a *<https://x.example|b>* &lt;c","channel":"reviews","username":"GitLab","icon_emoji":":fox_face:",` +
		`"attachments":[{"fallback":"x_y_z *d* :tada: :no:","color":"good","text":"• x_y_z ` +
		"\u200b*\u200bd\u200b*\u200b :tada: :\u200bno:" + `"}]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestLimits: however long and odd a message is, its parts keep to what the
// receivers take, and what is left is whole.
func TestLimits(t *testing.T) {
	line := "`abc` [link](https://gitlab.example/x) **bold** <&> \"\\\" é😀\n"
	for _, unit := range []string{line, "x", "é😀", "<", "\\*", "&#58;", "`a` ", "```\n<code>\n```\n", "> q\n", "[l](https://gitlab.example/x) ", "\"\\"} {
		long := strings.TrimSpace(strings.Repeat(unit, maxOutput/len(unit)))
		for _, m := range []message{
			{headline: long}, {headline: "x", body: long}, {headline: long, body: long, color: "danger"},
			{headline: "x", body: "```\n" + strings.Repeat("code line\n", 3000) + "```", color: "good"},
		} {
			r := Request{Look: configs.Look{Username: strings.Repeat("u", 500), Icon: "https://x.example/" + strings.Repeat("i", 500)}}
			checkMattermost(t, m, r)
			checkSlack(t, m, r)
		}
	}
}

func checkMattermost(t *testing.T, m message, r Request) {
	t.Helper()
	body := mattermostBody(m, r)
	if len(body) > 128<<10 {
		t.Errorf("the body has %d bytes", len(body))
	}
	b := decodeBody(t, body)
	if n := utf8.RuneCountInString(b.Text); n > maxMattermostText || n == 0 {
		t.Errorf("the text has %d characters", n)
	}
	checkWhole(t, b.Text)
	for _, a := range b.Attachments {
		checkWhole(t, a.Text)
		if n := propsCost(t, b); n > maxMattermostProps {
			t.Errorf("the properties have %d characters", n)
		}
	}
}

func checkSlack(t *testing.T, m message, r Request) {
	t.Helper()
	body := slackBody(m, r)
	b := decodeBody(t, body)
	for _, text := range append([]string{b.Text}, attachmentTexts(b)...) {
		if n := utf8.RuneCountInString(text); n > maxSlackText {
			t.Errorf("Slack: %d characters", n)
		}
		if strings.Count(text, "```")%2 != 0 {
			t.Errorf("Slack: a fence is open: %q", text[max(0, len(text)-200):])
		}
		if rest := slackControl.ReplaceAllString(text, ""); strings.Contains(rest, "<") {
			t.Errorf("Slack: a link is cut: %q", text[max(0, len(text)-200):])
		}
		if i := strings.LastIndexByte(text, '&'); i >= 0 && html.UnescapeString(text[i:]) == text[i:] {
			t.Errorf("Slack: an escape is cut: %q", text[i:])
		}
	}
}

func attachmentTexts(b hookBody) (texts []string) {
	for _, a := range b.Attachments {
		texts = append(texts, a.Text)
	}
	return texts
}

func decodeBody(t tester, body []byte) hookBody {
	t.Helper()
	var b hookBody
	if err := json.Unmarshal(body, &b); err != nil {
		t.Fatalf("the body is no JSON: %v", err)
	}
	return b
}

// checkWhole finds fences that are left open and links that are cut.
func checkWhole(t *testing.T, markdown string) {
	t.Helper()
	fence := ""
	for l := range strings.SplitSeq(markdown, "\n") {
		fence = nextFence(fence, l)
	}
	if fence != "" {
		t.Errorf("a fence is open at the end: %q", markdown[max(0, len(markdown)-200):])
	}
	if strings.Count(markdown, "](") != strings.Count(markdown, "/x)") {
		t.Errorf("a link is cut: %q", markdown[max(0, len(markdown)-200):])
	}
	if !utf8.ValidString(markdown) {
		t.Error("a character is cut")
	}
}

func TestFit(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		limit    int
		want     string
	}{
		{"fits", "a\nb", 3, "a\nb"},
		{"lines", "one\ntwo\nthree\nfour", 14, "one\ntwo\n…"},
		{"fence", "a\n```go\nx\ny\nz\n```\nb", 17, "a\n```go\nx\ny\n```\n…"},
		{"quoted fence", "> ```\n> x\n> y\n> z\n> ```", 20, "> ```\n> x\n> ```\n> …"},
		{"fence in a list", "- ```go\n  x\n  y\n  z\n  ```\n- b", 22, "- ```go\n  x\n  ```\n…"},
		{"list in a fence", "```\n- x\n- y\n- z\n```", 17, "```\n- x\n- y\n```\n…"},
		{"fence in Slack's list", "> • ```\n>     x\n>     y\n>     ```", 30, "> • ```\n>     x\n>   ```\n> …"},
		{"one line", "some words and [a link](https://x.example) here", 30, "some words and…"},
		{"one word", strings.Repeat("x", 50), 10, "xxxxxxxxx…"},
		{"one link", "[" + strings.Repeat("x", 50) + "](https://x.example)", 10, "xxxxxxxxx…"},
	} {
		if got := fit(tt.in, limit{most: tt.limit, cost: oneEach}, ""); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestOpenFences: what opens and closes a block of code in the lines above.
func TestOpenFences(t *testing.T) {
	for _, tt := range []struct{ lines, open string }{
		{"a", ""}, {"```", "```"}, {"```go\nx", "```"}, {"```\n```", ""}, {"``` a ` b", ""}, {"````\n```", "````"},
		{"```\n~~~", "```"}, {"~~~\n```\n~~~", ""}, {"~~~ a `\n$$", "~~~"}, {"> - ```", "```"}, {"1. ~~~~ x\n   ~~~", "~~~~"},
		{"```\n``` x", "```"}, {"~~\n``", ""}, {"# ```", ""},
	} {
		open := ""
		for l := range strings.SplitSeq(tt.lines, "\n") {
			open = nextFence(open, l)
		}
		if open != tt.open {
			t.Errorf("after %q %q is open, want %q", tt.lines, open, tt.open)
		}
	}
	for _, in := range []string{"~~~\n$$\nx\n$$\n~~~", "```\n>>>\nx\n>>>\n```", "$$\nx", ">>>\n$$\n"} {
		if got := plainBlocks(in); got != in {
			t.Errorf("plainBlocks(%q) = %q", in, got)
		}
	}
	if got, want := plainBlocks("~~~\na\n```\n~~~\n$$\nx\n$$"), "~~~\na\n```\n~~~\n```math\nx\n```"; got != want {
		t.Errorf("plainBlocks gives %q, want %q", got, want)
	}
}

func TestTidyBody(t *testing.T) {
	in := "\n a \n\n\n> q\nnext\n```\ncode  \n\n\nmore\n```\n\n"
	want := " a\n\n> q\n\nnext\n```\ncode  \n\n\nmore\n```"
	if diff := cmp.Diff(want, tidyBody(in)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
