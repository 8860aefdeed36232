package routes

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestClosed: the access rules of today hold for what was decided on before; routes
// do not, except where a fence has become narrower.
func TestClosed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	team := write("team.yaml", `routes: [{name: Team, when: {events: push}, to: "mm#pay"}]`)
	free := write("free.yaml", `routes: [{name: Free, when: {events: push}, to: "mm#pay"}]`)
	main := write("relay.yaml", `
sources: {gitlab: {token: "a-token-of-the-test", projects: acme/**}}
destinations:
  mm: {url: "https://chat.example/hooks/a", channel: town, confidential: [security]}
  partner: {url: "https://chat.example/hooks/b", only: [{visibility: public}, {if: 'title == "for all"'}]}
include: [{files: team.yaml, projects: acme/pay/**, to: ["mm#pay", "mm#town"]}, free.yaml]
routes:
  - {name: Tags, when: {events: tag_push}, to: "mm#ops"}
`)
	cfg, found := configs.Load(main, env)
	table, more := Compile(cfg, listed)
	if found = append(found, more...); configs.HasErrors(found) {
		t.Fatal(text(t, found))
	}
	plain := func(*events.Event) {}
	confidential := func(e *events.Event) { e.Confidential = true }
	inPay := func(e *events.Event) { e.Project.Path = "acme/pay/x" }
	mm := func(channel string) configs.Address { return configs.Address{Destination: "mm", Channel: channel} }
	for name, c := range map[string]struct {
		change func(*events.Event)
		to     configs.Address
		file   string
		want   string
	}{
		"no route sends it there any more":      {plain, mm("dev"), "", ""},
		"confidential":                          {confidential, mm("dev"), "", ReasonConfidential},
		"confidential, where it may go":         {confidential, mm("security"), "", ""},
		"confidential, the destination's own":   {confidential, mm(""), "", ReasonConfidential},
		"only":                                  {plain, configs.Address{Destination: "partner"}, "", ReasonOnly},
		"only, its second entry":                {func(e *events.Event) { e.Title = "for all" }, configs.Address{Destination: "partner"}, "", ""},
		"another project than the source's":     {func(e *events.Event) { e.Project.Path = "other/x" }, mm("dev"), "", ReasonForeign},
		"a source that is gone":                 {func(e *events.Event) { e.Source = "gone" }, mm("dev"), "", ReasonForeign},
		"a destination that is gone":            {confidential, configs.Address{Destination: "gone"}, "", ""},
		"fence: project and address":            {inPay, mm("pay"), team, ""},
		"fence: its own channel by name":        {inPay, mm(""), team, ""},
		"fence: another project":                {plain, mm("pay-x"), team, ReasonFence},
		"fence: another address":                {inPay, mm("dev"), team, ReasonFence},
		"fence: another route sends it now":     {plain, mm("pay"), team, ""},
		"fence: the main file sends it now":     {func(e *events.Event) { e.Kind = events.TagPush }, mm("ops"), team, ""},
		"fence: confidential all the same":      {func(e *events.Event) { inPay(e); confidential(e) }, mm("pay"), team, ReasonConfidential},
		"a file that has no fence any more":     {plain, mm("dev"), free, ""},
		"a file that is included no more":       {plain, mm("dev"), "elsewhere.yaml", ReasonFence},
		"a file that was renamed, routed still": {plain, mm("pay"), "elsewhere.yaml", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := &events.Event{Kind: "push", Source: "gitlab", Project: events.Project{Path: "acme/api", Visibility: "private"}}
			c.change(e)
			if got := table.Closed(e, c.to, c.file); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	inPlace := &events.Event{Kind: "push", Source: "gitlab", Project: events.Project{Path: "acme/pay/x"}}
	for _, d := range table.Match(inPlace).Deliveries {
		if d.Route == "Team" && d.File != team {
			t.Errorf("the delivery remembers the file %q, want %q", d.File, team)
		}
	}
}
