package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/server"
)

// About is part of [server.Relay].
func (v adminView) About() server.About {
	dispatching := v.r.active.Load() != nil
	return server.About{Version: versionString(), Started: v.r.started.UTC(), Dispatching: dispatching, Configuration: v.r.reloader.about(v.r.live.Load())}
}

// about says which configuration is in force, and what is wrong with its files.
func (r *reloader) about(c *configuration) server.Configuration {
	at, problems := r.status()
	about := server.Configuration{Files: len(c.Files), Loaded: c.loaded.UTC(), Tried: at.UTC(), Refused: c.refused(problems) || !c.copied.IsZero(), Problems: []string{}, Broken: []string{}}
	if len(c.Files) > 0 {
		about.File = c.Files[0]
	}
	if !c.copied.IsZero() {
		copied := c.copied.UTC()
		about.LastGood = &copied
	}
	for _, f := range problems {
		if f.Severity == configs.Error {
			about.Problems = append(about.Problems, fmt.Sprintf("%s: %s", f.Pos, f.Message))
		} else {
			about.Warnings++
		}
	}
	for _, b := range c.broken {
		about.Broken = append(about.Broken, b.Path)
	}
	return about
}

// Ready says for people why a webhook could not be stored, or is not delivered.
func (v adminView) Ready(ctx context.Context) error {
	err := v.r.ready(ctx)
	var known interface{ NotReady() string }
	if err == nil || errors.As(err, &known) {
		return err
	}
	return unready{err}
}

// unready is an error of the queue, which the admin listener may show.
type unready struct{ error }

func (u unready) Unwrap() error { return u.error }

// NotReady is what readiness says.
func (u unready) NotReady() string {
	why := strings.TrimPrefix(u.Error(), queue.ErrDown.Error()+": ")
	if errors.Is(u, context.DeadlineExceeded) {
		why = "it does not answer"
	}
	return "the queue cannot store: " + why
}

// warnOfSmallDisk says at the start that the disk is full before the queue is at its
// limits.
func (r *relay) warnOfSmallDisk(ctx context.Context) {
	s, err := server.NewStorage(ctx, r.queue)
	if err != nil || !s.Small() {
		return
	}
	r.log.Warn("the disk is smaller than the limits of the queue: webhooks are refused before the limits are reached; make it larger, or lower --events-size, --parked-size, --dead-size and --journal-size",
		"directory", r.f.data, "free", bytesText(s.Free), "reserve", bytesText(s.Reserve), "limits_may_take", bytesText(s.Growth))
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
