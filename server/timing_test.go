package server

import (
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/gitlab-mattermost/relay/events"
)

// BenchmarkTokenTiming compares how long a wrong token takes that differs in its
// first byte with one that differs in its last byte, as dudect does it
// (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017): by
// Welch's t of 200,000 timings in random order, the slowest tenth of which are
// left out. Below 4.5 nothing can be told. The same for a comparison that ends at
// the first difference shows what the method sees. Neither is a gate: what a
// machine does meanwhile is in them.
func BenchmarkTokenTiming(b *testing.B) {
	const token = "glwh-7c1e5a90b3d24f6688aa01c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f506"
	proof, err := events.NewProof(events.ProofConfig{Tokens: []string{token}})
	if err != nil {
		b.Fatal(err)
	}
	wrong := [2]string{"X" + token[1:], token[:len(token)-1] + "X"}
	// Both are read from the same place: where something lies tells in time too.
	given := []byte(token)
	header := http.Header{"X-Gitlab-Event": {"Push Hook"}, "X-Gitlab-Token": {unsafe.String(&given[0], len(given))}}
	choose := func(class int) { copy(given, wrong[class]) }
	for class := range wrong {
		if choose(class); proof.Header(header).Outcome == events.Accepted {
			b.Fatalf("a wrong token is accepted: %s", given)
		}
	}
	var ours, control float64
	for b.Loop() {
		ours = welch(choose, func() { proof.Header(header) })
		control = welch(choose, func() { earlyEnd(token, header.Get("X-Gitlab-Token")) })
	}
	b.ReportMetric(math.Abs(ours), "t")
	b.ReportMetric(math.Abs(control), "t-of-an-early-end")
}

// earlyEnd is what a comparison must not be.
//
//go:noinline
func earlyEnd(a, b string) bool {
	for range 8 { // long enough to be timed
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				break
			}
		}
	}
	return strings.Compare(a, b) == 0
}

// welch is Welch's t of how long f takes after class 0 and after class 1 was
// chosen.
func welch(choose func(class int), f func()) float64 {
	const timings, kept = 200_000, 0.9
	random := rand.New(rand.NewPCG(1, 2))
	classes, took := make([]int, timings), make([]float64, timings)
	for i := range timings {
		classes[i] = random.IntN(2)
		choose(classes[i])
		begin := time.Now()
		f()
		took[i] = float64(time.Since(begin))
	}
	slowest := slices.Sorted(slices.Values(took))[int(kept*timings)]
	var n, sum, squares [2]float64
	for i, class := range classes {
		if took[i] <= slowest {
			n[class]++
			sum[class] += took[i]
			squares[class] += took[i] * took[i]
		}
	}
	var mean, variance [2]float64
	for c := range 2 {
		mean[c] = sum[c] / n[c]
		variance[c] = (squares[c] - sum[c]*mean[c]) / (n[c] - 1)
	}
	return (mean[0] - mean[1]) / math.Sqrt(variance[0]/n[0]+variance[1]/n[1])
}
