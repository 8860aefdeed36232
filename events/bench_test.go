package events

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/tidwall/gjson"
	"github.com/xanzy/go-gitlab"
)

var benchmarked = []struct {
	sample string
	event  gitlab.EventType
}{
	{"merge_request.open", gitlab.EventTypeMergeRequest},
	{"push", gitlab.EventTypePush},
	{"pipeline.failed", gitlab.EventTypePipeline},
	{"note.issue", gitlab.EventTypeNote},
	{"job.failed", gitlab.EventTypeJob},
}

// sent is a sample's body as GitLab sends it, without the line breaks.
func sent(tb testing.TB, name string) (header string, body []byte) {
	s, ok := SampleNamed(name)
	if !ok {
		tb.Fatalf("no sample %s", name)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, s.Body); err != nil {
		tb.Fatal(err)
	}
	return s.Header, compact.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	for _, bm := range benchmarked {
		header, body := sent(b, bm.sample)
		b.Run(bm.sample, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				Decode(Input{Source: "gitlab", Header: header, Body: body})
			}
		})
	}
}

// BenchmarkParseWebhook is go-gitlab's decoder, for comparison.
func BenchmarkParseWebhook(b *testing.B) {
	for _, bm := range benchmarked {
		_, body := sent(b, bm.sample)
		b.Run(bm.sample, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := gitlab.ParseWebhook(bm.event, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
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
