package formatters

import (
	"context"
	"strings"
	"testing"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

func benchmarkSample(b *testing.B, name, kind string, change func(*events.Event)) {
	set := newSet(b)
	sample, ok := events.SampleNamed(name)
	if !ok {
		b.Fatalf("no sample %s", name)
	}
	e := decodeSample(sample)
	if change != nil {
		change(e)
	}
	r := Request{Event: e, Kind: kind}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.Render(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// A merge request as most of them come: a sentence, a line of facts, a plain
// description.
func BenchmarkMergeRequest(b *testing.B) {
	plain := func(e *events.Event) {
		e.MergeRequest.Description = "Adds a token bucket per client id. The default is ten a second with a burst of 20."
	}
	b.Run("merge", func(b *testing.B) { benchmarkSample(b, "merge_request.merge", configs.KindMattermost, nil) })
	b.Run("open", func(b *testing.B) { benchmarkSample(b, "merge_request.open", configs.KindMattermost, plain) })
	b.Run("open-markdown", func(b *testing.B) { benchmarkSample(b, "merge_request.open", configs.KindMattermost, nil) })
	b.Run("open-slack", func(b *testing.B) { benchmarkSample(b, "merge_request.open", configs.KindSlack, plain) })
}

// A comment of 2 KB with a list, code and links.
func BenchmarkNote(b *testing.B) {
	body := strings.Repeat("Some *thoughts* about `this` and [that](https://gitlab.example/acme/api).\n\n"+
		"- a point, with `code`\n- another point\n\n```go\nfunc f() {}\n```\n\n", 14)
	benchmarkSample(b, "note.merge_request", configs.KindMattermost, func(e *events.Event) { e.Note.Body = body[:min(len(body), 2048)] })
}

func BenchmarkPush(b *testing.B) { benchmarkSample(b, "push", configs.KindMattermost, nil) }

func BenchmarkPipeline(b *testing.B) {
	benchmarkSample(b, "pipeline.failed", configs.KindMattermost, nil)
}
