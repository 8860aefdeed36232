package configs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoadGitLab(t *testing.T) {
	private(t, "testdata/good/secrets/*")
	cfg, found := Load("testdata/good/gitlab.yaml", testEnv)
	if len(found) > 0 {
		t.Fatalf("found %v", found)
	}
	a, b := cfg.Sources[0], cfg.Sources[1]
	want := []API{
		{URL: "https://gitlab.example/git", CAFile: "testdata/good/ca.pem", Token: a.API.Token},
		{URL: "http://gitlab.lab.example", Insecure: true, Token: b.API.Token},
	}
	if diff := cmp.Diff(want, []API{*a.API, *b.API}, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if a.API.Token.IsZero() || b.API.Token.IsZero() {
		t.Error("a token was not read")
	}
	text := func(ps []Pattern) []string {
		var out []string
		for _, p := range ps {
			out = append(out, p.Text)
		}
		return out
	}
	got := [][]string{{a.Hooks.URL}, text(a.Hooks.Groups), text(a.Hooks.Projects), text(a.Hooks.Except), text(a.Hooks.Events), text(b.Hooks.Events)}
	lists := [][]string{{"https://relay.example/in/hooks/gitlab"}, {"acme"}, {"partner/**", "lab/x"}, {"partner/archive/**"}, {"push_events", EventsRouted}, {EventsRouted}}
	if diff := cmp.Diff(lists, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
