package formatters

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

func TestTextString(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"Limit requests per client", "Limit requests per client"},
		{"snake_case and 2*3", `snake_case and 2\*3`},
		{"__init__", `\_\_init\_\_`},
		{"hello @all", "hello @\u2060all"},
		{"write to ada@acme.example", "write to ada@\u2060acme.example"},
		{"meet @ noon", "meet @ noon"},
		{"<!here>", "&lt;!here>"},
		{"vec<a|b>", "vec&lt;a&#124;b>"},
		{"[x](http://evil.example)", `\[x\](http&#58;//evil.example)`},
		{"![x](y)", `\!\[x\](y)`},
		{"done!", `done\!`},
		{"# head", `\# head`},
		{"#7 is fixed", "#7 is fixed"},
		{"#tag", "&#35;tag"},
		{"fix C#", "fix C#"},
		{"> q", `\> q`},
		{"- l", `\- l`},
		{"1. l", `1\. l`},
		{"1.2 is out", "1.2 is out"},
		{"2026) x", `2026\) x`},
		{"===", "&#61;=="},
		{"~bug", "\\~\u2060bug"},
		{":smile:", "😄"},
		{"LGTM :+1: (:tada:)", "LGTM 👍 (🎉)"},
		{"Vms::Camera: :our_logo: a:tada:", "Vms:&#58;Camera: &#58;our_logo: a&#58;tada:"},
		{"costs $5 or $ 5", "costs &#36;5 or $ 5"},
		{"at 10:30:45", "at 10:30:45"},
		{"std::string", "std:&#58;string"},
		{"a:b", "a&#58;b"},
		{"a:b c", "a:b c"},
		{"fix: the parser", "fix: the parser"},
		{"Steps:", "Steps:"},
		{"www.evil.example", `www\.evil.example`},
		{"evil.example/x", `evil\.example/x`},
		{`C:\Users\x`, `C:\Users\x`},
		{`\*x`, `&#92;\*x`},
		{`x\`, `x&#92;`},
		{"&lt;", "&amp;lt;"},
		{"AT&T", "AT&amp;T"},
		{"a & b", "a & b"},
		{"a\r\nb\tc", "a b c"},
		{"  x  ", "x"},
		{"a\x00b\u202ec", "abc"},
		{"\xff", "\ufffd"},
		{"שלום", "\u2068שלום\u2069"},
		{"| a |", "&#124; a &#124;"},
		{"`code`", "\\`code\\`"},
	} {
		if got := Text(tt.in).String(); got != tt.want {
			t.Errorf("Text(%q)\n got %q\nwant %q", tt.in, got, tt.want)
		}
	}
}

func TestTextIsBounded(t *testing.T) {
	got := Text(strings.Repeat("é", 1<<20)).String()
	if n := len([]rune(got)); n != maxText {
		t.Errorf("a long text has %d characters, want %d", n, maxText)
	}
}

// places are where templates put text: the mark that stands for it is %s.
var places = []struct {
	format string
	harmless
}{
	{"%s", harmless{}},
	{"%s in the project", harmless{}},
	{"Ada: %s", harmless{}},
	{"a line\n%s\nanother", harmless{}},
	{"> %s", harmless{"quote": 1}},
	{"- %s", harmless{"list": 1}},
	{"[%s](https://gitlab.example/x)", harmless{"link": 1}},
	{"Ada opened **[!42 %s](https://gitlab.example/x)** in x", harmless{"link": 1, "emphasis": 1}},
	{"“%s”", harmless{}},
	{"x · %s · %s", harmless{}},
}

type harmless map[string]int

// FuzzText: whatever is written, nothing but that text is seen, anywhere.
func FuzzText(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		escaped := Text(s).String()
		want := cutEnd(oneLine(s[:min(len(s), 8*maxText)]), maxText)
		if len(s) <= maxText {
			want = oneLine(s)
		}
		if want == "" {
			return
		}
		for _, place := range places {
			message := strings.ReplaceAll(place.format, "%s", escaped)
			got := look(message)
			if extra := got.beyond(seen{counts: place.harmless, hosts: map[string]bool{"gitlab.example": true}}, false, false); len(extra) > 0 {
				t.Errorf("%q in %q: %v\n%q", s, place.format, extra, message)
			}
			read := strings.ReplaceAll(reads(message), joiner, "")
			if sought := strings.ReplaceAll(withEmoji(want), joiner, ""); !strings.Contains(read, sought) {
				t.Errorf("%q in %q reads %q, want %q", s, place.format, read, sought)
			}
		}
	})
}

// reads is a message as people read it, without the marks of direction.
func reads(markdown string) string {
	src := []byte(markdown)
	var b strings.Builder
	appendPlain(&b, markdownParser.Parse(text.NewReader(src)), src)
	return strings.NewReplacer(isolate, "", isolateEnd, "", ltrMark, "").Replace(b.String())
}

// FuzzCode: code shows its text and ends where it should.
func FuzzCode(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		span := string(code(Text(s)))
		if span == "" {
			return
		}
		message := "x " + span + " | a > b <c"
		src := []byte(message)
		root := markdownParser.Parse(text.NewReader(src))
		var spans int
		if err := ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			if entering && n.Kind() == ast.KindCodeSpan {
				spans++
			}
			return ast.WalkContinue, nil
		}); err != nil {
			t.Fatal(err)
		}
		if spans != 1 || !strings.HasSuffix(reads(message), " | a > b <c\n") {
			t.Errorf("code of %q: %q has %d pieces of code", s, message, spans)
		}
		if stored := store(span, false); stored != span {
			t.Errorf("code of %q: %q is rewritten as a Slack form: %q", s, span, stored)
		}
	})
}

func TestCodeSpan(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"main", "`main`"},
		{"", ""},
		{"a`b", "`` a`b ``"},
		{"`", "`` ` ``"},
		{"a\nb", "`a b`"},
		{"@channel", "`@channel`"},
		{"<!channel>", "`<\u2060!channel>`"},
		{"<@abc>", "`<\u2060@abc>`"},
		{"map<K|V>", "`map<K\u2502V>`"},
		{"a<b>|c", "`a<b>|c`"},
		{"x | y", "`x | y`"},
	} {
		if got := codeSpan(tt.in); got != tt.want {
			t.Errorf("codeSpan(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestSafeURL(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"https://gitlab.example/acme/api", "https://gitlab.example/acme/api"},
		{"HTTP://gitlab.example", "HTTP://gitlab.example"},
		{"mailto:ada@acme.example", "mailto:ada@acme.example"},
		{"https://x.example/a b(c)", "https://x.example/a%20b%28c%29"},
		{"https://x.example/é", "https://x.example/é"},
		{"https://x.example/a|b>c", "https://x.example/a%7Cb%3Ec"},
		{"https://x.example|y/", ""},
		{"https://x.example/?a[]=b", "https://x.example/?a%5B%5D=b"},
		{"http://[::1]:8080/x", "http://[::1]:8080/x"},
		{"http://[", ""},
		{"http://&#64;x/", ""},
		{"https://x.example/?a=&#64;b;c&d", "https://x.example/?a=&#64%3Bb;c&d"},
		{"http://x]/[", ""},
		{"javascript:alert(1)", ""},
		{"data:text/html,x", ""},
		{"//x.example", ""},
		{"/uploads/x", ""},
		{"https://", ""},
		{"https://x.example/" + strings.Repeat("x", maxURL), ""},
		{"https://x.example/\xff", ""},
		{"https://x.example/\u202ex", "https://x.example/%E2%80%AEx"},
	} {
		if got := safeURL(tt.in); got != tt.want {
			t.Errorf("safeURL(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// FuzzURL: an address that is kept is followed as it is written, in Markdown, in
// Slack's link form and in HTML, and nothing of it is seen as anything else.
func FuzzURL(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
		f.Add("https://x.example/" + s)
		f.Add("https://" + s)
		f.Add("mailto:" + s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		to := URL(s).String()
		if to == "" {
			return
		}
		if !hasSafeScheme(to) || len(to) > maxURL || safeURL(to) != to || strings.ContainsAny(to, " \t\n\r<>|()[]\\`*\"'") && !strings.Contains(authority(to), "[") {
			t.Fatalf("%q is kept as %q", s, to)
		}
		message := "a **" + linkTo("b", to) + "** c"
		src := []byte(message)
		paragraph := parse(markdownParser, src).FirstChild()
		strong := paragraph.FirstChild().NextSibling()
		if l, ok := strong.FirstChild().(*ast.Link); !ok || decodeReferences(string(l.Destination)) != to || strong.NextSibling() == nil {
			t.Errorf("%q in %q is no link, or another", s, message)
		}
		if _, err := url.Parse(to); err != nil {
			return // it leads nowhere
		}
		if extra := look(message).beyond(seen{counts: harmless{"link": 1, "emphasis": 1}}, false, true); len(extra) > 0 {
			t.Errorf("%q in %q: %v", s, message, extra)
		}
		slack := mrkdwn(message)
		if got := lookSlack(slack); len(got.faults) > 0 || got.counts["link"] != 1 || got.counts["bold"] != 1 {
			t.Errorf("%q for Slack is %q: %v", s, slack, got)
		}
		if faults := lookHTML(Post{Markdown: message}.HTML()); len(faults) > 0 {
			t.Errorf("%q as HTML: %v", s, faults)
		}
	})
}

// TestMarkDirection: the mark stands before what is read, and leaves the line
// what it was.
func TestMarkDirection(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"a\nb \u2068שלום\u2069", "a\n^b \u2068שלום\u2069"},
		{"> שלום\n- שלום\n> - שלום\n1. שלום\n> - [x] שלום", "> ^שלום\n- ^שלום\n> - ^שלום\n1. ^שלום\n> - [x] ^שלום"},
		{"* [שלום](https://x.example)\n+ שלום\n#### [שלום](https://x.example)", "* ^[שלום](https://x.example)\n+ ^שלום\n#### ^[שלום](https://x.example)"},
		{"**[שלום](https://x.example)** x\n*שלום* x\n> ~~שלום~~ x\n_**שלום** x_", "**^[שלום](https://x.example)** x\n*^שלום* x\n> ~~^שלום~~ x\n_**^שלום** x_"},
		{"`שלום` x", "^`שלום` x"},
		{"| שלום |\n|---|\n\n> | שלום |", "| שלום |\n|---|\n\n> | שלום |"},
		{"```\nשלום\n```\n> ```\n> שלום\n> ```", "```\nשלום\n```\n> ```\n> שלום\n> ```"},
	} {
		got := markDirection(tt.in)
		if diff := cmp.Diff(strings.ReplaceAll(tt.want, "^", ltrMark), got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(look(tt.in).counts, look(got).counts); diff != "" {
			t.Errorf("%q means something else with the mark (-without +with)\n%s", tt.in, diff)
		}
	}
}

// TestOracle shows that the oracle sees what it is there for.
func TestOracle(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"@channel", `mentions @channel in "@channel"`},
		{"&#64;channel", "mentions @channel in"},
		{"<http://x|y>", "is rewritten as a Slack form"},
		{"`<!here>`", "is rewritten as a Slack form"},
		{"![x](http://e.example/x.png)", "has an image"},
		{"<b>x</b>", "has HTML"},
		{"[x]: http://e.example", "has a link definition"},
		{"[x](javascript:x)", "links to"},
		{"[e](http://e.example)", "1 more link"},
		{"www.e.example", "1 more link"},
		{"# x", "1 more heading"},
		{"#tag", "1 more hashtag"},
		{":smile:", "1 more emoji"},
		{"~town", "1 more channel link"},
	} {
		extra := look(tt.in).beyond(seen{}, false, false)
		if !slices.ContainsFunc(extra, func(s string) bool { return strings.Contains(s, tt.want) }) {
			t.Errorf("look(%q) finds %v, want %q", tt.in, extra, tt.want)
		}
	}
	if extra := look(fmt.Sprintf("x %s", Text("plain"))).beyond(seen{}, false, false); len(extra) > 0 {
		t.Errorf("look finds %v in plain words", extra)
	}
}
