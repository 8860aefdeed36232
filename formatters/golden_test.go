package formatters

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

var update = flag.Bool("update", false, "write the goldens")

const goldenDir = "testdata/golden"

// variant is one way of writing samples: a section of their goldens.
type variant struct {
	name string
	set  *Set
	kind string // of destination
	look configs.Look
	of   func(sample events.Sample, e *events.Event) bool
}

// variants are all ways that have goldens.
func variants(t testing.TB) []variant {
	t.Helper()
	classic, found := Compile(&configs.Config{Templates: []string{Classic}})
	if len(found) > 0 {
		t.Fatal(found)
	}
	standard := newSet(t)
	every := func(events.Sample, *events.Event) bool { return true }
	ofClassic := func(_ events.Sample, e *events.Event) bool {
		return classic.own[e.Kind] != nil && classic.own[e.Kind].file.set == Classic
	}
	some := func(s events.Sample, _ *events.Event) bool {
		return slices.Contains([]string{"push", "merge_request.open", "issue.open", "note.merge_request", "note.issue", "pipeline.failed"}, s.Name)
	}
	mm, slack := configs.KindMattermost, configs.KindSlack
	return []variant{
		{"mattermost", standard, mm, configs.Look{}, every},
		{"slack", standard, slack, configs.Look{}, every},
		{"classic", classic, mm, configs.Look{}, ofClassic},
		{"plain", standard, mm, configs.Look{Layout: configs.LayoutPlain}, some},
		{"card", standard, mm, configs.Look{Layout: configs.LayoutCard}, some},
		{"slackcard", standard, slack, configs.Look{Layout: configs.LayoutCard}, some},
		{"brief", standard, mm, configs.Look{Detail: configs.DetailBrief}, some},
		{"title", standard, mm, configs.Look{Detail: configs.DetailTitle}, some},
	}
}

// TestGoldens renders every built-in sample in every way and compares it with
// its golden, testdata/golden/<sample>.txtar.
func TestGoldens(t *testing.T) {
	want := map[string]bool{}
	all := variants(t)
	for _, sample := range events.Samples() {
		name := sample.Name + ".txtar"
		want[name] = true
		t.Run(name, func(t *testing.T) {
			var got txtar.Archive
			for _, v := range all {
				if e := decodeSample(sample); v.of(sample, e) {
					got.Files = append(got.Files, v.golden(t, e)...)
				}
			}
			compareGolden(t, filepath.Join(goldenDir, name), string(txtar.Format(&got)))
		})
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

// golden renders an event, and returns what people read, and the JSON.
func (v *variant) golden(t *testing.T, e *events.Event) []txtar.File {
	t.Helper()
	post, err := v.set.Render(context.Background(), Request{Event: e, Kind: v.kind, Look: v.look})
	if err != nil {
		t.Fatal(err)
	}
	if post.Fault != "" {
		t.Errorf("the template failed: %s", post.Fault)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, post.Body, "", "  "); err != nil {
		t.Fatal(err)
	}
	return []txtar.File{
		{Name: v.name, Data: []byte(visible(readable(t, post, v.kind)) + "\n")},
		{Name: v.name + ".json", Data: []byte(visible(pretty.String()) + "\n")},
	}
}

// readable is a post as its golden shows it: for Mattermost the Markdown, for
// Slack the text of the parts.
func readable(t *testing.T, p Post, kind string) string {
	t.Helper()
	if kind != configs.KindSlack {
		return p.Markdown
	}
	b := decodeBody(t, p.Body)
	text := b.Text
	for _, a := range b.Attachments {
		text += "\n[" + a.Color + "]\n" + a.Text
	}
	return text
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
	return events.Decode(s.Input("gitlab"))
}
