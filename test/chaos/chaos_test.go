package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// history is a ledger that a test fills, second by second.
type history struct {
	*ledger
	start time.Time
	seq   int
}

var (
	north = address{"h", "north"}
	south = address{"h", "south"}
)

func (h *history) at(second int) time.Time { return h.start.Add(time.Duration(second) * time.Second) }

// took is a webhook that was sent and accepted within a second.
func (h *history) took(second int, id string, to ...address) int {
	p, ok := parsePlace(id)
	if !ok {
		panic(id)
	}
	n := h.sent(second, to...)
	h.answer(n, accepted, p)
	h.events[n].answered = h.at(second).Add(time.Second / 2)
	return n
}

func (h *history) sent(second int, to ...address) int {
	n := h.begin(to)
	h.events[n].at = h.at(second)
	return n
}

// came is a message in the chat.
func (h *history) came(second, n int, to address, answered bool) {
	h.seq++
	h.arrive(h.seq, to, h.at(second), answered, "text "+h.marker(n))
}

// crashes begins an epoch.
func (h *history) crashes(second int, crashed bool) {
	h.next(crashed)
	h.begun[len(h.begun)-1] = h.at(second)
}

// TestCheck fills ledgers with what may happen and what may not.
func TestCheck(t *testing.T) {
	tests := []struct {
		name  string
		rules rules
		fill  func(h *history)
		want  []string // kinds
	}{
		{"all is well", rules{}, func(h *history) {
			a, b := h.took(1, "1-0", north, south), h.took(2, "1-1", north)
			h.came(2, a, north, true)
			h.came(2, a, south, true)
			h.came(3, b, north, true)
		}, nil},
		{"lost", rules{}, func(h *history) {
			a := h.took(1, "1-0", north, south)
			h.came(2, a, north, true)
		}, []string{lost}},
		{"lost where it may be", rules{mayLose: func(*sent) bool { return true }}, func(h *history) { h.took(1, "1-0", north) }, nil},
		{"not accepted and not delivered", rules{}, func(h *history) {
			h.sent(1, north)
			h.answer(h.sent(1, north), deferred, place{})
			h.answer(h.sent(1, north), refused, place{})
		}, nil},
		{"not accepted and delivered", rules{}, func(h *history) {
			a, b := h.sent(1, north), h.sent(1, north)
			h.answer(b, deferred, place{})
			h.came(2, b, north, true)
			h.came(3, a, north, true)
		}, nil},
		{"refused and delivered", rules{}, func(h *history) {
			a := h.sent(1, north)
			h.answer(a, refused, place{})
			h.came(2, a, north, true)
		}, []string{unwanted}},
		{"twice", rules{}, func(h *history) {
			a := h.took(1, "1-0", north)
			h.came(2, a, north, true)
			h.came(3, a, north, true)
		}, []string{duplicate}},
		{"twice, unanswered", rules{}, func(h *history) {
			a := h.took(1, "1-0", north)
			h.came(2, a, north, false)
			h.came(3, a, north, true)
		}, nil},
		{"three times, one unanswered", rules{}, func(h *history) {
			a := h.took(1, "1-0", north)
			h.came(2, a, north, false)
			h.came(3, a, north, true)
			h.came(4, a, north, true)
		}, []string{duplicate}},
		{"twice, the relay having heard no answer", rules{}, func(h *history) {
			a := h.took(1, "1-0", north)
			h.came(2, a, north, true)
			h.missed(death{place{1, 0}, "north"})
			h.came(13, a, north, true)
		}, nil},
		{"twice, of an unanswered webhook, the relay having heard no answer", rules{}, func(h *history) {
			a := h.sent(1, north)
			h.came(2, a, north, true)
			h.missed(death{place{7, 0}, "north"})
			h.came(13, a, north, true)
		}, nil},
		{"two of them twice, the relay having heard one answer", rules{}, func(h *history) {
			a, b := h.sent(1, north), h.sent(1, north)
			h.missed(death{place{7, 0}, "north"})
			for _, n := range []int{a, a, b, b} {
				h.came(2, n, north, true)
			}
		}, []string{duplicate}},
		{"twice, of an unanswered webhook, another having been missed", rules{}, func(h *history) {
			a, b := h.sent(1, north), h.took(1, "7-0", north)
			h.came(2, b, north, true)
			h.missed(death{place{7, 0}, "north"})
			h.came(3, b, north, true)
			h.came(13, a, north, true)
			h.came(13, a, north, true)
		}, []string{duplicate}},
		{"twice, across a crash", rules{}, func(h *history) {
			a := h.took(1, "1-0", north, south)
			h.came(2, a, north, true)
			h.came(2, a, south, true)
			h.crashes(3, true)
			h.came(4, a, north, true)
			h.came(4, a, south, true)
		}, nil},
		{"two repeats in one lane after a crash", rules{}, func(h *history) {
			a, b := h.took(1, "1-0", north), h.took(2, "2-0", north)
			h.came(3, a, north, true)
			h.came(3, b, north, true)
			h.crashes(4, true)
			h.came(5, b, north, true)
			h.came(5, a, north, true)
		}, []string{duplicate, disorder, duplicate}},
		{"one from the middle of a line", rules{unordered: func(address) bool { return true }}, func(h *history) {
			a, b, c := h.took(1, "1-0", north), h.took(2, "2-0", north), h.took(3, "3-0", north)
			for _, n := range []int{a, b, c} {
				h.came(4, n, north, true)
			}
			h.crashes(5, true)
			h.came(6, b, north, true)
		}, []string{duplicate}},
		{"one of each of two starts, many starts later", rules{unordered: func(address) bool { return true }}, func(h *history) {
			a := h.took(1, "1-0", north)
			h.came(2, a, north, true)
			h.crashes(3, true)
			b := h.took(4, "2-0", north)
			h.came(5, b, north, true)
			h.crashes(6, true)
			h.crashes(7, true)
			h.came(8, a, north, true)
			h.came(8, b, north, true)
		}, []string{duplicate, duplicate, duplicate}},
		{"sent once more where somebody asked for it", rules{}, func(h *history) {
			a, b := h.took(1, "1-0", north), h.took(1, "1-1", north)
			h.came(2, a, north, true)
			h.came(2, b, north, true)
			h.mayGo(a, south)
			h.mayGo(b, south)
			h.mustGo(b, south)
			h.came(3, b, south, true)
			h.came(3, a, south, true)
		}, []string{disorder}},
		{"asked for once more, and lost", rules{}, func(h *history) {
			a, b := h.took(1, "1-0", north), h.took(1, "1-1", north)
			h.came(2, a, north, true)
			h.came(2, b, north, true)
			h.mayGo(a, south)
			h.mayGo(b, south)
			h.mustGo(b, south)
		}, []string{lost}},
		{"two repeats in one lane after a crash, concurrency 2", rules{concurrency: 2}, func(h *history) {
			a, b := h.took(1, "1-0", north), h.took(2, "2-0", north)
			h.came(3, a, north, true)
			h.came(3, b, north, true)
			h.crashes(4, true)
			h.came(5, b, north, true)
			h.came(5, a, north, true)
		}, nil},
		{"twice, across an orderly end", rules{}, func(h *history) {
			a := h.took(1, "1-0", north)
			h.came(2, a, north, true)
			h.crashes(3, false)
			h.came(4, a, north, true)
		}, []string{duplicate}},
		{"swapped", rules{}, func(h *history) {
			a, b := h.took(1, "1-0", north), h.took(2, "2-0", north)
			h.came(3, b, north, true)
			h.came(3, a, north, true)
		}, []string{disorder}},
		{"swapped where order is given up", rules{unordered: func(a address) bool { return a == north }}, func(h *history) {
			a, b := h.took(1, "1-0", north), h.took(2, "2-0", north)
			h.came(3, b, north, true)
			h.came(3, a, north, true)
		}, nil},
		{"swapped between addresses", rules{}, func(h *history) {
			a, b := h.took(1, "1-0", north), h.took(2, "2-0", south)
			h.came(3, b, south, true)
			h.came(4, a, north, true)
		}, nil},
		{"ids against time", rules{}, func(h *history) {
			a, b := h.took(1, "2-0", north), h.took(5, "1-0", south)
			h.came(6, a, north, true)
			h.came(6, b, south, true)
		}, []string{disorder}},
		{"an id given twice", rules{}, func(h *history) {
			a, b := h.took(1, "1-0", north), h.took(1, "1-0", south)
			h.came(6, a, north, true)
			h.came(6, b, south, true)
		}, []string{disorder}},
		{"an id given twice where that is counted", rules{mayReuse: true}, func(h *history) {
			a, b := h.took(1, "1-0", north), h.took(5, "1-0", south)
			h.came(6, a, north, true)
			h.came(6, b, south, true)
		}, nil},
		{"nobody sent it", rules{}, func(h *history) { h.arrive(1, north, h.at(1), true, h.marker(7)) }, []string{strange}},
		{"changed on the way", rules{}, func(h *history) {
			a := h.took(1, "1-0", north)
			h.came(2, a, north, true)
			h.arrive(9, north, h.at(1), true, "mk0x00000000q")
		}, []string{strange}},
		{"no marker", rules{}, func(h *history) { h.arrive(1, north, h.at(1), true, "hello") }, []string{strange}},
		{"the wrong address", rules{}, func(h *history) {
			a := h.took(1, "1-0", north)
			h.came(2, a, north, true)
			h.came(2, a, south, true)
		}, []string{strange}},
		{"given up", rules{}, func(h *history) {
			h.took(1, "1-0", north)
			h.bury(death{place{1, 0}, "north"})
		}, []string{buried}},
		{"given up as a whole", rules{}, func(h *history) {
			h.took(1, "1-0", north, south)
			h.bury(death{place{1, 0}, ""})
		}, []string{buried, buried}},
		{"given up where it may be", rules{mayDie: func(n int, to address) bool { return n == 0 && to == north }}, func(h *history) {
			h.took(1, "1-0", north)
			h.bury(death{place{1, 0}, "north"})
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &history{ledger: newLedger(1), start: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
			tt.fill(h)
			tt.rules.label = func(a address) string { return a.channel }
			var got []string
			for _, v := range h.check(tt.rules).violations {
				got = append(got, v.kind)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMissing: what is missing is what has neither arrived nor died.
func TestMissing(t *testing.T) {
	h := &history{ledger: newLedger(1)}
	a := h.took(1, "1-0", north, south)
	b := h.sent(1, north)
	h.came(1, b, north, true) // before its sender has the answer
	h.answer(b, accepted, place{2, 0})
	label := func(a address) string { return a.channel }
	if n := h.missing(label); n != 2 {
		t.Errorf("%d missing, want 2", n)
	}
	h.came(2, a, south, true)
	h.bury(death{place{1, 0}, "north"})
	if n := h.missing(label); n != 0 {
		t.Errorf("%d missing, want 0", n)
	}
}

// TestLine: what must not be in a log is found there.
func TestLine(t *testing.T) {
	tests := []struct {
		name, line string
		want       []string
	}{
		{"an ordinary line", `{"msg":"webhook","err":"panic: is a word here"}`, nil},
		{"a secret", `{"msg":"webhook","err":"post to /hooks/kanarie0123"}`, []string{leak}},
		{"a panic", "panic: runtime error", []string{crash}},
		{"a panic that was caught", `{"level":"ERROR","msg":"panic while answering a request"}`, []string{crash}},
		{"a race", "WARNING: DATA RACE", []string{crash}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bench{out: new(strings.Builder), hidden: []string{"kanarie0123"}}
			r := &rig{b: b, ledger: newLedger(1)}
			r.line([]byte(tt.line + "\n"))
			var got []string
			for _, v := range b.violations {
				got = append(got, v.kind)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
	r := &rig{b: &bench{}, ledger: newLedger(1)}
	r.line([]byte(`{"msg":"delivery given up","event_id":"12-3","address":"d0#p1","outcome":"dead"}` + "\n"))
	if r.ledger.dead[death{place{12, 3}, "d0#p1"}] != 1 {
		t.Errorf("given up: %v", r.ledger.dead)
	}
}

// TestMarkers: every kind of webhook carries its marker, and the size that was
// asked for.
func TestMarkers(t *testing.T) {
	l := newLedger(3)
	for n, k := range kinds {
		text := string(k.encode(webhookText{project: "acme/p1", n: n, marker: l.marker(n), prose: prose(1000), at: time.Now()}))
		if got, ok := l.number([]byte(text)); !ok || got != n {
			t.Errorf("%s: number %d, %t", k.name, got, ok)
		}
		if !strings.Contains(text, `"acme/p1"`) {
			t.Errorf("%s: not about its project", k.name)
		}
	}
	if len(prose(-77)) != 77 || len(prose(77)) != 77 {
		t.Error("prose is of another length than asked for")
	}
}

// TestReport: a second run replaces the rows of what was run again, and
// nothing else.
func TestReport(t *testing.T) {
	here := machine{cpu: "a CPU", kernel: "Linux 6"}
	row := func(i, lost int) result {
		return result{scenario: scenarios[i], seed: 1, figures: []figure{{"lost", lost}}, times: []timing{{name: "ready again", n: 2, worst: time.Second, target: 2 * time.Second}}, most: 50 << 20, took: 90 * time.Second, tree: "6edbd60, 2026-11-22"}
	}
	short := settings{seed: 1}
	page := report("", short, here, []result{row(0, 1), row(1, 2)})
	if again := report(page, short, here, []result{row(0, 1), row(1, 2)}); again != page {
		t.Errorf("the same results give another page:\n%s", cmp.Diff(page, again))
	}
	if !strings.Contains(page, " | 1m30s | 6edbd60, 2026-11-22 |\n") {
		t.Errorf("a row does not say how long it took, and of what:\n%s", page)
	}
	if !strings.Contains(page, "\n| lost | 2 | |\n| ready again, longest of 2 | 1s | 2s |\n") {
		t.Errorf("the figures do not have a row each:\n%s", page)
	}
	next := report(page, short, here, []result{row(1, 1234)})
	want := strings.Replace(page, "lost | 2 ", "lost | 1,234 ", 1)
	if diff := cmp.Diff(want, next); diff != "" {
		t.Errorf("one scenario again (-want +got):\n%s", diff)
	}
	full := report(next, settings{seed: 1, full: true}, here, []result{row(0, 0)})
	if !strings.Contains(full, sectionOf(next, shortHeading)) || strings.Count(full, fmt.Sprintf("| `%s` |", scenarios[0].name)) != 2 {
		t.Errorf("the full counts change the short ones:\n%s", full)
	}
}

// TestTimes: of the times with one name the longest is kept.
func TestTimes(t *testing.T) {
	b := &bench{out: io.Discard}
	for _, took := range []time.Duration{time.Second, 3 * time.Second, 2 * time.Second} {
		b.time("answers 503 after", took, 2*time.Second)
	}
	b.spread("ended after", []time.Duration{3, 1, 2}, 0)
	got := result{times: b.times}.timings()
	if want := "answers 503 after, longest of 3 3s (target 2s) · ended after, p50 0s · ended after, p99 0s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(b.violations) != 0 {
		t.Errorf("within %d times its target, and still a violation: %v", slack, b.violations)
	}
	if b.time("answers 503 after", 11*time.Second, 2*time.Second); len(b.violations) != 1 {
		t.Errorf("more than %d times its target, and no violation", slack)
	}
}

// TestFork: a ledger that goes on by itself knows what is missing, and changes
// nothing of the first one.
func TestFork(t *testing.T) {
	h := &history{ledger: newLedger(1)}
	a, b := h.took(1, "1-0", north, south), h.sent(2, south)
	h.came(2, a, north, true)
	h.came(2, b, south, true)
	label := func(a address) string { return a.channel }
	f := &history{ledger: h.fork(), seq: h.seq}
	if n := f.missing(label); n != 1 {
		t.Errorf("%d missing at the beginning, want 1", n)
	}
	f.answer(b, accepted, place{2, 0})
	f.came(3, a, south, true)
	if n := f.missing(label); n != 0 {
		t.Errorf("%d missing at the end, want 0", n)
	}
	if n := h.missing(label); n != 1 || h.count().posts != 2 || h.count().accepted != 1 {
		t.Errorf("the first ledger has changed: %d missing, %+v", n, h.count())
	}
}

// TestResolver asks as a resolver library does.
func TestResolver(t *testing.T) {
	d := &resolver{asked: map[string]int{}}
	ask := func(kind byte, labels ...string) (flags byte, answers int, tail []byte) {
		q := []byte{7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
		for _, l := range labels {
			q = append(append(q, byte(len(l))), l...)
		}
		a := d.answer(append(q, 0, 0, kind, 0, 1))
		if len(a) < 12 {
			t.Fatalf("%v: answered %v", labels, a)
		}
		return a[3] & 0xf, int(a[7]), a[max(0, len(a)-4):]
	}
	for _, c := range []struct {
		kind    byte
		name    string
		flags   byte
		answers int
		tail    []byte
	}{
		{typeA, "plain", 0, 1, []byte{127, 0, 0, 1}},
		{typeA, "PLAIN", 0, 1, []byte{127, 0, 0, 1}},
		{typeA, "trailing", 0, 1, []byte{127, 0, 0, 1}},
		{typeAAAA, "plain", 0, 0, nil},
		{typeAAAA, "mapped", 0, 1, []byte{127, 0, 0, 1}},
		{typeA, "mixed", 0, 2, []byte{127, 0, 0, 1}},
		{typeA, "rebind", 0, 1, []byte{127, 0, 0, 1}},
		{typeA, "rebind", 0, 1, []byte{169, 254, 169, 254}},
		{typeA, "rebind", 0, 1, []byte{127, 0, 0, 1}},
		{typeA, "nobody", 3, 0, nil},
	} {
		flags, answers, tail := ask(c.kind, c.name, "test")
		if flags != c.flags || answers != c.answers || c.tail != nil && !slices.Equal(tail, c.tail) {
			t.Errorf("%s %d: code %d, %d answers, end %v", c.name, c.kind, flags, answers, tail)
		}
	}
	for _, broken := range [][]byte{nil, make([]byte, 12), append(make([]byte, 12), 63, 'x', 'y', 'z', 0, 0, 1)} {
		if a := d.answer(broken); a != nil {
			t.Errorf("%v: answered %v", broken, a)
		}
	}
}

// TestChoose: names that are no scenarios are refused.
func TestChoose(t *testing.T) {
	if got, err := choose("soak,kill-random"); err != nil || len(got) != 2 || got[0].name != "soak" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := choose("kill-randon"); err == nil {
		t.Error("a scenario that does not exist is taken")
	}
	seen := map[string]bool{}
	for _, s := range scenarios {
		if seen[s.name] || s.name == "" || s.what == "" || s.run == nil || s.full == 0 {
			t.Errorf("scenario %q is not whole, or there twice", s.name)
		}
		seen[s.name] = true
	}
}

// TestPromises: what the page says is what the tool writes.
func TestPromises(t *testing.T) {
	page, err := os.ReadFile("../../docs/RELIABILITY.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(page), promises+catalogue()) {
		t.Error("docs/RELIABILITY.md does not begin with the text of promises.go and of the scenarios: make chaos writes it")
	}
	for _, heading := range []string{shortHeading, fullHeading} {
		rows, _ := parseSection(sectionOf(string(page), heading))
		for name, row := range rows {
			if !strings.Contains(row, "| none |") && !strings.Contains(row, "| not run: ") {
				t.Errorf("%s: %s has violations, and the text says that there were none: %s", heading, name, row)
			}
		}
	}
}
