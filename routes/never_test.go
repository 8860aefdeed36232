package routes

import (
	"slices"
	"testing"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestNever holds the table of what events lack against the built-in events:
// none has what it is said never to have, and each kind that is said to have
// something has a sample with it.
func TestNever(t *testing.T) {
	has := map[string]func(s *subject) bool{
		keyBranches:       func(s *subject) bool { return s.branch() != "" },
		keyTargetBranches: func(s *subject) bool { return s.target() != "" },
		keyLabels:         func(s *subject) bool { return len(s.event.Labels) > 0 },
		keyDraft:          func(s *subject) bool { _, applies := s.draft(); return applies },
		keyPaths:          func(s *subject) bool { return len(s.files()) > 0 },
		keyEnvironments:   func(s *subject) bool { return s.environmentName() != "" },
		keyActors:         func(s *subject) bool { return s.actor != "" },
		keyVisibility:     func(s *subject) bool { return s.event.Project.Visibility != "" },
		keyConfidential:   func(s *subject) bool { return s.event.Confidential },
	}
	for key, has := range has {
		says := func(e *events.Event) bool {
			if key == keyConfidential {
				return slices.Contains(mayBeConfidential, e.Kind)
			}
			return never(key, e.Name()) == ""
		}
		seen, promised := map[string]bool{}, map[string]bool{}
		for _, s := range events.Samples() {
			e := events.Decode(events.Input{Header: s.Header, Body: s.Body})
			got := has(asked(e))
			if got && !says(e) {
				t.Errorf("%s has %s", s.Name, key)
			}
			promised[e.Kind] = promised[e.Kind] || says(e)
			seen[e.Kind] = seen[e.Kind] || got
		}
		// Samples show one object of the several that these kinds can be about.
		varied := []string{events.Emoji, events.Other, events.System}
		for kind, is := range promised {
			if is && !seen[kind] && !slices.Contains(varied, kind) {
				t.Errorf("no sample of %s has %s", kind, key)
			}
		}
	}
}

// TestHasPeople holds what mention can find against the built-in events.
func TestHasPeople(t *testing.T) {
	people := func(list []events.User) bool { return len(list) > 0 }
	for _, s := range events.Samples() {
		e := events.Decode(events.Input{Header: s.Header, Body: s.Body})
		for word, found := range map[string]bool{
			configs.MentionActor:     e.Actor.Username != "",
			configs.MentionAssignees: people(assignees(e)),
			configs.MentionReviewers: e.MergeRequest != nil && people(e.MergeRequest.Reviewers),
		} {
			if found && !hasPeople(word, e.Name()) {
				t.Errorf("%s has somebody for %s", s.Name, word)
			}
		}
	}
}
