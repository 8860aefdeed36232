package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// gatedWriter is a writer that takes nothing before it is opened.
type gatedWriter struct {
	open   chan struct{}
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
}

func (g *gatedWriter) Write(p []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes++
	return g.text.Write(p)
}

func TestLinesAreWrittenTogetherAndInOrder(t *testing.T) {
	out := &gatedWriter{open: make(chan struct{})}
	w := newLineWriter(out)
	var want strings.Builder
	for i := range 1000 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("took %d bytes, %v", n, err)
		}
	}
	close(out.open)
	w.close()
	fmt.Fprint(w, "the last one\n")
	want.WriteString("the last one\n")
	if out.text.String() != want.String() {
		t.Errorf("wrote %d bytes, want all %d in order", out.text.Len(), want.Len())
	}
	if out.writes > 4 { // one that was under way, what gathered meanwhile, the last one
		t.Errorf("%d writes for lines that waited together", out.writes)
	}
}

func TestLinesAreNeverDropped(t *testing.T) {
	out := &gatedWriter{open: make(chan struct{})}
	w := newLineWriter(out)
	line := []byte(strings.Repeat("x", 1023) + "\n")
	const lines = 3 * maxUnwritten / 1024
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range lines / 4 {
				_, _ = w.Write(line)
			}
		})
	}
	close(out.open)
	writers.Wait()
	w.close()
	if got, want := out.text.Len(), lines*len(line); got != want {
		t.Errorf("wrote %d bytes, want %d", got, want)
	}
}
