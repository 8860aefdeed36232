package formatters

import (
	"slices"
	"strings"
	"testing"
)

// What a Mattermost 5.38 did, measured: whether a post raised the mention count
// of alice, a member of the channel.
var measuredMentions = []struct {
	text     string
	notified bool
}{
	{"@channel hi", true},
	{"@all hi", true},
	{"@here hi", false},
	{"<!channel> hi", true},
	{"<!here> hi", false},
	{"<!all> hi", true},
	{"<!everyone> hi", false},
	{"<!channel|channel> hi", false},
	{"@alice hi", true},
	{"<@alice> hi", true},
	{"<@k4myq841s7d3dcae7e8xwe697a> hi", true}, // her id
	{"@ALICE hi", true},
	{"`@channel` code", false},
	{"```\n@channel\n```", false},
	{"> @channel quoted", true},
	{"@channel.", true},
	{"foo@channel", false},
	{"@\u200bchannel hi", false},
	{"@alice_ hi", true},
	{"email alice@example.test", false},
	{"&#64;alice hi", true},
	{"&#64;channel hi", true},
	{`\@alice hi`, true},
	{"@\u2060alice hi", false},
	{"@\u200balice hi", false},
	{"/@alice", true},
	{"(@alice)", true},
	{"@alice/proj", true},
	{"[@alice](https://x.test)", true},
	{"[x](https://x.test/@alice)", false},
	{"https://x.test/@alice", false},
	{"https://x.test/?u=@channel", false},
	{"**@alice**", true},
	{"alice hi", false},
	{"Alice hi", false},
	{"@alice-x", false},
	{"@channels", false},
	{"@here.", false},
	{"text @all", true},
	{"&lt;!channel&gt;", false},
	{"`<!channel>` code", false},
	{"```\n<!channel>\n```", false},
	{"`<@k4myq841s7d3dcae7e8xwe697a>` code", false},
}

// What it stored of a text, and of an attachment's text.
var measuredStores = []struct {
	text, stored string
	attachment   bool
}{
	{"<!channel> hi", "@channel hi", false},
	{"<!here> hi", "@here hi", false},
	{"<!all> hi", "@all hi", false},
	{"<!everyone> hi", "<!everyone> hi", false},
	{"<!channel|channel> hi", "[channel](!channel) hi", false},
	{"<@alice> hi", "<@alice> hi", false},
	{"<@k4myq841s7d3dcae7e8xwe697a> hi", "@alice hi", false},
	{"<https://x.test|label>", "[label](https://x.test)", false},
	{"<https://x.test>", "<https://x.test>", false},
	{"see <https://x.test|a [b] c>", "see [a [b] c](https://x.test)", false},
	{"<https://x.test/a_b|l_a_b>", "[l_a_b](https://x.test/a_b)", false},
	{"`<https://x.test|code>`", "`[code](https://x.test)`", false},
	{"```\n<https://x.test|fence>\n```", "```\n[fence](https://x.test)\n```", false},
	{"vec<a|b> and <T|U>", "vec[b](a) and [U](T)", false},
	{"if a <b || c> d", "if a [| c](b ) d", false},
	{"<mailto:a@x.test|mail>", "[mail](mailto:a@x.test)", false},
	{"<#C123|chan>", "[chan](#C123)", false},
	{"<https://x.test|two\nlines>", "<https://x.test|two\nlines>", false},
	{"<https://x.test|two\nlines>", "[two\nlines](https://x.test)", true},
	{"<https://x.test|>", "<https://x.test|>", false},
	{"a &lt;b&gt; &amp; c", "a &lt;b&gt; &amp; c", false},
	{"<script>alert(1)</script>", "<script>alert(1)</script>", false},
	{"*bold* _it_ ~strike~", "*bold* _it_ ~strike~", false},
	{"[md](https://x.test)", "[md](https://x.test)", false},
	{"<https://x.test|x> <https://y.test|y>", "[x](https://x.test) [y](https://y.test)", false},
	{"`<!channel>` code", "`@channel` code", false},
	{"```\n<!channel>\n```", "```\n@channel\n```", false},
	{"`<@k4myq841s7d3dcae7e8xwe697a>` code", "`@alice` code", false},
	{"&lt;T|U>", "&lt;T|U>", false},
	{"<T&#124;U>", "<T&#124;U>", false},
	{"`<T\u200b|U>`", "`[U](T\u200b)`", false},
	{"`<T\uff5cU>`", "`<T\uff5cU>`", false},
	{"a < b\nc | d > e", "a < b\nc | d > e", false},
	{`<T\|U>`, `[U](T\)`, false},
	{"`a<b>|c`", "`a<b>|c`", false},
	{"x <y> | <z>", "x <y> | <z>", false},
}

// Whether a post notified, by where in it a mention stood.
var measuredPlaces = []struct {
	body     string
	notified bool
}{
	{`{"text":"@channel hi"}`, true},
	{`{"attachments":[{"text":"@channel"}]}`, true},
	{`{"attachments":[{"text":"@alice"}]}`, true},
	{`{"attachments":[{"text":"t","fallback":"@alice"}]}`, false},
	{`{"text":"plain","username":"alice"}`, false},
}

// What its web app showed: each text has what is named, or nothing.
var measuredRendering = []struct{ text, has string }{
	{"#tag", "hashtag"},
	{`\#tag`, "hashtag"},
	{"&#35;tag", ""},
	{"#12", ""},
	{"~builds", "channel link"},
	{":fox_face:", "emoji"},
	{"&#58;smile:", ""},
	{"10:30:45", ""},
	{"www.x.test", "link"},
	{`www\.x.test`, ""},
	{"www&#46;x.test", ""},
	{"[name]: https://x.test", "a link definition"},
	{"![alt](https://x.test/a.png)", "an image"},
	{"snake_case", ""},
	{"__init__", "emphasis"},
	{"*args, **kwargs", "stray mark"},
	{"a line\n---", "heading"},
	{"`` a`b ``", "code"},
	{"[javascript](javascript:x)", "links to"},
	{"[a [b] c](https://x.test)", "link"},
}

// TestReceiver holds the port of Mattermost's rules against what was measured.
func TestReceiver(t *testing.T) {
	for _, tt := range measuredMentions {
		if got := notifies(tt.text); got != tt.notified {
			t.Errorf("notifies(%q) = %v, measured %v", tt.text, got, tt.notified)
		}
	}
	for _, tt := range measuredPlaces {
		if got := slices.ContainsFunc(partsOf(t, Post{Body: []byte(tt.body)}), notifies); got != tt.notified {
			t.Errorf("%s notifies: %v, measured %v", tt.body, got, tt.notified)
		}
	}
	for _, tt := range measuredStores {
		if got := store(tt.text, tt.attachment); got != tt.stored {
			t.Errorf("store(%q) = %q, measured %q", tt.text, got, tt.stored)
		}
	}
	for _, tt := range measuredRendering {
		extra := look(tt.text).beyond(seen{}, false, false)
		has := slices.ContainsFunc(extra, func(s string) bool { return strings.Contains(s, tt.has) })
		if tt.has == "" && len(extra) > 0 || tt.has != "" && !has {
			t.Errorf("look(%q) finds %q, shown was %q", tt.text, extra, tt.has)
		}
	}
}

// TestEscapesAsShown: a backslash hides before these marks of punctuation and
// is seen before the others; a character reference always shows the character.
// Text never has a backslash that is seen.
func TestEscapesAsShown(t *testing.T) {
	const hides, shows = "!#()*+-.>[]_\\`{|}~", "\"$%&',/:;<=?@^"
	for _, c := range hides + shows {
		mark := `\` + string(c)
		if seen := visibleBackslash.MatchString(mark); seen != strings.ContainsRune(shows, c) {
			t.Errorf("the port shows the backslash of %s: %v", mark, seen)
		}
		for _, s := range []string{string(c), string(c) + "x", "x" + string(c), "x " + string(c) + " y", string(c) + string(c), `\` + string(c)} {
			escaped := Text(s).String()
			if m := visibleBackslash.FindString(strings.ReplaceAll(escaped, "&#92;", "")); m != "" {
				t.Errorf("Text(%q) = %q shows the backslash of %q", s, escaped, m)
			}
		}
	}
}
