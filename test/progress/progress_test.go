package progress

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// On a terminal it shows the steps, below the lines that are written meanwhile.
func TestBar(t *testing.T) {
	var screen bytes.Buffer
	b := on(&screen, 4, "scenarios")
	b.Step()
	fmt.Fprintln(b.Above(&screen), "one is done")
	if s := screen.String(); !strings.Contains(s, "scenarios") || !strings.Contains(s, "(1/4)") || !strings.Contains(s, "one is done\n") || strings.HasSuffix(s, "one is done\n") {
		t.Errorf("it shows %q", s)
	}
	for range 3 {
		b.Step()
	}
	screen.Reset()
	fmt.Fprintln(b.Above(&screen), "all is done")
	if s := screen.String(); !strings.HasSuffix(s, "all is done\n") {
		t.Errorf("at the end it shows %q", s)
	}
}

// When piped it shows nothing.
func TestNoTerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := New(f, 4, "scenarios")
	b.Step()
	fmt.Fprintln(b.Above(f), "x")
	if text, _ := os.ReadFile(f.Name()); string(text) != "x\n" {
		t.Errorf("it writes %q", text)
	}
}
