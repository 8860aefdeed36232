package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is too long is not read, whoever wrote it.
func TestAnswerThatIsTooLong(t *testing.T) {
	text := []byte(`{"lanes":[` + strings.Repeat("{},", maxAnswered) + `{}]}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, answer := readAnswer(text)
	_, question := readQuestion(text)
	runtime.ReadMemStats(&after)
	if answer == nil || question == nil || after.TotalAlloc-before.TotalAlloc > 1<<20 {
		t.Errorf("%v, %v; %d KiB were needed", answer, question, (after.TotalAlloc-before.TotalAlloc)>>10)
	}
}

// FuzzAsk reads what another relay may ask and answer, and reads it again as it is
// written.
func FuzzAsk(f *testing.F) {
	f.Add([]byte(`{"retry":true,"address":"mm#dev"}`))
	f.Add([]byte(`{"lanes":[{"address":"mm#dev","state":"parked","count":3}],"tried":[{"address":"mm#dev","result":"failed","error":"503"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if q, err := readQuestion(text); err == nil {
			again, err := readQuestion(marshal(t, q))
			if diff := cmp.Diff(q, again); err != nil || diff != "" {
				t.Errorf("the question: %v %s", err, diff)
			}
		}
		if a, err := readAnswer(text); err == nil && !bytes.Contains(text, []byte("next")) && !bytes.Contains(text, []byte("since")) {
			again, err := readAnswer(marshal(t, a))
			if err != nil || len(again.Lanes) != len(a.Lanes) || len(again.Tried) != len(a.Tried) {
				t.Errorf("the answer: %v %+v", err, again)
			}
		}
	})
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
