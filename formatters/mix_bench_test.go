package formatters

import (
	"context"
	"testing"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// busy is what a busy instance sends, by samples, in twentieths: most of it is
// about jobs and pipelines.
var busy = []struct {
	sample string
	times  int
}{
	{"job.failed", 8}, {"pipeline.failed", 4}, {"push", 3}, {"note.merge_request", 3}, {"merge_request.open", 2},
}

// BenchmarkMix renders what a busy instance sends, from the decoded event to
// the JSON to post: each kind alone, and all of them by turns.
func BenchmarkMix(b *testing.B) {
	set := newSet(b)
	var all []Request
	for _, k := range busy {
		sample, ok := events.SampleNamed(k.sample)
		if !ok {
			b.Fatalf("no sample %s", k.sample)
		}
		r := Request{Event: decodeSample(sample), Kind: configs.KindMattermost}
		for range k.times {
			all = append(all, r)
		}
		b.Run(k.sample, func(b *testing.B) { benchmarkRequests(b, set, r) })
	}
	b.Run("all", func(b *testing.B) { benchmarkRequests(b, set, all...) })
}

// benchmarkRequests renders requests by turns.
func benchmarkRequests(b *testing.B, set *Set, all ...Request) {
	b.Helper()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := set.Render(context.Background(), all[i%len(all)]); err != nil {
			b.Fatal(err)
		}
	}
}
