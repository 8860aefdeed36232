package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// profiles fetches what the relay does during a window, when -profile is given,
// and returns a function that waits for it.
func (b *bench) profiles(c contender, load scenario) (wait func() error) {
	if b.profile == "" || !c.isRelay() {
		return func() error { return nil }
	}
	name := strings.NewReplacer(" ", "-", ",", "").Replace(c.name + " " + load.mix)
	done := make(chan error, 1)
	go func() {
		err := b.fetch(fmt.Sprintf("profile?seconds=%d", max(int(b.window.Seconds()), 1)), name+".cpu")
		if err == nil {
			err = b.fetch("allocs", name+".allocs")
		}
		done <- err
	}()
	return func() error { return <-done }
}

func (b *bench) fetch(what, name string) error {
	resp, err := http.Get("http://" + b.pprof + "/debug/pprof/" + what)
	if err != nil {
		return fmt.Errorf("fetch a profile: %w", err)
	}
	defer resp.Body.Close()
	if err := os.MkdirAll(b.profile, 0o755); err != nil {
		return fmt.Errorf("fetch a profile: %w", err)
	}
	f, err := os.Create(filepath.Join(b.profile, name))
	if err != nil {
		return fmt.Errorf("fetch a profile: %w", err)
	}
	_, err = io.Copy(f, resp.Body)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
