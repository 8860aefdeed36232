package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/test/chat"
)

func TestOneReportPerKindAndHour(t *testing.T) {
	server, err := chat.Start(chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	clients := delivery.NewClients("test")
	defer clients.Close()
	ds, err := clients.Prepare([]configs.Destination{{Name: "own", Kind: configs.KindMattermost, URL: configs.NewSecret(server.URL("own"))}}, configs.EgressPrivate)
	if err != nil {
		t.Fatal(err)
	}
	var secrets redactor
	secrets.add("the-secret")
	r := newReporter(func() (*delivery.Destination, string, configs.Look) {
		return &ds[0], "relay", configs.Look{Username: "Relay", Icon: ":gear:"}
	}, secrets.clean, slog.New(slog.DiscardHandler))
	now := time.Unix(1700000000, 0)
	r.now = func() time.Time { return now }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go r.run(ctx)
	told := []bool{r.trouble("reload", "one the-secret"), r.trouble("reload", "two"), r.trouble("paused mm", "three")}
	r.relief("three is over")
	now = now.Add(reportEvery)
	told = append(told, r.trouble("reload", "four"))
	if diff := cmp.Diff([]bool{true, false, true, true}, told); diff != "" {
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
