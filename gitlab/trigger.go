package gitlab

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// Use is an event that somebody wants.
type Use struct {
	Kind         string // as [events.Event] has it
	Public       bool   // one that is not confidential
	Confidential bool
	By           string // who wants it: `route "Main" (relay.yaml:5)`
}

// trigger is what a webhook can be told to send: an attribute of GitLab's API.
type trigger struct {
	name  string // "push_events"
	kind  string
	only  string // "public", "confidential"; "": both
	group bool   // webhooks of projects do not have it
}

// triggers follow the attributes in doc/api/project_webhooks.md and
// group_webhooks.md of GitLab, in their order on the settings page.
var triggers = []trigger{
	{"push_events", events.Push, "", false},
	{"tag_push_events", events.TagPush, "", false},
	{"merge_requests_events", events.MergeRequest, "", false},
	{"issues_events", events.Issue, "public", false},
	{"confidential_issues_events", events.Issue, "confidential", false},
	{"note_events", events.Note, "public", false},
	{"confidential_note_events", events.Note, "confidential", false},
	{"pipeline_events", events.Pipeline, "", false},
	{"job_events", events.Job, "", false},
	{"deployment_events", events.Deployment, "", false},
	{"releases_events", events.Release, "", false},
	{"wiki_page_events", events.WikiPage, "", false},
	{"milestone_events", events.Milestone, "", false},
	{"feature_flag_events", events.FeatureFlag, "", false},
	{"emoji_events", events.Emoji, "", false},
	{"resource_access_token_events", events.AccessToken, "", false},
	{"resource_deploy_token_events", events.DeployToken, "", false},
	{"vulnerability_events", events.Vulnerability, "confidential", false},
	{"member_events", events.Member, "", true},
	{"subgroup_events", events.Subgroup, "", true},
	{"project_events", events.ProjectKind, "", true},
}

func (t trigger) serves(u Use) bool {
	if t.kind != u.Kind {
		return false
	}
	switch t.only {
	case "public":
		return u.Public
	case "confidential":
		return u.Confidential
	}
	return u.Public || u.Confidential
}

// wanted are the triggers that shall be on, each with why. words are `events` of
// relay.yaml, uses what the routes can take.
func wanted(words []string, uses []Use, group bool) map[string]string {
	out := map[string]string{}
	for _, t := range triggers {
		if t.group && !group {
			continue
		}
		routed := slices.IndexFunc(uses, t.serves)
		switch {
		case slices.Contains(words, configs.EventsRouted) && routed >= 0:
			out[t.name] = uses[routed].By
		case slices.Contains(words, configs.EventsAll):
			out[t.name] = "events: all"
		case slices.Contains(words, t.name):
			out[t.name] = "events names it"
		}
	}
	return out
}

// Check finds what is wrong with the words of hooks in a configuration.
func Check(cfg *configs.Config) []configs.Finding {
	words := []string{configs.EventsRouted, configs.EventsAll}
	for _, t := range triggers {
		words = append(words, t.name)
	}
	var found []configs.Finding
	for _, s := range cfg.Sources {
		if s.Hooks == nil {
			continue
		}
		for _, e := range s.Hooks.Events {
			if slices.Contains(words, e.Text) {
				continue
			}
			hint := "it takes routed, all, or GitLab's names: " + strings.Join(words[2:], ", ")
			if near := configs.Suggest(e.Text, words); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			} else if i := slices.IndexFunc(triggers, func(t trigger) bool { return t.kind == e.Text }); i >= 0 {
				hint = fmt.Sprintf("did you mean %q?", triggers[i].name)
			}
			shown := e.Text
			if e.Written != "" {
				shown = e.Written
			}
			found = append(found, configs.Finding{
				Pos: e.Pos, Width: len(shown), Message: fmt.Sprintf("GitLab has no trigger %q", shown), Hint: hint,
			})
		}
	}
	return found
}
