package events

import "slices"

// vocabulary is the fixed list of kinds and actions, in the order in which
// people meet them. Sources: GitLab's "Webhook events" and "System hooks"
// documentation, and lib/gitlab/data_builder and lib/gitlab/hook_data in its
// source. bare marks kinds that also come without an action.
var vocabulary = []struct {
	kind    string
	bare    bool
	actions []string
}{
	{Push, true, []string{"create", "delete"}},
	{TagPush, true, []string{"delete"}},
	{MergeRequest, false, []string{"open", "ready", "draft", "update", "approval", "approved", "unapproval", "unapproved", "changes_requested", "reviewed", "merge", "close", "reopen"}},
	{Issue, false, []string{"open", "update", "close", "reopen"}},
	{Note, false, []string{"merge_request", "issue", "commit", "snippet", "other"}},
	{Pipeline, false, ciStatuses},
	{Job, false, ciStatuses},
	{Deployment, false, []string{"running", "success", "failed", "canceled", "blocked", "approved", "rejected"}},
	{Release, false, []string{"create", "update", "delete"}},
	{WikiPage, false, []string{"create", "update", "delete"}},
	{Milestone, false, []string{"create", "close", "reopen", "delete"}},
	{FeatureFlag, false, []string{"active", "inactive"}},
	{Emoji, false, []string{"award", "revoke"}},
	{Member, false, []string{"add", "update", "remove", "access_request", "access_request_denied"}},
	{Subgroup, false, []string{"create", "destroy"}},
	{ProjectKind, false, []string{"create", "destroy"}},
	{AccessToken, false, []string{"expiring"}},
	{DeployToken, false, []string{"expiring"}},
	{Vulnerability, false, []string{"detected", "confirmed", "dismissed", "resolved"}},
	{System, false, systemEvents},
	{Other, true, nil},
}

// ciStatuses are the states of pipelines and jobs: GitLab's
// app/models/concerns/ci/has_status.rb.
var ciStatuses = []string{
	"created", "preparing", "waiting_for_resource", "pending", "running",
	"success", "failed", "canceling", "canceled", "skipped", "manual", "scheduled",
}

// systemEvents are the event names that only system hooks send: GitLab's
// doc/administration/system_hooks.md.
var systemEvents = []string{
	"group_create", "group_destroy", "group_rename",
	"key_create", "key_destroy",
	"project_create", "project_destroy", "project_rename", "project_transfer", "project_update",
	"repository_update",
	"user_create", "user_destroy", "user_rename", "user_failed_login",
	"user_add_to_group", "user_remove_from_group", "user_update_for_group",
	"user_add_to_team", "user_remove_from_team", "user_update_for_team",
	"user_access_request_to_group", "user_access_request_revoked_for_group",
	"user_access_request_to_project", "user_access_request_revoked_for_project",
	"gitlab_subscription_member_approval", "gitlab_subscription_member_approvals",
}

// Kinds lists every kind of event, in a fixed order.
func Kinds() []string {
	kinds := make([]string, len(vocabulary))
	for i, v := range vocabulary {
		kinds[i] = v.kind
	}
	return kinds
}

// Actions lists the known actions of a kind, in a fixed order; nil for a kind
// without any, or an unknown one. GitLab may send others, which keep GitLab's
// word.
func Actions(kind string) []string {
	for _, v := range vocabulary {
		if v.kind == kind {
			return slices.Clone(v.actions)
		}
	}
	return nil
}

// Names lists the full name of every known event ("push", "push.create",
// "merge_request.open", …), in the order of [Kinds] and [Actions].
func Names() []string {
	var names []string
	for _, v := range vocabulary {
		if v.bare {
			names = append(names, v.kind)
		}
		for _, action := range v.actions {
			names = append(names, v.kind+"."+action)
		}
	}
	return names
}

// safeWord makes an action of a word that GitLab sent: lower case, and nothing
// but [a-z0-9_], so that it can stand in an event's name.
func safeWord(word string) string {
	const longest = 64
	if len(word) > longest {
		word = word[:longest]
	}
	safe := true
	for i := 0; i < len(word); i++ {
		if !isWordByte(word[i]) {
			safe = false
			break
		}
	}
	if safe {
		return word
	}
	out := []byte(word)
	for i, c := range out {
		switch {
		case isWordByte(c):
		case 'A' <= c && c <= 'Z':
			out[i] = c + 'a' - 'A'
		default:
			out[i] = '_'
		}
	}
	return string(out)
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_'
}
