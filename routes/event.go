package routes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// Sets of events.
const (
	setStandard = "standard"
	setClassic  = "classic"
	setAll      = "all"
)

var sets = []string{setStandard, setClassic, setAll}

// eventPattern is an exact name, a kind with all its events, a set, or a
// regular expression over names.
type eventPattern struct {
	text   string
	set    string
	kind   string
	action string // empty: every event of the kind
	re     *regex
}

func (p *eventPattern) matches(s *subject) bool {
	switch {
	case p.kind != "":
		return p.kind == s.event.Kind && (p.action == "" || p.action == s.event.Action)
	case p.set == setStandard:
		return s.standard == ""
	case p.set == setClassic:
		return inClassic(s.event.Kind, s.event.Action)
	case p.set == setAll:
		return s.event.Kind != events.System
	case p.re != nil:
		return p.re.matches(s.event.Name(), &s.meter)
	}
	return false
}

// names are the listed events that a pattern may match, whatever else they
// need.
func (p *eventPattern) names(v vocabulary) []string {
	var out []string
	for _, name := range v.names {
		kind, action, _ := strings.Cut(name, ".")
		var in bool
		switch {
		case p.kind != "":
			in = p.kind == kind && (p.action == "" || p.action == action)
		case p.set == setStandard:
			in = inStandard(kind, action)
		case p.set == setClassic:
			in = inClassic(kind, action)
		case p.set == setAll:
			in = kind != events.System
		case p.re != nil:
			in = p.re.MatchString(name)
		}
		if in {
			out = append(out, name)
		}
	}
	if p.action != "" && !slices.Contains(out, p.kind+"."+p.action) {
		out = append(out, p.kind+"."+p.action)
	}
	return out
}

// Reserved names: an event for each is meant to come.
var reserved = []string{"pipeline.broken", "pipeline.still_failing", "pipeline.fixed"}

// otherWords are what people call events elsewhere.
var otherWords = map[string]string{
	"build": "job", "mr": "merge_request", "pull_request": "merge_request", "comment": "note", "comments": "note",
	"tag": "tag_push", "wiki": "wiki_page", "work_item": "issue", "epic": "issue", "incident": "issue", "deploy": "deployment",
	"*": setAll, "default": setStandard,

	// GitLab's names of triggers ("Webhooks API").
	"push_events": "push", "tag_push_events": "tag_push", "merge_requests_events": "merge_request", "merge_request_events": "merge_request",
	"issues_events": "issue", "issue_events": "issue", "confidential_issues_events": "issue", "note_events": "note", "confidential_note_events": "note",
	"pipeline_events": "pipeline", "job_events": "job", "build_events": "job", "deployment_events": "deployment", "releases_events": "release",
	"release_events": "release", "wiki_page_events": "wiki_page", "milestone_events": "milestone", "feature_flag_events": "feature_flag",
	"emoji_events": "emoji", "member_events": "member", "subgroup_events": "subgroup", "project_events": "project",
	"resource_access_token_events": "access_token", "resource_deploy_token_events": "deploy_token", "vulnerability_events": "vulnerability",
}

// otherActions are what people call actions elsewhere: the first that the kind
// has is meant.
var otherActions = map[string][]string{
	"failure": {"failed"}, "fail": {"failed"}, "failing": {"failed"}, "error": {"failed"}, "errored": {"failed"},
	"succeeded": {"success"}, "successful": {"success"}, "pass": {"success"}, "passed": {"success"}, "passing": {"success"},
	"started": {"running"}, "start": {"running"}, "finished": {"success"}, "stopped": {"canceled"}, "aborted": {"canceled"},
	"create": {"open"}, "created": {"open", "create"}, "new": {"open", "create"}, "add": {"create"}, "added": {"create", "add"},
	"accept": {"merge"}, "accepted": {"merge"}, "edit": {"update"}, "edited": {"update"}, "change": {"update"}, "changed": {"update"},
	"synchronize": {"update"}, "undraft": {"ready"}, "wip": {"draft"}, "remove": {"delete"}, "removed": {"delete", "remove"},
	"destroyed": {"delete"}, "published": {"create"}, "resolved": {"close"}, "mr": {"merge_request"}, "pull_request": {"merge_request"},
}

// wholeKinds are the kinds whose usual event has no action, or one for what it
// is about.
var wholeKinds = []string{events.Push, events.TagPush, events.Note}

// meantAction is the event that an action of another tool means; empty when
// nobody knows it.
func meantAction(kind, action string, listed []string) string {
	for _, a := range otherActions[action] {
		if slices.Contains(listed, a) {
			return kind + "." + a
		}
	}
	if _, known := otherActions[action]; known && slices.Contains(wholeKinds, kind) {
		return kind
	}
	return ""
}

// vocabulary is a Vocabulary sorted out.
type vocabulary struct {
	names   []string
	kinds   []string
	actions map[string][]string
}

func newVocabulary(v Vocabulary) vocabulary {
	out := vocabulary{kinds: v.Kinds, actions: map[string][]string{}}
	for _, kind := range v.Kinds {
		out.actions[kind] = v.Actions(kind)
		out.names = append(out.names, kind)
		for _, action := range out.actions[kind] {
			out.names = append(out.names, kind+"."+action)
		}
	}
	return out
}

func (v vocabulary) compile(text string) (eventPattern, *problem) {
	p := eventPattern{text: text}
	if slices.Contains(sets, text) {
		p.set = text
		return p, nil
	}
	re, wrong := expressionPattern(text, "")
	if wrong != nil {
		return p, wrong
	}
	if re != nil {
		p.re = re
		if !slices.ContainsFunc(v.names, re.MatchString) {
			return p, &problem{message: fmt.Sprintf("%s matches no event that is listed", text), hint: "for example /^pipeline\\.(failed|success)$/", severity: configs.Warning}
		}
		return p, nil
	}
	if slices.Contains(reserved, text) {
		return p, &problem{message: fmt.Sprintf("%q is a reserved name that no event has", text), hint: "there is pipeline.failed and pipeline.success"}
	}
	p.kind, p.action, _ = strings.Cut(text, ".")
	dotted := strings.Contains(text, ".")
	if !slices.Contains(v.kinds, p.kind) {
		return p, v.unknownKind(text, p)
	}
	if p.action == "*" {
		p.action = ""
		return p, nil
	}
	if !dotted || slices.Contains(v.actions[p.kind], p.action) {
		return p, nil
	}
	return p, v.unknownAction(p)
}

func (v vocabulary) unknownKind(text string, p eventPattern) *problem {
	hint := "events takes a name, a kind, kind.*, /…/, standard, classic or all"
	rest := strings.TrimPrefix(text, p.kind)
	low := strings.ToLower(text)
	kind, action, _ := strings.Cut(low, ".")
	switch s := configs.Suggest(low, slices.Concat(sets, v.kinds, v.names)); {
	case slices.Contains(v.names, low) || slices.Contains(v.kinds, low) || slices.Contains(sets, low):
		hint = fmt.Sprintf("did you mean %q?", low)
	case otherWords[kind] != "":
		hint = fmt.Sprintf("did you mean %q?", otherWords[kind]+rest)
	case s != "":
		hint = fmt.Sprintf("did you mean %q?", s)
	case configs.Suggest(kind, v.kinds) != "":
		hint = fmt.Sprintf("did you mean %q?", configs.Suggest(kind, v.kinds)+strings.TrimSuffix("."+action, "."))
	}
	return &problem{message: fmt.Sprintf("unknown event %q", text), hint: hint}
}

func (v vocabulary) unknownAction(p eventPattern) *problem {
	listed := v.actions[p.kind]
	switch {
	case p.action == "" || strings.ContainsAny(p.action, "*?[ "):
		return &problem{message: fmt.Sprintf("%q is no event: after the dot comes an action, or a single *", p.text), hint: "the actions are " + strings.Join(listed, ", ")}
	case slices.Contains(listed, strings.ToLower(p.action)):
		return &problem{message: fmt.Sprintf("unknown event %q", p.text), hint: fmt.Sprintf("did you mean %q?", strings.ToLower(p.text))}
	}
	if s := meantAction(p.kind, strings.ToLower(p.action), listed); s != "" {
		return &problem{message: fmt.Sprintf("unknown event %q", p.text), hint: fmt.Sprintf("did you mean %q?", s)}
	}
	if s := configs.Suggest(strings.ToLower(p.action), listed); s != "" {
		return &problem{message: fmt.Sprintf("unknown event %q", p.text), hint: fmt.Sprintf("did you mean %q?", p.kind+"."+s)}
	}
	if p.kind == events.Other || p.kind == events.System || p.kind == events.Vulnerability {
		return nil // whatever GitLab says
	}
	w := &problem{message: fmt.Sprintf("%q is not among the events that GitLab is known to send", p.text), severity: configs.Warning}
	if len(listed) > 0 {
		w.hint = "the actions are " + strings.Join(listed, ", ")
	}
	return w
}

var (
	standardMergeRequests = []string{"open", "ready", "approved", "changes_requested", "reviewed", "merge", "close", "reopen"}
	classicMergeRequests  = []string{"open", "update", "merge", "close", "reopen"}
	openedOrClosed        = []string{"open", "close", "reopen"}
)

// inStandard tells whether events of that name can be in the standard set. What
// GitLab sends without an action comes from its Test button, and who presses it
// waits for a message.
func inStandard(kind, action string) bool {
	switch kind {
	case events.MergeRequest:
		return action == "" || slices.Contains(standardMergeRequests, action)
	case events.Issue:
		return action == "" || slices.Contains(openedOrClosed, action)
	case events.Push:
		return action == ""
	case events.Pipeline:
		return action == "failed"
	case events.Deployment:
		return action == "success" || action == "failed"
	case events.Release:
		return action == "" || action == "create"
	case events.WikiPage:
		return action == "create" || action == "update"
	case events.Note, events.TagPush, events.AccessToken:
		return true
	}
	return false
}

func inClassic(kind, action string) bool {
	switch kind {
	case events.MergeRequest:
		return slices.Contains(classicMergeRequests, action)
	case events.Issue:
		return slices.Contains(openedOrClosed, action)
	}
	return kind == events.Note || kind == events.Job
}

// notStandard tells why an event is not in the standard set, which is what a
// person would tell the team; empty when it is.
func notStandard(s *subject) string {
	e := s.event
	if !inStandard(e.Kind, e.Action) {
		return "not in the set"
	}
	switch e.Kind {
	case events.MergeRequest:
		if e.Action == "open" && e.Draft {
			return "a draft"
		}
	case events.Push:
		if !e.OnDefaultBranch() {
			return "not on the default branch"
		}
		if broughtIn(e) {
			return "it only brings in a merge request"
		}
	case events.Pipeline:
		if !e.OnDefaultBranch() {
			return "not on the default branch"
		}
	case events.Note:
		if s.bot {
			return "by a bot"
		}
	case events.Deployment:
		if e.Deployment != nil && strings.EqualFold(e.Deployment.Tier, "development") {
			return "of the development tier"
		}
	}
	return ""
}

// broughtIn tells whether a push is the merge of a merge request of the same
// project, which was posted when it was merged.
func broughtIn(e *events.Event) bool {
	if e.Push == nil {
		return false
	}
	project, _, ok := strings.Cut(e.Push.MergedRef, "!")
	return ok && e.Project.Path != "" && strings.EqualFold(project, e.Project.Path)
}
