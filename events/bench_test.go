package events

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/xanzy/go-gitlab"
)

// benchmarked are samples of the sizes that GitLab's documentation shows: a merge
// request of 6 KB, a push of 3, a pipeline of 7, a note of 5, a job of 2.
var benchmarked = []struct {
	sample string
	event  gitlab.EventType
}{
	{"merge_request.open", gitlab.EventTypeMergeRequest},
	{"push", gitlab.EventTypePush},
	{"pipeline.failed", gitlab.EventTypePipeline},
	{"note.merge_request", gitlab.EventTypeNote},
	{"job.failed", gitlab.EventTypeJob},
}

func mustSample(tb testing.TB, name string) Sample {
	tb.Helper()
	s, ok := SampleNamed(name)
	if !ok {
		tb.Fatalf("no sample %s", name)
	}
	return s
}

// sent is a sample's body as GitLab sends it, without the line breaks.
func sent(tb testing.TB, name string) (header string, body []byte) {
	tb.Helper()
	s := mustSample(tb, name)
	var compact bytes.Buffer
	if err := json.Compact(&compact, s.Body); err != nil {
		tb.Fatal(err)
	}
	return s.Header, compact.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	for _, bm := range benchmarked {
		s := mustSample(b, bm.sample)
		in := Input{Source: "gitlab", Header: s.Header, Body: s.Body}
		b.Run(bm.sample, func(b *testing.B) {
			b.SetBytes(int64(len(s.Body)))
			b.ReportAllocs()
			for b.Loop() {
				Decode(in)
			}
		})
	}
}

// BenchmarkDecodeBesideParseWebhook takes turns with go-gitlab's decoder, each for
// about as long, so that whatever else the machine does slows both, and reports
// the median of how many times faster we are.
func BenchmarkDecodeBesideParseWebhook(b *testing.B) {
	for _, bm := range benchmarked {
		s := mustSample(b, bm.sample)
		in := Input{Source: "gitlab", Header: s.Header, Body: s.Body}
		b.Run(bm.sample, func(b *testing.B) {
			var ours, theirs, ratios []float64
			for b.Loop() {
				a := nanoseconds(25, func() { Decode(in) })
				c := nanoseconds(5, func() {
					if _, err := gitlab.ParseWebhook(bm.event, s.Body); err != nil {
						b.Fatal(err)
					}
				})
				ours, theirs, ratios = append(ours, a), append(theirs, c), append(ratios, c/a)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(ours)/1000, "us/Decode")
			b.ReportMetric(median(theirs)/1000, "us/ParseWebhook")
			b.ReportMetric(median(ratios), "times-faster")
		})
	}
}

// nanoseconds is how long f takes, over some calls.
func nanoseconds(calls int, f func()) float64 {
	start := time.Now()
	for range calls {
		f()
	}
	return float64(time.Since(start)) / float64(calls)
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

func BenchmarkCheckObject(b *testing.B) {
	_, body := sent(b, "merge_request.open")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckObject(body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkValid is what others take for the same bytes.
func BenchmarkValid(b *testing.B) {
	_, body := sent(b, "merge_request.open")
	b.Run("encoding/json", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			json.Valid(body)
		}
	})
	b.Run("gjson", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			gjson.ValidBytes(body)
		}
	})
}
