package formatters

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

var update = flag.Bool("update", false, "write the goldens")

const goldenDir = "testdata/golden"

// TestGoldens renders every built-in sample and compares it with the goldens:
// <sample>.mattermost.golden and <sample>.slack.golden.
func TestGoldens(t *testing.T) {
	set := newSet(t)
	want := map[string]bool{}
	for _, sample := range events.Samples() {
		e := decodeSample(sample)
		for _, kind := range []string{configs.KindMattermost, configs.KindSlack} {
			name := sample.Name + "." + kind + ".golden"
			want[name] = true
			t.Run(name, func(t *testing.T) {
				post, err := set.Render(context.Background(), Request{Event: e, Kind: kind})
				if err != nil {
					t.Fatal(err)
				}
				if post.Fault != "" {
					t.Errorf("the template failed: %s", post.Fault)
				}
				compareGolden(t, filepath.Join(goldenDir, name), readable(t, post, kind))
			})
		}
	}
	files, err := os.ReadDir(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !want[f.Name()] {
			t.Errorf("%s/%s: no sample has this name", goldenDir, f.Name())
		}
	}
}

// readable is a post as its golden shows it: for Mattermost the Markdown, then
// the JSON; for Slack the text of the parts, then the JSON.
func readable(t *testing.T, p Post, kind string) string {
	t.Helper()
	var b hookBody
	if err := json.Unmarshal(p.Body, &b); err != nil {
		t.Fatalf("the body is no JSON: %v", err)
	}
	text := p.Markdown
	if kind == configs.KindSlack {
		text = b.Text
		for _, a := range b.Attachments {
			text += "\n[" + a.Color + "]\n" + a.Text
		}
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, p.Body, "", "  "); err != nil {
		t.Fatal(err)
	}
	return visible(text) + "\n\n" + visible(pretty.String()) + "\n"
}

// visible writes the characters that nobody sees as their names.
func visible(s string) string {
	return strings.NewReplacer("\u2060", "<U+2060>", "\u200b", "<U+200B>", "\u200e", "<U+200E>",
		"\u2068", "<U+2068>", "\u2069", "<U+2069>").Replace(s)
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("read the golden (go test -update writes it): %v", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-golden +got)\n%s", diff)
	}
}

func newSet(t testing.TB) *Set {
	t.Helper()
	set, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func decodeSample(s events.Sample) *events.Event {
	return events.Decode(events.Input{Source: "gitlab", Header: s.Header, Body: s.Body})
}
