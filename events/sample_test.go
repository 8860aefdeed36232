package events

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestSamples decodes every sample and compares the whole event with the golden
// beside it.
func TestSamples(t *testing.T) {
	samples := Samples()
	if len(samples) == 0 {
		t.Fatal("no samples")
	}
	for _, s := range samples {
		t.Run(s.Name, func(t *testing.T) {
			if err := CheckObject(s.Body); err != nil {
				t.Errorf("CheckObject: %v", err)
			}
			e := Decode(Input{Source: "gitlab", Header: s.Header, Body: s.Body})
			name, _, _ := strings.Cut(s.Name, "~")
			if e.Name() != name {
				t.Errorf("decoded as %s", e.Name())
			}
			if len(e.Warnings) > 0 {
				t.Errorf("warnings: %q", e.Warnings)
			}
			compareGolden(t, filepath.Join("testdata", "samples", s.Name+".golden"), dump(e))
		})
	}
	if *update {
		return
	}
	goldens, err := filepath.Glob("testdata/samples/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	if len(goldens) != len(samples) {
		t.Errorf("%d goldens for %d samples", len(goldens), len(samples))
	}
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("event differs (-want +got):\n%s", diff)
	}
}

// TestEveryNameHasSample wants a sample for every event name but the system
// hooks' and other.
func TestEveryNameHasSample(t *testing.T) {
	for _, name := range Names() {
		if strings.HasPrefix(name, System+".") || name == Other {
			continue
		}
		if _, ok := SampleNamed(name); !ok {
			t.Errorf("no sample of %s", name)
		}
	}
}

func TestSampleNamed(t *testing.T) {
	tests := []struct{ name, header string }{
		{"push", "Push Hook"},
		{"push~force", "Push Hook"},
		{"job.failed", "Job Hook"},
		{"issue.open", "Issue Hook"},
		{"issue.open~confidential", "Confidential Issue Hook"},
		{"note.issue~internal", "Confidential Note Hook"},
		{"system.user_create", "System Hook"},
	}
	for _, tt := range tests {
		s, ok := SampleNamed(tt.name)
		if !ok || s.Name != tt.name || s.Header != tt.header || len(s.Body) == 0 {
			t.Errorf("SampleNamed(%q) = %q, %q, %d bytes, %v", tt.name, s.Name, s.Header, len(s.Body), ok)
		}
	}
	for _, name := range []string{"", "nothing", "../samples/push", "push.json"} {
		if _, ok := SampleNamed(name); ok {
			t.Errorf("SampleNamed(%q) found something", name)
		}
	}
}

// TestSampleIsACopy wants that a caller may change what it was given.
func TestSampleIsACopy(t *testing.T) {
	first, _ := SampleNamed("push")
	first.Body[0] = 'x'
	second, _ := SampleNamed("push")
	if second.Body[0] != '{' {
		t.Error("samples share their bytes")
	}
}

func TestSamplesAreSorted(t *testing.T) {
	if !slices.IsSortedFunc(Samples(), func(a, b Sample) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted by name")
	}
}

func TestNames(t *testing.T) {
	names := Names()
	for _, want := range []string{
		"push", "push.create", "push.delete", "tag_push", "tag_push.delete", "merge_request.ready",
		"note.merge_request", "pipeline.waiting_for_resource", "job.failed", "member.access_request_denied",
		"access_token.expiring", "system.user_create", "other",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("Names lacks %s", want)
		}
	}
	if slices.Contains(names, "merge_request") {
		t.Error("merge_request always has an action, but stands alone in Names")
	}
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			t.Errorf("%s twice", name)
		}
		seen[name] = true
		kind, action, ok := strings.Cut(name, ".")
		if !slices.Contains(Kinds(), kind) || ok && !slices.Contains(Actions(kind), action) {
			t.Errorf("%s is not made of a kind and its action", name)
		}
	}
	if got := Actions("nonsense"); got != nil {
		t.Errorf("Actions(nonsense) = %q", got)
	}
	Actions(Push)[0] = "changed"
	if Actions(Push)[0] != "create" {
		t.Error("Actions hands out the list itself")
	}
}
