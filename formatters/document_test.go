package formatters

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

var project = &events.Project{
	Path: "acme/api", URL: "https://gitlab.example/acme/api", DefaultBranch: "main",
}

// TestDocuments writes every testdata/documents/*.md as a comment and as a
// description, and compares with the golden beside it.
func TestDocuments(t *testing.T) {
	files, err := filepath.Glob("testdata/documents/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d := document(string(raw), project)
			url := URL("https://gitlab.example/all")
			comment, err := quote(6, 500, d, url)
			if err != nil {
				t.Fatal(err)
			}
			first, err := prose(d, url)
			if err != nil {
				t.Fatal(err)
			}
			got := "--- comment\n" + string(comment) + "\n--- description\n" + string(first) +
				"\n--- comment for Slack\n" + mrkdwn(markDirection(string(comment))) + "\n"
			compareGolden(t, file+".golden", visible(got))
		})
	}
}

// FuzzDocument: whatever people write, the quote notifies nobody, shows no
// image and no heading, and keeps to its size.
func FuzzDocument(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
		f.Add("a\n\n" + s + "\n\nb")
		f.Add("- " + s + "\n\n```\n" + s + "\n```\n> " + s)
	}
	files, err := filepath.Glob("testdata/documents/*.md")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := document(strings.ToValidUTF8(s, "\ufffd"), project)
		for _, limit := range []extent{{lines: 6, chars: 500}, {lines: 3, chars: 280, prose: true}} {
			out, err := quoted(d, URL("https://gitlab.example/all"), limit)
			if err != nil {
				t.Fatal(err)
			}
			checkQuote(t, s, string(out), limit)
		}
	})
}

func checkQuote(t *testing.T, source, out string, limit extent) {
	t.Helper()
	whole := message{headline: "x", body: tidyBody("facts\n" + out + "\nnext"), layout: configs.LayoutCard}
	whole.finish()
	message := whole.body
	if extra := look(message).beyond(seen{}, true, false); len(extra) > 0 {
		t.Errorf("%q: %v\n%s", source, extra, message)
	}
	slack := mrkdwn(message)
	if faults := lookSlack(slack).faults; len(faults) > 0 {
		t.Errorf("%q for Slack: %v\n%s\n%s", source, faults, message, slack)
	}
	page := Post{Markdown: message}.HTML()
	if faults := lookHTML(page); len(faults) > 0 {
		t.Errorf("%q as HTML: %v\n%s\n%s", source, faults, message, page)
	}
	lines := 0
	for l := range strings.Lines(out) {
		if !strings.HasPrefix(l, ">") {
			t.Errorf("%q: the line %q is not quoted", source, l)
		}
		if strings.TrimLeft(l, "> \n") != "" && !strings.Contains(l, "```") && !strings.Contains(l, "|---") {
			lines++
		}
	}
	if lines > limit.lines+1 { // the link to the rest may need its own
		t.Errorf("%q: %d lines, want at most %d\n%s", source, lines, limit.lines, out)
	}
	if n := len([]rune(reads(out))); n > 2*limit.chars+200 {
		t.Errorf("%q: %d characters, want about %d\n%s", source, n, limit.chars, out)
	}
}

func TestInSentence(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Text
	}{
		{"nit", "nit"},
		{" Looks good to me.\n", "Looks good to me."},
		{"use `x`", ""},
		{"two\nlines", ""},
		{"@ada have a look", "@ada have a look"},
		{"see #7!", "see #7!"},
		{"#7", ""},
		{"- a point", ""},
		{strings.Repeat("x", 81), ""},
		{strings.Repeat("é", 80), Text(strings.Repeat("é", 80))},
		{"https://gitlab.example", ""},
	} {
		if got := inSentence(document(tt.in, nil)); got != tt.want {
			t.Errorf("inSentence(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := inSentence(nil); got != "" {
		t.Errorf("inSentence(nil) = %q", got)
	}
}

func TestAbsolute(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"https://x.example/y", "https://x.example/y"},
		{"/uploads/abc/shot.png", "https://gitlab.example/acme/api/uploads/abc/shot.png"},
		{"/acme/web/-/issues/1", "https://gitlab.example/acme/web/-/issues/1"},
		{"docs/limits.md#top", "https://gitlab.example/acme/api/-/blob/main/docs/limits.md#top"},
		{"../../../../etc/passwd", "https://gitlab.example/acme/api/-/blob/main/etc/passwd"},
		{"//x.example/y", "https://x.example/y"},
		{"#anchor", ""},
		{"", ""},
		{"javascript:alert(1)", ""},
		{"JaVaScRiPt:alert(1)", ""},
		{"data:text/html,x", ""},
	} {
		if got := absolute(tt.in, project); got != tt.want {
			t.Errorf("absolute(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := absolute("/uploads/x", nil); got != "" {
		t.Errorf("without a project: %q", got)
	}
}

// TestLongDocuments: what is read of a document is bounded, however long and
// twisted it is. The bound is on what the parser is given, not on time.
func TestLongDocuments(t *testing.T) {
	for _, unit := range []string{"[", "> ", "1. ", "- ", "*a_", "[x](", "![x](", "`", "x", "\n> - a", "<a ", "&", "| a "} {
		d := document(strings.Repeat(unit, 1<<20/len(unit)), project)
		s, all := d.head()
		if all || len(s) > maxParsed {
			t.Errorf("%q: %d bytes are read", unit, len(s))
		}
		if n := strings.Count(s, "["); n > maxBrackets {
			t.Errorf("%q: %d brackets", unit, n)
		}
		first, _, _ := strings.Cut(s, "\n")
		if n := strings.Count(first, "> "); n > maxNested {
			t.Errorf("%q: %d quotes in each other", unit, n)
		}
		out, err := quote(6, 500, d, "https://gitlab.example/all")
		if err != nil {
			t.Fatal(err)
		}
		checkQuote(t, unit, string(out), extent{lines: 6, chars: 500})
	}
}

// TestFirstPart: of a long document, what is written of its first part is what
// would be written of all of it.
func TestFirstPart(t *testing.T) {
	var examples []string
	files, err := filepath.Glob("testdata/examples/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, example := range strings.Split(string(raw), "\n%%\n") {
			if !strings.Contains(example, "]:") && firstPart(example+strings.Repeat("\n\nx", 2*enough)) < enough {
				examples = append(examples, example)
			}
		}
	}
	random, parts := rand.New(rand.NewPCG(1, 2)), 0
	for range 200 {
		var b strings.Builder
		for b.Len() < 3*enough {
			b.WriteString(examples[random.IntN(len(examples))])
			b.WriteString("\n\n")
		}
		d := document(b.String(), project)
		raw, all := d.head()
		if firstPart(raw) < len(raw) {
			parts++
		}
		for _, limit := range []extent{{lines: 6, chars: 500}, {lines: 3, chars: 280, prose: true}, {lines: 100, chars: 3000}} {
			lines, left, open := rewrite(d, limit)
			w := written(d, raw, !all, limit)
			if diff := cmp.Diff(w.lines, lines); diff != "" || left != w.left || open != w.open {
				t.Fatalf("%s\n%v %v, want %v %v (-all +part)\n%s", d.raw, left, open, w.left, w.open, diff)
			}
		}
	}
	if parts < 20 {
		t.Errorf("only %d of the documents have a first part", parts)
	}
}

// TestMentionsAreCounted: a mention that is written and then left out with its
// block, or with the first part of a document, was not given.
func TestMentionsAreCounted(t *testing.T) {
	people := func(name string) (string, bool) { return "@" + name + ".chat", name == "grace" }
	for _, tt := range []struct {
		name, raw string
		want      int // how often she is mentioned
		given     int
	}{
		{"shown", "@grace look", 1, 1},
		{"twice", "@grace and @grace", 1, 1},
		{"left out", strings.Repeat("words ", 65) + "\n\n@grace " + strings.Repeat("more words ", 60), 0, 0},
		{"in the second reading", "@grace look\n\n" + strings.Repeat("<!-- nothing to see -->\n\n", 300), 1, 1},
		{"in code", "`@grace` look", 0, 0},
		{"in a link", "[@grace](https://x.example) look", 0, 0},
	} {
		d := document(tt.raw, project)
		d.audience = &audience{people: people}
		out, err := quote(6, 500, d, URL("https://gitlab.example/all"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(out), "@grace.chat"); got != tt.want || len(d.audience.done) != tt.given {
			t.Errorf("%s: mentioned %d times, want %d; given %q\n%s", tt.name, got, tt.want, d.audience.done, out)
		}
	}
}

// TestFirstProse: what follows the heading at which the first prose ends need
// not be read.
func TestFirstProse(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"Some *words*.", "a long line of words, with [a link](https://x.example/) and `code` and @grace; " + strings.Repeat("more ", 20), "- a point", "- [ ] a task", "1. one",
		"> quoted", "# one", "## two ##", "####### seven", "#tag", "# ", "    # code", "```", "~~~", "<!-- x", "-->", "<details>", "| a | b |", "|---|---|", "---", "===", "***",
		"[x]", "[x]: https://x.example/", "a[^1]", "[^1]: a note", ">>>", "$$", "![x](y.png)", "[[_TOC_]]", "\\", "", "", "", "  ", "\t", "\u200b", "\r", "*", "**bold", "text\r", "  - nested",
	})
	limit, read := extent{lines: 3, chars: 280, prose: true}, 0
	setFlag(t, "rapid.checks", "20000")
	setFlag(t, "rapid.seed", "1")
	setFlag(t, "rapid.nofailfile", "true")
	rapid.Check(t, func(r *rapid.T) {
		raw := strings.Join(rapid.SliceOfN(piece, 2, 12).Draw(r, "lines"), "\n")
		n := firstProse(raw)
		if n == 0 {
			return
		}
		part, all := written(&Document{raw: raw, at: project}, raw[:n], true, limit), written(&Document{raw: raw, at: project}, raw, false, limit)
		if !part.full() {
			return // and all of it is read
		}
		read++
		if diff := cmp.Diff(all.lines, part.lines); diff != "" || !all.left || all.open != part.open {
			r.Errorf("%q up to %d: left %v, open %v and %v\n%s", raw, n, all.left, all.open, part.open, diff)
		}
	})
	if read == 0 {
		t.Error("no document was read in part")
	}
	t.Logf("%d of 20000 documents were read in part", read)
}
