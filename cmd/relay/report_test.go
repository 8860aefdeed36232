package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// reportChat is a chat server, and the destination on it that gets the reports.
func reportChat(t *testing.T) (*chat.Server, *delivery.Destination) {
	t.Helper()
	server, err := chat.Start(chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	clients := delivery.NewClients("test")
	t.Cleanup(clients.Close)
	ds, err := clients.Prepare([]configs.Destination{{Name: "own", Kind: configs.KindMattermost, URL: configs.NewSecret(server.URL("own"))}}, configs.EgressPrivate)
	if err != nil {
		t.Fatal(err)
	}
	return server, &ds[0]
}

func TestOneReportPerKindAndHour(t *testing.T) {
	server, own := reportChat(t)
	var secrets redactor
	secrets.add("the-secret")
	r := newReporter(func() (*delivery.Destination, string, configs.Look) {
		return own, "relay", configs.Look{Username: "Relay", Icon: ":gear:"}
	}, secrets.clean, slog.New(slog.DiscardHandler))
	now := time.Unix(1700000000, 0)
	r.now = func() time.Time { return now }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	told := []bool{r.trouble("reload", "one the-secret"), r.trouble("reload", "two"), r.trouble("paused mm", "three")}
	r.relief("three is over")
	deliver(ctx, r)
	told = append(told, r.trouble("reload", "two"))
	now = now.Add(reportEvery)
	told = append(told, r.trouble("reload", "four"))
	deliver(ctx, r)
	if diff := cmp.Diff([]bool{true, false, true, false, true}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	got, err := server.WaitPosts(ctx, "own", 4)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one [redacted]", "three", "three is over", "four"}, chat.Texts(got)); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	if got[0].Channel != "relay" || got[0].Username != "Relay" {
		t.Errorf("posted as %q to %q", got[0].Username, got[0].Channel)
	}
}

// deliver posts all that waits.
func deliver(ctx context.Context, r *reporter) {
	for len(r.waiting) > 0 {
		one := <-r.waiting
		r.ended(one, r.post(ctx, one.text))
	}
}

// A report that did not get through was not made: the next trouble of its kind is
// told again. The same for one that found no room.
func TestReportIsMadeWhenDelivered(t *testing.T) {
	server, own := reportChat(t)
	r := newReporter(func() (*delivery.Destination, string, configs.Look) { return own, "", configs.Look{} }, (&redactor{}).clean, slog.New(slog.DiscardHandler))
	r.pauses = nil
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server.Set("own", chat.Status(503, nil, ""))
	var told []bool
	say := func(kind string) { told = append(told, r.trouble(kind, kind)) }
	say("a")
	say("a") // it is under way
	deliver(ctx, r)
	say("a") // it failed
	server.Set("own", chat.OK())
	deliver(ctx, r)
	say("a") // it was delivered
	for range reportWaiting {
		r.relief("over")
	}
	say("b") // there is no room
	deliver(ctx, r)
	say("b")
	if diff := cmp.Diff([]bool{true, false, true, false, false, true}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// TestReportOfHostileFile: neither the name of a team's file nor a mistake in it
// calls anybody or shows a secret, whatever characters are replaced.
func TestReportOfHostileFile(t *testing.T) {
	secrets := &redactor{}
	secrets.add("kanarie<1>kanarie")
	r := newReporter(nil, secrets.clean, slog.New(slog.DiscardHandler))
	b := newBrokenFiles(slog.New(slog.DiscardHandler), r, prometheus.NewRegistry())
	const name = "teams/`@here <!channel>\n@all.yaml"
	finding := configs.Finding{Pos: configs.Pos{File: name}, Message: "``` kanarie<1>kanarie @all"}
	b.told(&configuration{broken: []brokenFile{{Path: name}}}, []configs.Finding{finding})
	b.told(&configuration{}, nil)
	want := []string{
		"⚠️ `teams/'@here ‹!channel› @all.yaml` has mistakes; nothing of it is in force, and the rest is loaded:\n" +
			"```\nteams/`@here ‹!channel›\n@all.yaml: ''' [redacted] @all\n```",
		"✅ `teams/'@here ‹!channel› @all.yaml` has no mistakes any more.",
	}
	for _, w := range want {
		if got := <-r.waiting; got.text != w {
			t.Errorf("%q, want %q", got.text, w)
		}
	}
}
