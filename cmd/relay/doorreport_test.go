package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/server"
)

// What is refused at the door is reported with its number, and so is its end: when
// every webhook of GitLab's that was refused has been accepted since.
func TestDoorReports(t *testing.T) {
	reporting(t, func(r *reports) {
		d := newDoorReports(r.reporter)
		come := func(hook, result string) {
			d.arrived(server.Arrival{Source: "gitlab", Hook: hook, Result: result, Err: errors.New("the disk is full")})
			r.after(time.Minute)
		}
		for range 3 {
			come("one", "unauthorized")
			come("two", "unauthorized")
			come("three", server.Accepted)
		}
		come("one", server.Accepted)
		if len(r.posts) != 1 {
			t.Fatalf("posts %q", r.posts)
		}
		come("two", server.Accepted)
		come("three", "down")
		come("three", server.Accepted)
		r.after(3 * time.Hour)
		for i, want := range []string{
			"Webhooks for source `gitlab` are refused (401)",
			"Webhooks for source `gitlab` are accepted again. The trouble lasted from 00:00 UTC to 00:10 UTC and showed 6 times.",
			"Webhooks are refused and lost (503): `the disk is full`.",
			"Webhooks are stored again. The trouble lasted from 00:11 UTC to 00:12 UTC.",
		} {
			if i >= len(r.posts) || !strings.Contains(r.posts[i], want) {
				t.Fatalf("posts %q, want as number %d: %s", r.posts, i+1, want)
			}
		}
		if d.open.Load() != 0 {
			t.Error("something is open")
		}
	})
}
