package formatters

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// benchmarkPost renders a sample, changed or not, and reports how long that
// takes in times of decoding the same payload with encoding/json.
func benchmarkPost(b *testing.B, name, kind string, change func(*events.Event)) {
	b.Helper()
	set := newSet(b)
	sample, ok := events.SampleNamed(name)
	if !ok {
		b.Fatalf("no sample %s", name)
	}
	e := decodeSample(sample)
	payload := 0
	if change != nil {
		before := textOf(e)
		change(e)
		payload = textOf(e) - before
	}
	body := payloadOf(b, sample, payload)
	r := Request{Event: e, Kind: kind}
	render := func() {
		if _, err := set.Render(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
	decode := func() {
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		render()
	}
	// By turns, and the medians: other things run on this machine.
	const turns = 300
	rendering, decoding := make([]time.Duration, turns), make([]time.Duration, turns)
	for i := range turns {
		rendering[i], decoding[i] = took(render), took(decode)
	}
	slices.Sort(rendering)
	slices.Sort(decoding)
	b.ReportMetric(float64(rendering[turns/2])/float64(decoding[turns/2]), "of-json")
}

func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// textOf is the length of what somebody wrote in an event.
func textOf(e *events.Event) int {
	n := 0
	if e.MergeRequest != nil {
		n += len(e.MergeRequest.Description)
	}
	if e.Note != nil {
		n += len(e.Note.Body)
	}
	return n
}

// payloadOf is a sample's payload as GitLab sends it, without line breaks, and
// with as much more text as the event has.
func payloadOf(b *testing.B, sample events.Sample, more int) []byte {
	b.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, sample.Body); err != nil {
		b.Fatal(err)
	}
	if more <= 0 {
		return compact.Bytes()
	}
	out := fmt.Appendf(nil, `{"text":"%s",`, strings.Repeat("x", more))
	return append(out, compact.Bytes()[1:]...)
}

// A merge request as most of them come: a sentence, a line of facts; no words
// of people, then few, then Markdown.
func BenchmarkMergeRequest(b *testing.B) {
	silent := func(e *events.Event) { e.MergeRequest.Description = "" }
	plain := func(e *events.Event) {
		e.MergeRequest.Description = "Adds a token bucket per client id. The default is ten a second with a burst of 20."
	}
	for _, kind := range []string{configs.KindMattermost, configs.KindSlack} {
		b.Run(kind+"/merge", func(b *testing.B) { benchmarkPost(b, "merge_request.merge", kind, nil) })
		b.Run(kind+"/open", func(b *testing.B) { benchmarkPost(b, "merge_request.open", kind, silent) })
		b.Run(kind+"/open-plain", func(b *testing.B) { benchmarkPost(b, "merge_request.open", kind, plain) })
		b.Run(kind+"/open-markdown", func(b *testing.B) { benchmarkPost(b, "merge_request.open", kind, nil) })
	}
}

// comment is a comment with lists, code and links.
func comment(n int) string {
	const part = "Some *thoughts* about `this` and [that](https://gitlab.example/acme/api), see #7.\n\n" +
		"- a point, with `code`\n- another point by @grace\n\n```go\nfunc f() {}\n```\n\n"
	return strings.Repeat(part, n/len(part)+1)[:n]
}

// Comments of growing length: what is read of one grows with it, up to 16 KiB.
func BenchmarkComment(b *testing.B) {
	for _, kind := range []string{configs.KindMattermost, configs.KindSlack} {
		for _, n := range []int{1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 128 << 10} {
			b.Run(fmt.Sprintf("%s/%dK", kind, n>>10), func(b *testing.B) {
				benchmarkPost(b, "note.merge_request", kind, func(e *events.Event) { e.Note.Body = comment(n) })
			})
		}
	}
}

func BenchmarkPush(b *testing.B) {
	b.Run("mattermost", func(b *testing.B) { benchmarkPost(b, "push", configs.KindMattermost, nil) })
	b.Run("slack", func(b *testing.B) { benchmarkPost(b, "push", configs.KindSlack, nil) })
}

func BenchmarkPipeline(b *testing.B) {
	b.Run("mattermost", func(b *testing.B) { benchmarkPost(b, "pipeline.failed", configs.KindMattermost, nil) })
	b.Run("slack", func(b *testing.B) { benchmarkPost(b, "pipeline.failed", configs.KindSlack, nil) })
}

// TestAllocations bounds what messages cost that quote nobody's words: most of
// them.
func TestAllocations(t *testing.T) {
	if underRace {
		t.Skip("pools keep nothing under the race detector")
	}
	set := newSet(t)
	for _, name := range []string{"merge_request.open", "merge_request.merge"} {
		sample, _ := events.SampleNamed(name)
		e := decodeSample(sample)
		e.MergeRequest.Description = ""
		for kind, most := range map[string]float64{configs.KindMattermost: 24, configs.KindSlack: 66} {
			r := Request{Event: e, Kind: kind}
			got := testing.AllocsPerRun(200, func() {
				if _, err := set.Render(context.Background(), r); err != nil {
					t.Fatal(err)
				}
			})
			if got > most {
				t.Errorf("%s for %s takes %v allocations, want at most %v", name, kind, got, most)
			}
		}
	}
}
