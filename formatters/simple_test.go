package formatters

import (
	"context"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestSimpleText: where no parser is used, people read what the parser finds.
func TestSimpleText(t *testing.T) {
	same := func(t interface{ Errorf(string, ...any) }, s string) bool {
		got, ok := simpleText(s)
		if want := parsedText(s); ok && got != want {
			t.Errorf("%q is read as %q, want %q", s, got, want)
		}
		return ok
	}
	set, simple, all := newSet(t), 0, 0
	for _, sample := range events.Samples() {
		post, err := set.Render(context.Background(), Request{Event: decodeSample(sample), Kind: configs.KindMattermost})
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(post.Markdown, "\n") {
			same(t, line)
		}
		for _, a := range decodeBody(t, post.Body).Attachments {
			for line := range strings.SplitSeq(a.Text, "\n") {
				all++
				if same(t, line) {
					simple++
				}
			}
		}
	}
	if all == 0 || simple*10 < all*9 {
		t.Errorf("a parser is needed for %d of %d lines of cards", all-simple, all)
	}
	for _, s := range allSeeds() {
		same(t, s)
		same(t, "[a "+s+"](https://x.example/)")
		same(t, "a `"+s+"` b")
		same(t, Text(s).String())
	}
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "Ab1", "7", " ", "  ", "`", "``", "[", "]", "](", "(", ")", "[x](y)", "[`a b`](https://x.example/?a=1&b=2)",
			"_", "*", "~", "\\", "\\`", "\\[", "!", ":", "://", "http://x.example", "www.", ".", "-", "#", "<", ">", "&amp;", "&", "|", "@",
			"\u00a0", "é", "⚠️", "\xff", "\t", "\x7f", "\n", "1. ", "- ", "= ", "\"", "'", "$", "\u2028"}),
		rapid.StringN(0, 6, -1),
	)
	setFlag(t, "rapid.checks", "20000")
	setFlag(t, "rapid.seed", "1")
	setFlag(t, "rapid.nofailfile", "true")
	rapid.Check(t, func(r *rapid.T) {
		same(r, strings.Join(rapid.SliceOfN(piece, 1, 10).Draw(r, "pieces"), ""))
	})
}
