package formatters

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

var long = flag.Bool("long", false, "try every hostile string in every field, and 100,000 generated ones")

// seeds are what people with bad intent, or bad luck, write into fields: ten of
// each class, each put into three surroundings.
var seeds = map[string][10]string{
	"mention": {
		"@channel", "hello @all, @here and @alice.", "_@alice_", ".@channel", "x.@here", "**@all**", "/@alice", "(@alice)",
		"@alice/proj", "@ALICE:",
	},
	"hidden mention": {
		`\@all`, "&#64;all", "&#x40;channel", "&commat;here", "@\u0000all", "\u202e@here", "\u2068@all\u2069", "\u200b@all",
		"&amp;#64;all", "＠all @\u00adall",
	},
	"link": {
		"](http://evil.example)", "[x](http://evil.example)", "x](http://evil.example) [y", "[x]: http://evil.example", "[x][y]",
		"www.evil.example", "see evil.example/path", "[x](javascript:alert(1))", "[@alice](http://evil.example)", "x\\](http://evil.example)",
	},
	"address": {
		"http://evil.example/x?y=1", "<http://evil.example>", "https://evil.example/`x`|y>", "javascript:alert(1)",
		"mailto:alice@evil.example", "alice@evil.example", "ftp://evil.example", "https://evil.example/)x](http://evil.example",
		"<mailto:alice@evil.example>", "https://user:@evil.example:0/@channel",
	},
	"image and HTML": {
		"![x](http://evil.example/x.png)", "!", "wow!", "<img src=http://evil.example/x.png>", "<!-- x -->", "<b>x</b>",
		"<details>", "</a>", "<script>alert(1)</script>", "!\\[x](http://evil.example/x.png)",
	},
	"Slack form": {
		"<!here>", "`<!channel>`", "<@u2u2u2u2u2u2u2u2u2u2u2u2u2>", "<http://evil.example|x>", "a<b|c>d", "`<a|b>`", "x<",
		"a|b>", "<http://evil.example\n|x>", "a < b | c > d <!subteam^S1> <#C1|x>",
	},
	"heading and rule": {
		"# h", "## h ##", "#", "#tag", `\#tag`, "a\n# h", "a\n---", "---", "===", "a\n===",
	},
	"quote and list": {
		"> q", "a\n> q", ">", "- l", "+ l", "* l", "1. l", "1) l", "a\n\n- l\n- l", "12345678901. l",
	},
	"code": {
		"`", "``", "```", "`a` ``b``", strings.Repeat("`", 300), "~~~", "x\n```\n@all\n```\n@all", "    code", "\tcode", "`@all",
	},
	"emphasis": {
		"**", "*", "__", "__init__", "*a* _b_ **c**", "***x***", "~~x~~", `\*x\*`, "**中文**字", "_a_b_",
	},
	"chat": {
		":smile:", ":)", "a:100:b", "~town-square", `\~town-square`, "| a | b |\n|---|---|\n| c | d |", "$x$", "{{.Title}}",
		`C:\new\[x](y)`, "%s%n \\",
	},
	"characters": {
		"\ufeff", "\x1b[31mred", "a\rb", "line\u2028line\u2029line", "\xff\xfe@all", "שלום @all", "اختبار ](http://evil.example)",
		"\u202a\u202b\u202c\u202d\u2066x", "&lt;!here&gt; &", "\U000e0041\u0301\u0301@all\u0301",
	},
}

var surroundings = []string{"%s", "some %s words", "first\n\n%s\n\nlast"}

// hostile are all of them, class by class, and some that are long.
var hostile = slices.Concat(allSeeds(), []string{
	strings.Repeat("x", 70_000), strings.Repeat("@all ", 4_000), strings.Repeat("[", 4_000), strings.Repeat("> ", 4_000),
	strings.Repeat("a ", 300) + "](http://evil.example)",
})

func allSeeds() (all []string) {
	for _, class := range slices.Sorted(maps.Keys(seeds)) {
		for _, seed := range seeds[class] {
			for _, around := range surroundings {
				all = append(all, strings.ReplaceAll(around, "%s", seed))
			}
		}
	}
	return all
}

// TestHostileText puts hostile strings into the strings of every sample's
// payload, and finds in the message nothing that was not in the harmless one.
// With -long every string field gets all strings. Otherwise those that show in
// no message are left out, and each of the rest gets some, each time others.
func TestHostileText(t *testing.T) {
	turn, tried := 0, 0
	for _, f := range shownFields(t) {
		step := 120
		if *long {
			step = 1
		}
		for i := turn % step; i < len(hostile); i += step {
			f.try(t, hostile[i])
			tried++
		}
		turn += 7
	}
	t.Logf("%d strings were tried", tried)
}

// TestInvisible: what shows nothing is left out like what is not there, and the
// marks around its place are not seen.
func TestInvisible(t *testing.T) {
	ways := hostileManners(t)
	standard, classic := ways[0].set, ways[len(ways)-1].set
	for _, tt := range []struct {
		set  *Set
		e    *events.Event
		want string
	}{
		{classic, altered(t, "issue.open", attribute("created_at", "\ufeff")), "in [api](https://gitlab.example/acme/api)*\n"},
		{classic, altered(t, "push", func(p map[string]any) {
			p["commits"].([]any)[0].(map[string]any)["message"] = "\ufeff"
		}), "* [5e6f7a8b](https://gitlab.example/acme/api/-/commit/5e6f7a8b"},
		{standard, altered(t, "access_token.expiring", attribute("name", "\u00a0")), "Access token **[(no title)](https://gitlab.example/acme/api/-/settings/access_tokens)** of"},
		{standard, altered(t, "issue.close", attribute("title", "\u00a0a\u00a0b \u00a0")), "[#7 a\u00a0b]"},
	} {
		post, err := tt.set.Render(context.Background(), Request{Event: tt.e, Kind: configs.KindMattermost})
		if err != nil || !strings.Contains(post.Markdown, tt.want) {
			t.Errorf("%v: want %q in\n%s", err, tt.want, post.Markdown)
		}
	}
	d := document("10\u00a0**MB**\u00a0`x`", project)
	if got, err := quote(6, 500, d, ""); err != nil || got != "> 10 MB `x`" {
		t.Errorf("the spaces between pieces: %q, %v", got, err)
	}
}

// TestGeneratedText is TestHostileText with strings that nobody thought of.
func TestGeneratedText(t *testing.T) {
	fields := shownFields(t)
	piece := rapid.OneOf(
		rapid.SampledFrom(allSeeds()), rapid.SampledFrom([]string{"@", "all", "channel", "here", "alice", "`", "```", "*", "**", "_", "~", "~~",
			"<", ">", "|", "!", "[", "]", "(", ")", "](", "#", "# ", "- ", "1. ", "> ", "\n", "\n\n", "    ", "\\", "&", ";", "&#64;",
			"http://", "evil.example", "www.", "/", ":", "\u200b", "\u2060", "\u202e", "\u2068", "é", "中", "ש", " ", "\t", "x", "7"}),
		rapid.StringN(0, 12, -1),
	)
	hostileText := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(piece, 1, 12).Draw(t, "pieces"), "") })
	if *long {
		setFlag(t, "rapid.checks", "100000")
	} else {
		setFlag(t, "rapid.checks", "5000")
		setFlag(t, "rapid.seed", "1") // the same ones every time
	}
	setFlag(t, "rapid.nofailfile", "true")
	rapid.Check(t, func(r *rapid.T) {
		f := fields[rapid.IntRange(0, len(fields)-1).Draw(r, "field")]
		f.try(r, hostileText.Draw(r, "text"))
	})
}

// setFlag sets a flag for one test.
func setFlag(t *testing.T, name, value string) {
	t.Helper()
	was := flag.Lookup(name).Value.String()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := flag.Set(name, was); err != nil {
			t.Error(err)
		}
	})
}

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// manner is a way of writing messages.
type manner struct {
	name string
	set  *Set
	look configs.Look
}

// hostileManners are those in which hostile strings are tried: as most get
// them, all as cards, whose text the receiver reads by other rules, and in the
// classic words.
func hostileManners(t *testing.T) []manner {
	t.Helper()
	classic, found := Compile(&configs.Config{Templates: []string{Classic}})
	if len(found) > 0 {
		t.Fatal(found)
	}
	standard := newSet(t)
	return []manner{
		{Standard, standard, configs.Look{}},
		{"card", standard, configs.Look{Layout: configs.LayoutCard}},
		{Classic, classic, configs.Look{}},
	}
}

// key is what the samples have in common of which one is enough for a field.
func (m manner) key(e *events.Event) string {
	if m.name == Standard {
		return e.Name()
	}
	return e.Kind
}

// field is one string in a sample's payload, and how its messages are written.
type field struct {
	manner
	sample   events.Sample
	path     string
	from, to int // of the JSON string
	markdown seen
	slack    seen
	bodies   []string // of the harmless messages
}

// String is the field as a failing test names it.
func (f *field) String() string { return f.name + " " + f.sample.Name + f.path }

// document tells whether the field holds Markdown, whose writer may link and
// format.
func (f *field) document() bool {
	name := f.path[strings.LastIndexByte(f.path, '.')+1:]
	return slices.Contains([]string{"description", "note", "message", "comment", "yaml_errors"}, name)
}

// address tells whether the field is an address, which may lead anywhere.
func (f *field) address() bool {
	return strings.HasSuffix(f.path, "url") || strings.HasSuffix(f.path, "homepage")
}

// shownFields finds the fields that show in messages, and what these have with
// harmless values: once for all tests. With -long it finds all in standard
// messages, too.
func shownFields(t *testing.T) []*field {
	t.Helper()
	fieldsOnce.Do(func() {
		for _, way := range hostileManners(t) {
			met := map[string]bool{}
			for _, sample := range events.Samples() {
				e := decodeSample(sample)
				if own := way.set.own[e.Kind]; way.name == Classic && (own == nil || own.file.set != Classic) {
					continue
				}
				for _, f := range stringFields(t, sample) {
					f.manner = way
					if key := way.key(e) + f.path; *long || !met[key] {
						met[key] = true
						if f.shows(t) || *long && way.name == Standard {
							allFields = append(allFields, f)
						}
					}
				}
			}
		}
	})
	t.Logf("%d fields", len(allFields))
	if len(allFields) < 700 {
		t.Fatalf("only %d fields", len(allFields))
	}
	return allFields
}

var (
	fieldsOnce sync.Once
	allFields  []*field
)

// shows tells whether different harmless values make different messages, and
// remembers what these have.
func (f *field) shows(t *testing.T) bool {
	var was string
	if err := json.Unmarshal(f.sample.Body[f.from:f.to], &was); err != nil {
		t.Fatal(err)
	}
	harmless := []string{was, "", "words", "12345678"}
	if f.address() {
		harmless = append(harmless, "https://gitlab.example/x")
	}
	posts := make([]Post, len(harmless))
	for i, s := range harmless {
		posts[i] = f.render(t, configs.KindMattermost, s)
		f.bodies = append(f.bodies, string(posts[i].Body))
	}
	shown := !slices.Equal(f.bodies, slices.Repeat(f.bodies[:1], len(f.bodies)))
	if !shown && (!*long || f.name != Standard) {
		return false
	}
	for i, s := range harmless {
		f.markdown = f.markdown.most(lookAll(partsOf(t, posts[i])))
		f.slack = f.slack.most(lookSlackAll(partsOf(t, f.render(t, configs.KindSlack, s))))
	}
	return shown
}

// render writes the message of the sample with a text in the field.
func (f *field) render(t tester, kind, text string) Post {
	t.Helper()
	body := slices.Concat(f.sample.Body[:f.from], jsonString(text), f.sample.Body[f.to:])
	e := events.Decode(events.Input{Source: "gitlab", Header: f.sample.Header, Body: body})
	post, err := f.set.Render(context.Background(), Request{Event: e, Kind: kind, Look: f.look})
	if err != nil {
		t.Fatalf("%s = %q: %v", f, text, err)
	}
	if post.Fault != "" {
		t.Fatalf("%s = %q: %s", f, text, post.Fault)
	}
	return post
}

// try puts a hostile text into the field.
func (f *field) try(t tester, text string) {
	t.Helper()
	mattermost := f.render(t, configs.KindMattermost, text)
	if slices.Contains(f.bodies, string(mattermost.Body)) {
		return
	}
	parts := partsOf(t, mattermost)
	extra := append(lookAll(parts).beyond(f.markdown, f.document(), f.address()), lookFallbacks(t, mattermost)...)
	if len(extra) > 0 {
		t.Errorf("%s = %.80q: %v\n%.900s", f, text, extra, strings.Join(parts, "\n--\n"))
	}
	slack := f.render(t, configs.KindSlack, text)
	parts = partsOf(t, slack)
	extra = append(lookSlackAll(parts).beyond(f.slack, f.document(), f.address()), lookFallbacks(t, slack)...)
	if len(extra) > 0 {
		t.Errorf("%s = %.80q for Slack: %v\n%.900s", f, text, extra, strings.Join(parts, "\n--\n"))
	}
	if faults := lookHTML(mattermost.HTML()); len(faults) > 0 {
		t.Errorf("%s = %.80q as HTML: %v\n%.900s", f, text, faults, mattermost.HTML())
	}
}

// lookFallbacks finds what must not be in a fallback. Mattermost finds nobody
// mentioned in one; that Slack does neither is not said anywhere.
func lookFallbacks(t tester, p Post) (faults []string) {
	t.Helper()
	for _, a := range decodeBody(t, p.Body).Attachments {
		if stored := store(a.Fallback, true); stored != a.Fallback || slackForm.MatchString(a.Fallback) {
			faults = append(faults, fmt.Sprintf("has a Slack form in the fallback %q", a.Fallback))
		}
	}
	return faults
}

var slackForm = regexp.MustCompile(`(?i)<(?:!(?:here|channel|all|everyone|subteam)|[@#]\w)`)

// partsOf are the texts that the receiver reads on their own.
func partsOf(t tester, p Post) []string {
	t.Helper()
	b := decodeBody(t, p.Body)
	parts := []string{b.Text}
	for _, a := range b.Attachments {
		parts = append(parts, a.Text)
	}
	return parts
}

// jsonString is a text as GitLab would send it; bytes that are no UTF-8 stay as
// they are.
func jsonString(s string) []byte {
	b := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// stringFields finds all strings in a payload but what tells the kind of event.
func stringFields(t *testing.T, sample events.Sample) (fields []*field) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(sample.Body))
	dec.UseNumber()
	var walk func(path string)
	walk = func(path string) {
		token := func() json.Token {
			tok, err := dec.Token()
			if err != nil {
				t.Fatal(err)
			}
			return tok
		}
		switch tok := token().(type) {
		case json.Delim:
			for i := 0; dec.More(); i++ {
				if tok == '{' {
					key := token()
					walk(path + "." + key.(string))
				} else {
					walk(path + "." + strconv.Itoa(i))
				}
			}
			token()
		case string:
			if path == ".object_kind" || path == ".event_name" || path == ".event_type" {
				return
			}
			to := int(dec.InputOffset())
			from := to - 1 - len(jsonSource(sample.Body[:to]))
			fields = append(fields, &field{sample: sample, path: path, from: from, to: to})
		}
	}
	walk("")
	return fields
}

// jsonSource is the inside of the JSON string that ends b, and its opening
// quotation mark.
func jsonSource(b []byte) []byte {
	for i := len(b) - 2; i >= 0; i-- {
		if b[i] != '"' {
			continue
		}
		slashes := 0
		for i-slashes > 0 && b[i-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return b[i : len(b)-1]
		}
	}
	return nil
}
