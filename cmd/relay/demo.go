package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/server"
)

// demoConfig is the relay.yaml of serve --demo.
//
//go:embed demo.yaml
var demoConfig []byte

// demoSamples are sent through the demo's own door: an hour of an ordinary
// project.
var demoSamples = []string{
	"push", "merge_request.open", "note.merge_request~diff", "pipeline.failed", "merge_request.approved", "merge_request.merge",
	"issue.open", "tag_push", "issue.open~confidential",
}

// runDemo runs a relay that needs nothing and keeps nothing: an embedded queue
// in a temporary directory, free ports of the loopback interface, and a
// destination that prints messages.
func (a *app) runDemo(ctx context.Context, f serveFlags) error {
	token := rand.Text()
	c, _, err := a.compiled(configs.LoadBytes("demo.yaml", demoConfig, func(name string) (string, bool) {
		return token, name == "RELAY_TOKEN"
	}))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "relay-demo-")
	if err != nil {
		return fmt.Errorf("make a place for the demo's queue: %w", err)
	}
	defer os.RemoveAll(dir)
	f.data, f.listen, f.admin, f.natsURL, f.cert, f.key = dir, "127.0.0.1:0", "127.0.0.1:0", "", "", ""
	f.replicas = 1
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-hangups(): // the terminal has gone
			cancel()
		case <-ctx.Done():
		}
	}()
	return a.runServe(ctx, f, loaded{configuration: c}, func(r *relay) {
		hook := "http://" + r.public.Addr() + c.Sources[0].Paths[0]
		a.introduceDemo(hook, token, f.stay)
		err := sendSamples(ctx, hook, token)
		if err == nil && !f.stay {
			if err = awaitMessages(ctx, r.admin.Addr(), len(demoSamples)); err == nil {
				fmt.Fprintln(a.stdout, "\nthe demo is over; with --stay it keeps running and takes your own webhooks")
				cancel()
				return
			}
		}
		if err != nil && ctx.Err() == nil {
			r.failed <- err
		}
	})
}

// introduceDemo says what comes.
func (a *app) introduceDemo(hook, token string, stays bool) {
	out := uncleaned(a.stdout)
	if stays {
		fmt.Fprintf(out, `this is a demo: it prints messages in place of posting them, and forgets everything at Ctrl-C
send it another webhook with: RELAY_TOKEN=%s relay send issue.close --via %s
`, token, hook)
	} else {
		fmt.Fprintln(out, "this is a demo: it prints messages in place of posting them, and keeps nothing")
	}
	fmt.Fprintf(out, "\n%d sample webhooks go in through %s; these messages come out:\n", len(demoSamples), hook)
}

// awaitMessages waits until so many events are decided and all their messages are out.
func awaitMessages(ctx context.Context, address string, n int) error {
	running := adminAt(&url.URL{Scheme: "http", Host: address}, new(pflag.FlagSet))
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		list, err := running.events(ctx, url.Values{}, n)
		if err != nil {
			return fmt.Errorf("wait for the messages: %w", err)
		}
		out := slices.IndexFunc(list.Events, func(e server.Event) bool {
			return slices.ContainsFunc(e.Deliveries, func(d server.Delivery) bool { return d.State != queue.OutcomeDelivered })
		}) < 0
		if out && len(list.Events) >= n {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the messages: %w", ctx.Err())
		}
	}
}

func sendSamples(ctx context.Context, hook, token string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, name := range demoSamples {
		s, ok := events.SampleNamed(name)
		if !ok {
			return fmt.Errorf("send the sample %s: there is none", name)
		}
		s.Body = fresh(s.Body, time.Now())
		status, answer, err := postWebhook(ctx, hook, token, s)
		if err != nil {
			return fmt.Errorf("send the sample %s: %w", name, err)
		}
		if status != http.StatusAccepted {
			return fmt.Errorf("send the sample %s: answered %d %s", name, status, answer)
		}
	}
	return nil
}
