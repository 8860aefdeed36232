package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func textsOfList(l *List) []string {
	var out []string
	for _, v := range l.Values {
		out = append(out, v.Text)
	}
	return out
}

// TestLists: $name stands for the values of the file's own list, each with its place there.
func TestLists(t *testing.T) {
	cfg, _ := Load("testdata/good/all_keys.yaml", testEnv)
	w := cfg.Routes[2].When[0]
	got := [][]string{textsOfList(w.Events), textsOfList(w.Projects), textsOfList(w.Branches), textsOfList(w.Actors)}
	want := [][]string{{"standard", "job.failed"}, {"acme/pay/**", "acme/x"}, {"$default", "release/*"}, {"ann", "bob"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if at := w.Projects.Values[0].Pos; cfg.Locate(Finding{Pos: at}).Line != "  pay: acme/pay/**" {
		t.Errorf("the value stands at %s", at)
	}
}

// TestListsOfAFile: an included file has lists of its own, which may have the names of
// others, and sees no others.
func TestListsOfAFile(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"relay.yaml": "destinations: {mm: {kind: log}}\nlists: {ours: [acme/main], more: [x]}\nroutes: [{when: {projects: $ours, actors: $more}, to: mm}]\ninclude: team.yaml\n",
		"team.yaml":  "lists: {ours: [acme/team]}\nroutes: [{when: {projects: $ours}, to: mm}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, found := Load(filepath.Join(dir, "relay.yaml"), testEnv)
	if len(found) > 0 {
		t.Fatalf("%s", printed(t, found))
	}
	for i, want := range []string{"acme/main", "acme/team"} {
		if got := cfg.Routes[i].When[0].Projects.Values[0].Text; got != want {
			t.Errorf("route %d: %s, want %s", i, got, want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "team.yaml"), []byte("routes: [{when: {actors: $more}, to: mm}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, found = Load(filepath.Join(dir, "relay.yaml"), testEnv); len(found) != 1 || !strings.Contains(found[0].Hint, "sees only its own") {
		t.Errorf("%s", printed(t, found))
	}
}

// TestListsAreBounded: a short file cannot stand for more values than memory has room for.
func TestListsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("destinations: {mm: {kind: log}}\nlists:\n  many: [" + strings.Repeat("a, ", 999) + "a]\nroutes:\n")
	for i := range 200 {
		fmt.Fprintf(&b, "  - {name: R%d, when: {actors: [$many]}, to: mm}\n", i)
	}
	_, found := LoadBytes("relay.yaml", []byte(b.String()), testEnv)
	if len(found) != 1 || !strings.Contains(found[0].Message, "stand for more than 100000 values") || found[0].Pos.Line != 105 {
		t.Errorf("%s", printed(t, found))
	}
}
