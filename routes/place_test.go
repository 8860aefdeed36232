package routes

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// namedBy is an address of a destination: a text, then a place.
func namedBy(destination, text, place string) configs.To {
	to := configs.To{Address: configs.Address{Destination: destination, Channel: text + "{" + place + "}"}}
	if text != "" {
		to.Parts = append(to.Parts, configs.Part{Text: text})
	}
	to.Parts = append(to.Parts, configs.Part{Place: place})
	return to
}

// channelOfChat is what Mattermost takes for the name of a channel in its URL.
var channelOfChat = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$`)

// reached checks an address that the event completed: it is the destination that the file
// names, a channel that its lists allow, and nobody's name.
func reached(t *rapid.T, dest *configs.Destination, e *events.Event, x Delivery) {
	channel := x.Address.Channel
	if channel == "" {
		channel = dest.Channel
	}
	prefix, _, _ := strings.Cut(x.Placed.Channel, "{")
	switch {
	case x.Address.Destination != x.Placed.Destination:
		t.Fatalf("%s: %s reaches another destination: %s", e.Name(), x.Placed, x.Address)
	case !channelOfChat.MatchString(channel) || strings.Contains(channel, "__") || !strings.HasPrefix(channel, prefix):
		t.Fatalf("%s: %s is no channel of %s", e.Name(), x.Address, x.Placed)
	case !dest.AllowsNaming(channel):
		t.Fatalf("%s: channels of %s does not list %s", e.Name(), dest.Name, channel)
	case e.Confidential && !dest.AllowsPlaced(channel):
		t.Fatalf("%s: confidential, and named by the event: %s", e.Name(), x.Address)
	}
}

var allPlaces = []string{
	configs.PlaceProjectName, configs.PlaceProjectPath, configs.PlaceGroup, configs.PlaceTopGroup, configs.PlaceBranch, configs.PlaceEnvironment,
}

// saying is an event that has a text for every place.
func saying(text string) *events.Event {
	return &events.Event{
		Kind: events.Job, Action: "failed", Material: true, Branch: text, Project: events.Project{Path: text, Name: text}, Job: &events.JobPart{Environment: text},
	}
}

// TestNamesAreSafe: whatever a project, branch or environment is called, the channel is
// one that a chat takes, begins as the file says, and is nobody's direct conversation.
func TestNamesAreSafe(t *testing.T) {
	text := rapid.OneOf(
		rapid.String(), rapid.StringMatching(`[a-zA-Z0-9._/ @#-]{0,80}`), rapid.StringMatching(`[a-z0-9]{24,28}(__[a-z0-9]{26})?`),
		rapid.StringMatching(`@?(all|channel|here|ada)`), rapid.StringMatching(`[A-Za-z]{1,4}(/[A-Za-z_-]{1,4}){1,3}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"", "gl-", "x_", "a-prefix-of-sixty-characters-which-leaves-hardly-any-room-for-it"}).Draw(t, "prefix")
		to := namedBy("mm", prefix, rapid.SampledFrom(allPlaces).Draw(t, "place"))
		dest := &configs.Destination{Name: "mm"}
		p := naming{written: to.Address, parts: to.Parts, to: dest}
		first, second := text.Draw(t, "text"), text.Draw(t, "another")
		s := (&Table{}).subject(saying(first))
		a, because := p.address(s)
		if (a == configs.Address{}) != (because != "") {
			t.Fatalf("%q: %v, %q", first, a, because)
		}
		if because != "" {
			return
		}
		reached(t, dest, s.event, Delivery{Address: a, Placed: &to.Address})
		if idShape.MatchString(a.Channel) {
			t.Fatalf("%q becomes the id %s", first, a.Channel)
		}
		same := func(s string) string { // what GitLab, or the place, does not tell apart
			switch to.Parts[len(to.Parts)-1].Place {
			case configs.PlaceBranch, configs.PlaceEnvironment:
				return s
			case configs.PlaceGroup:
				s = group(saying(s))
			case configs.PlaceTopGroup:
				s, _, _ = strings.Cut(group(saying(s)), "/")
			}
			return strings.ReplaceAll(strings.ToLower(s), "/", "-")
		}
		b, because := p.address((&Table{}).subject(saying(second)))
		if because == "" && a == b && same(first) != same(second) {
			t.Fatalf("%q and %q meet in %s", first, second, a)
		}
	})
}

// TestNames pins what texts become.
func TestNames(t *testing.T) {
	for _, c := range []struct{ place, text, want string }{
		{configs.PlaceProjectPath, "acme/api", "gl-acme-api"},
		{configs.PlaceProjectPath, "Acme/Backend/API", "gl-acme-backend-api"},
		{configs.PlaceProjectPath, "acme/web.api", "gl-acme-web-api-4dd043"},
		{configs.PlaceProjectName, "API", "gl-api"},
		{configs.PlaceProjectName, "My App", "gl-my-app-96c6f4"},
		{configs.PlaceProjectName, "日本語", "gl-77710a"},
		{configs.PlaceProjectName, "@here", "gl-here-6ed2b3"},
		{configs.PlaceGroup, "acme/backend/api", "gl-acme-backend"},
		{configs.PlaceTopGroup, "acme/backend/api", "gl-acme"},
		{configs.PlaceTopGroup, "api", "because {top_group}: GitLab does not say it of this event"},
		{configs.PlaceBranch, "main", "gl-main"},
		{configs.PlaceBranch, "Main", "gl-main-eb814b"},
		{configs.PlaceBranch, "feature/x", "gl-feature-x-217d2b"},
		{configs.PlaceEnvironment, "", "because {environment}: the event has no environment"},
		{configs.PlaceBranch, strings.Repeat("a", 70), "gl-" + strings.Repeat("a", 54) + "-6bd5e5"},
		{configs.PlaceProjectName, "a__b", "because {project.name}: its text holds __, as the name of a direct conversation does"},
		{configs.PlaceProjectName, "abcdefghijklmnopqrstuvwxy1", "because {project.name}: its text has the shape of an id"},
		{configs.PlaceProjectName, "C012345678", "because {project.name}: its text has the shape of an id"},
	} {
		to := namedBy("mm", "gl-", c.place)
		p := naming{written: to.Address, parts: to.Parts, to: &configs.Destination{Name: "mm"}}
		a, because := p.address((&Table{}).subject(saying(c.text)))
		got := a.Channel
		if because != "" {
			got = "because " + because
		}
		if got != c.want {
			t.Errorf("%s of %q: %s, want %s", c.place, c.text, got, c.want)
		}
	}
}

// TestNamedAddresses: what an event names is held to channels, confidential and only, and
// is the same address as what a route writes out.
func TestNamedAddresses(t *testing.T) {
	table := compile(t, `
destinations:
  mm: {kind: log, channels: ["gl-*", security, "env-*"], confidential: [security, "gl-acme-*"], channel: gl-acme-own}
  ops: {kind: log, only: {visibility: public}}
routes:
  - {name: A, when: {events: all}, to: ["mm#gl-{project.path}", "ops#gl-{project.path}"]}
  - {name: B, when: {events: all}, to: "mm#{project.name}"}
  - {name: C, when: {events: issue}, to: mm#security}
  - {name: D, when: {events: issue}, to: mm#gl-acme-api, mention: here}
  - {name: E, when: {events: job}, to: "mm#env-{environment}"}
`)
	type result struct{ To, Withheld, Unfilled []string }
	ask := func(e *events.Event) (r result) {
		d := table.Match(e)
		r.To = addresses(d)
		for _, w := range d.Withheld {
			r.Withheld = append(r.Withheld, w.Address.String()+" "+w.Reason)
		}
		for _, u := range d.Unfilled {
			r.Unfilled = append(r.Unfilled, u.Address.String()+" "+u.Because)
		}
		if diff := cmp.Diff(d, table.Explain(e).Decision); diff != "" {
			t.Errorf("explained otherwise:\n%s", diff)
		}
		for _, x := range d.Deliveries {
			if reason := table.Closed(e, x.Address, x.File); reason != "" {
				t.Errorf("%s is decided, and then withheld: %s", x.Address, reason)
			}
		}
		for _, w := range d.Withheld {
			if w.ByEvent && table.Closed(e, w.Address, "") == "" && !slices.Contains(r.To, w.Address.String()) && w.Reason != ReasonConfidential {
				t.Errorf("%s is withheld, and then posted", w.Address)
			}
		}
		return r
	}
	project := func(kind, path, name string, confidential bool) *events.Event {
		return change(named(kind, "open"), func(e *events.Event) {
			e.Project = events.Project{Path: path, Name: name, Visibility: "private"}
			e.Confidential = confidential
		})
	}
	for _, c := range []struct {
		name  string
		event *events.Event
		want  result
	}{
		{"public names", project("release", "acme/web", "gl-x", false), result{To: []string{"mm#gl-acme-web", "mm#gl-x"}, Withheld: []string{"ops#gl-acme-web only"}}},
		{"not in channels", project("release", "acme/web", "town-square", false), result{To: []string{"mm#gl-acme-web"}, Withheld: []string{"ops#gl-acme-web only", "mm#town-square channels"}}},
		{"the destination's own", project("release", "acme/own", "gl-x", false), result{To: []string{"mm", "mm#gl-x"}, Withheld: []string{"ops#gl-acme-own only"}}},
		{"written out too", project("issue", "acme/api", "gl-acme-api", false), result{To: []string{"mm#gl-acme-api", "mm#security"}, Withheld: []string{"ops#gl-acme-api only"}}},
		// A project that is named like the channel for secrets: what its routes write out alone gets there.
		{"confidential", project("issue", "acme/x", "security", true), result{To: []string{"mm#gl-acme-x", "mm#security", "mm#gl-acme-api"}, Withheld: []string{"ops#gl-acme-x confidential"}}},
		{"confidential, no glob", project("vulnerability", "other/x", "security", true), result{To: []string{}, Withheld: []string{"mm#gl-other-x confidential", "ops#gl-other-x confidential", "mm#security confidential"}}},
		{"no environment", project("job", "acme/x", "gl-y", false), result{To: []string{"mm#gl-acme-x", "mm#gl-y"}, Withheld: []string{"ops#gl-acme-x only"}, Unfilled: []string{"mm#env-{environment} {environment}: the event has no environment"}}},
	} {
		if diff := cmp.Diff(c.want, ask(c.event)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestNamedWithinFence: a file may not reach, by the name of a project, what its fence
// forbids.
func TestNamedWithinFence(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"relay.yaml": "destinations: {mm: {kind: log}}\ninclude: [{files: team.yaml, projects: acme/**, to: [\"mm#pay-*\"]}]\n",
		"team.yaml":  "routes: [{when: {events: push}, to: \"mm#pay{project.name}\"}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, found := configs.Load(filepath.Join(dir, "relay.yaml"), env)
	table, more := Compile(cfg, listed)
	if found = append(found, more...); configs.HasErrors(found) {
		t.Fatal(text(t, found))
	}
	for name, want := range map[string]string{"roll": "withheld mm#payroll", "-x": "withheld mm#payx", "x-y": "withheld mm#payx-y"} {
		e := change(push("main"), func(e *events.Event) { e.Project = events.Project{Path: "acme/x", Name: name} })
		d := table.Match(e)
		if got := all(d); len(got) != 1 || !strings.HasPrefix(got[0], want) || d.Withheld[0].Reason != ReasonFence {
			t.Errorf("%s: %v, want %s", name, d, want)
		}
		for _, w := range d.Withheld {
			if reason := table.Closed(e, w.Address, filepath.Join(dir, "team.yaml")); reason != ReasonFence {
				t.Errorf("%s: %q right before the post", w.Address, reason)
			}
		}
	}
}

// TestPlacesThatNeverFill: an event that a route names and that has nothing for a place.
func TestPlacesThatNeverFill(t *testing.T) {
	cfg, _ := configs.LoadBytes("relay.yaml", []byte(`
destinations: {mm: {kind: log, channels: ["gl-*"]}}
routes:
  - {name: A, when: {events: [push, issue.open]}, to: "mm#gl-{branch}"}
  - {name: B, when: {events: [deployment, pipeline]}, to: "mm#gl-{environment}"}
  - {name: C, when: {events: subgroup.create}, to: ["mm#gl-{project.path}", "mm#gl-{group}"]}
  - {name: D, to: "mm#gl-{branch}"}
`), env)
	_, found := Compile(cfg, listed)
	var got []string
	for _, f := range found {
		if f.Severity == configs.Error {
			got = append(got, f.Message)
		}
	}
	want := []string{
		"mm#gl-{branch} never gets issue.open, which has no branch", "mm#gl-{environment} never gets pipeline, which has no environment",
		"mm#gl-{project.path} never gets subgroup.create, which is about a group",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
