package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostile are files, about as large as a fenced file may be, that are made to be slow to load.
func hostile() map[string]string {
	const size = 250_000
	many := func(each func(i int) string) string {
		var b strings.Builder
		for i := 0; b.Len() < size-100; i++ {
			b.WriteString(each(i))
		}
		return b.String()
	}
	nested := func(open string, n int) string { return strings.Repeat(open, n) }
	return map[string]string{
		"anchors":          "routes:\n" + many(func(i int) string { return fmt.Sprintf("- &a%d {to: mm}\n", i) }),
		"anchors in names": "users:\n" + many(func(i int) string { return fmt.Sprintf("  u%d: &a%d u\n", i, i) }),
		"aliases":          "routes:\n- &a {to: mm}\n" + many(func(i int) string { return "- *a\n" }),
		"anchors, aliases": "routes:\n" + many(func(i int) string { return fmt.Sprintf("- &a%d {to: mm}\n- *a%d\n", i, i) }),
		"no anchors":       "routes:\n" + many(func(i int) string { return fmt.Sprintf("- *b%d\n", i) }),
		"traps":            "routes:\n" + many(func(i int) string { return fmt.Sprintf("- {to: @b%d}\n", i) }),
		"unknown keys":     "routes:\n- to: mm\n" + many(func(i int) string { return fmt.Sprintf("  key%d: x\n", i) }),
		"unknown maps":     "routes:\n" + many(func(i int) string { return fmt.Sprintf("- {too%d: mm}\n", i) }),
		"unknown places":   "routes:\n" + many(func(i int) string { return fmt.Sprintf("- to: mn%d\n", i) }),
		"unknown words":    "routes:\n- to: mm\n  when: {sources: [" + many(func(i int) string { return fmt.Sprintf("s%d, ", i) }) + "]}\n",
		"same keys":        "users:\n" + many(func(i int) string { return "  u: x\n" }),
		"users":            "users:\n" + many(func(i int) string { return fmt.Sprintf("  u%d: {email: u%d@a.example}\n", i, i) }),
		"same users":       "users:\n" + many(func(i int) string { return fmt.Sprintf("  u%d: {email: u@a.example}\n", i) }),
		"emails":           "users: {u: {email: [" + many(func(i int) string { return fmt.Sprintf("u%d@a.example, ", i) }) + "]}}\n",
		"routes":           "routes:\n" + many(func(i int) string { return fmt.Sprintf("- {to: mm#c%d}\n", i) }),
		"same names":       "routes:\n" + many(func(i int) string { return "- {to: mm, name: x}\n" }),
		"addresses":        "routes:\n- to: [" + many(func(i int) string { return fmt.Sprintf("mm#c%d, ", i) }) + "]\n",
		"mentions":         "routes:\n- to: mm\n  mention: [" + many(func(i int) string { return fmt.Sprintf("\"@c%d\", ", i) }) + "]\n",
		"tests":            "tests:\n" + many(func(i int) string { return "- {event: push, expect: {to: mm}}\n" }),
		"payload files":    "routes: [{to: mm}]\ntests:\n" + many(func(i int) string { return fmt.Sprintf("- {event: x/%d.json, expect: {to: mm}}\n", i) }),
		"deep list":        "routes: " + nested("[", 9000),
		"deep list closed": "routes: " + nested("[", 9000) + nested("]", 9000),
		"deep map":         nested("{a: ", 9000) + nested("}", 9000),
		"deeper":           nested("[", size),
		"deep lines":       many(func(i int) string { return strings.Repeat(" ", min(i, 1300)) + "a:\n" }),
		"secret lines":     "token: [\n" + many(func(i int) string { return " a\n b,\n" }) + "]\n",
		"secret texts":     "token:\n" + many(func(i int) string { return " - |\n  a\n" }),
		"one line":         "routes: [" + many(func(i int) string { return "{too: mm}, " }) + "]\n",
		"one value":        "routes: [{to: \"" + strings.Repeat("x", size) + "\"}]\n",
		"urls":             "routes: [{to: mm}]\n# " + many(func(i int) string { return "http://a " }) + "\n",
		"comments":         "routes: [{to: mm}]\n" + many(func(i int) string { return "#\n" }),
		"variables":        "routes:\n- to: mm\n  name: \"" + many(func(i int) string { return "${X}" }) + "\"\n",
		"quotes":           "routes:\n" + many(func(i int) string { return "- 'a\n" }),
		"tabs":             "routes:\n" + many(func(i int) string { return "\t- to: mm\n" }),
		"merges":           "routes:\n" + many(func(i int) string { return "- {<<: {to: mm}}\n" }),
	}
}

// processorTime is how long this process has run.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestHostileFiles: no file of that size takes long to load, as a fenced file or as
// the main one, and what is printed of it stays short.
func TestHostileFiles(t *testing.T) {
	const most = 2 * time.Second // of the processor, also with the race detector
	for name, text := range hostile() {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "team.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		main := "destinations: {mm: {kind: log}}\nroutes: [{to: mm}]\ninclude: [{files: team.yaml, to: 'mm*'}]\n"
		for _, data := range []string{main, "destinations: {mm: {kind: log}}\n" + text} {
			begin := processorTime(t)
			_, found := LoadBytes(filepath.Join(dir, "relay.yaml"), []byte(data), testEnv)
			printed := len(printed(t, found))
			took := processorTime(t) - begin
			if testing.Verbose() {
				t.Logf("%-20s %8v %6d findings, %d bytes", name, took.Round(time.Millisecond), len(found), printed)
			}
			if took > most || len(found) > 1000 || printed > 1<<20 {
				t.Errorf("%s: %v, %d findings, %d bytes", name, took, len(found), printed)
			}
		}
	}
}
