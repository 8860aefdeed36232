package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// mixes are the mixes by name.
var mixes = map[string][]kind{"merge requests": onlyMergeRequests, "mix": realistic}

// postTo posts one body to the chat and reads the answer.
func postTo(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("post: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("post: %w", err)
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("post: answered %d", resp.StatusCode)
	}
	return err
}

// runCeiling posts the events themselves, as fast as they are answered, until
// the context ends.
func runCeiling(ctx context.Context, f contenderFlags) error {
	bodies, err := newPost(mixes[f.mix], f.projects)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: transport()}
	go func() { _ = serve(ctx, f.listen, nil) }() // shows that it is ready
	var next atomic.Int64
	var running sync.WaitGroup
	failed := make(chan error, f.workers)
	for range f.workers {
		running.Go(func() {
			var buf []byte
			for ctx.Err() == nil {
				buf = bodies.body(buf[:0], int(next.Add(1))-1)
				if err := postTo(ctx, client, f.chat, buf); err != nil && ctx.Err() == nil {
					failed <- err
					return
				}
			}
		})
	}
	running.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}
