package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	fake "github.com/gitlab-mattermost/relay/test/gitlab"
)

// TestTokenWatch: an access token that can write, or ends within 30 days and then
// within 7, is told once each; and none is ever shown.
func TestTokenWatch(t *testing.T) {
	const canary = "glpat-canary-canary-canary"
	server, err := fake.Start(fake.Options{Minor: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	cfg := &configs.Config{Egress: configs.EgressPrivate, Sources: []configs.Source{
		{Name: "gitlab", API: &configs.API{URL: server.URL(), Token: configs.NewSecret(canary)}}, {Name: "other"},
	}}
	var log bytes.Buffer
	var reports []string
	w := newTokenWatch(slog.New(slog.NewTextHandler(&log, nil)), func(_, text string) { reports = append(reports, text) })
	now := time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)
	w.now = func() time.Time { return now }
	tests := []struct {
		name    string
		user    *fake.User
		pass    time.Duration
		logged  []string
		reports int
	}{
		{"unknown to GitLab", nil, 0, []string{"could not be asked", "401"}, 1},
		{"still", nil, time.Hour, nil, 0},
		{"far from its end", &fake.User{Name: "mia", Scopes: []string{"read_api"}, Expires: "2026-05-01"}, 0, nil, 0},
		{"30 days", &fake.User{Name: "mia", Scopes: []string{"read_api"}, Expires: "2026-05-01"}, 30 * 24 * time.Hour, []string{"ends soon", "days=29"}, 1},
		{"told already", &fake.User{Name: "mia", Scopes: []string{"read_api"}, Expires: "2026-05-01"}, 24 * time.Hour, nil, 0},
		{"7 days", &fake.User{Name: "mia", Scopes: []string{"read_api"}, Expires: "2026-05-01"}, 22 * 24 * time.Hour, []string{"ends soon", "days=6"}, 1},
		{"can write", &fake.User{Name: "mia", Scopes: []string{"api"}}, 0, []string{"more than the relay needs", "scope api"}, 0},
		{"told too", &fake.User{Name: "mia", Scopes: []string{"api"}}, 0, nil, 0},
	}
	for _, tt := range tests {
		log.Reset()
		reports = nil
		now = now.Add(tt.pass)
		if tt.user != nil {
			server.AddToken(canary, *tt.user)
		}
		w.check(context.Background(), cfg)
		for _, want := range tt.logged {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: no %q in %s", tt.name, want, log.String())
			}
		}
		if len(tt.logged) == 0 && log.Len() > 0 {
			t.Errorf("%s: %s", tt.name, log.String())
		}
		if diff := cmp.Diff(tt.reports, len(reports)); diff != "" {
			t.Errorf("%s: reports (-want +got):\n%s", tt.name, diff)
		}
		if all := log.String() + strings.Join(reports, ""); strings.Contains(all, "canary") {
			t.Errorf("%s: a token is shown: %s", tt.name, all)
		}
	}
}
