package formatters

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

func TestHTML(t *testing.T) {
	const open, end = `<div style="font-family:system-ui,sans-serif;line-height:1.4;overflow-wrap:break-word">` + "\n", "</div>\n"
	const a = `<a href="https://x.example" rel="noopener noreferrer">`
	for _, tt := range []struct{ name, markdown, want string }{
		{"a sentence", "Ada merged **[!42 x](https://x.example)** into `main`",
			"<p>Ada merged <strong>" + a + "!42 x</a></strong> into <code>main</code></p>\n"},
		{"lines", "one\ntwo", "<p>one<br>\ntwo</p>\n"},
		{"escapes", `\*a\* &lt;b> "c" & d`, "<p>*a* &lt;b&gt; &#34;c&#34; &amp; d</p>\n"},
		{"tags", "<script>alert(1)</script> <b>x</b>", "<p>&lt;script&gt;alert(1)&lt;/script&gt; &lt;b&gt;x&lt;/b&gt;</p>\n"},
		{"an image", "![alt](https://x.example)", "<p>" + a + "alt</a></p>\n"},
		{"unsafe links", "[x](javascript:alert(1)) [y](data:text/html,x) [z](/z)", "<p>x y z</p>\n"},
		{"a link that ends its attribute", `[x](https://x.example/"onclick="y)`,
			`<p><a href="https://x.example/%22onclick=%22y" rel="noopener noreferrer">x</a></p>` + "\n"},
		{"marks", "*i* ~~s~~ _**b**_", "<p><em>i</em> <del>s</del> <em><strong>b</strong></em></p>\n"},
		{"an address", "https://x.example", "<p>" + a + "https://x.example</a></p>\n"},
		{"a list", "- [x] a\n- [ ] b\n  1. c", "<ul>\n<li>☑ a\n</li>\n<li>☐ b\n<ol start=\"1\">\n<li>c\n</li>\n</ol>\n</li>\n</ul>\n"},
		{"a quote and code", "> q\n\n```go\na < b\n```",
			`<blockquote style="margin-left:0;border-left:3px solid #ccc;padding-left:12px">` + "\n<p>q</p>\n</blockquote>\n" +
				`<pre style="background:#f4f4f4;padding:8px;overflow:auto"><code>a &lt; b` + "\n</code></pre>\n"},
		{"a table", "| a | b |\n|---|--:|\n| 1 | `2` |", "<table>\n" +
			`<tr><th style="text-align:left">a</th><th style="text-align:right">b</th></tr>` + "\n" +
			`<tr><td style="text-align:left">1</td><td style="text-align:right"><code>2</code></td></tr>` + "\n</table>\n"},
	} {
		got := Post{Markdown: tt.markdown}.HTML()
		if diff := cmp.Diff(open+tt.want+end, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
		if faults := lookHTML(got); len(faults) > 0 {
			t.Errorf("%s: %v", tt.name, faults)
		}
	}
}

// TestHTMLOfCards: the body of a card stands beside a bar of its color, whoever
// the post is for.
func TestHTMLOfCards(t *testing.T) {
	set := newSet(t)
	sample, _ := events.SampleNamed("pipeline.failed")
	for _, kind := range []string{configs.KindMattermost, configs.KindSlack} {
		post, err := set.Render(context.Background(), Request{Event: decodeSample(sample), Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		page := post.HTML()
		headline, body, ok := strings.Cut(page, `<div style="border-left:4px solid #d24b4e;padding-left:12px">`)
		if !ok || !strings.Contains(headline, "Pipeline #1287") || strings.Contains(body, "Pipeline #1287") || !strings.Contains(body, "rspec") {
			t.Errorf("for %s:\n%s", kind, page)
		}
		if faults := lookHTML(page); len(faults) > 0 {
			t.Errorf("for %s: %v\n%s", kind, faults, page)
		}
	}
	for color, want := range map[string]string{
		"good": "#3db887", "#36a64f": "#36a64f", "red": "#c4c4c4", `#fff";x="`: "#c4c4c4",
	} {
		body := `{"attachments":[{"color":` + string(appendJSON(nil, color)) + `}]}`
		if got := (Post{Body: []byte(body)}).color(); got != want {
			t.Errorf("the color %q is shown as %q, want %q", color, got, want)
		}
	}
}

func TestSlackMentions(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"x · <@U02ABC> <!here>", "x · <@U02ABC> <!here>"},
		{"<!channel> x", "<!channel> x"},
		{"<!subteam^S01AB> **x**", "<!subteam^S01AB> *x*"},
		{"&lt;@U02ABC>", "&lt;@U02ABC&gt;"},
		{"`<@U02ABC>`", "`&lt;@U02ABC&gt;`"},
		{"<@u02abc> <@U02ABC|x> <!date^1^x|y> <#C1> <@>", "&lt;@u02abc&gt; &lt;@U02ABC|x&gt; &lt;!date^1^x|y&gt; &lt;#C1&gt; &lt;@&gt;"},
		{"\\`x\\` \\*y\\* \\> z", "ˋxˋ \u200b*\u200by\u200b*\u200b \u200b&gt; z"},
		{"[a \\`b\\` `c`](https://x.example)", "<https://x.example|a ˋbˋ `c`>"},
	} {
		if got := mrkdwn(tt.in); got != tt.want {
			t.Errorf("mrkdwn(%q)\n got %q\nwant %q", tt.in, got, tt.want)
		}
	}
}

// FuzzMessage: whatever stands in a message, by a template's raw even, its HTML
// loads and runs nothing, for Slack it has no control sequences but links and
// the mentions that stand in it, and in short, as a fallback, it has none at all.
func FuzzMessage(f *testing.F) {
	for _, s := range allSeeds() {
		f.Add(s)
	}
	for _, s := range []string{"<!here> <@U02ABC>", "| a |\n|---|\n| `b` |", "- [x] a\n  > b\n\n    c", "<https://x.example>", "**a*b**c*"} {
		f.Add(s)
	}
	mention := regexp.MustCompile(`<(?:@[A-Z0-9]+|!here|!channel|!everyone|!subteam\^[A-Z0-9]+)>`)
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > maxParsed {
			return
		}
		s = strings.ToValidUTF8(s, "\ufffd")
		if faults := lookHTML(Post{Markdown: s}.HTML()); len(faults) > 0 {
			t.Errorf("%q: %v\n%s", s, faults, Post{Markdown: s}.HTML())
		}
		if short := fallback(s); len([]rune(short)) > maxFallback || oneLine(short) != short || slackForm.MatchString(short) || store(short, true) != short {
			t.Errorf("%q in short: %q", s, short)
		}
		slack := mrkdwn(s)
		if faults := lookSlack(mention.ReplaceAllString(slack, "")).faults; len(faults) > 0 && !strings.Contains(faults[0], "open fence") {
			t.Errorf("%q: %v\n%s", s, faults, slack)
		}
	})
}
