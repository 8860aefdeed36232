package formatters

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestSystemEvents: what system hooks send are sentences, with what they are
// about and the access level.
func TestSystemEvents(t *testing.T) {
	set := newSet(t)
	project := map[string]any{"name": "api", "project_name": "api", "path_with_namespace": "acme/api", "project_path_with_namespace": "acme/api", "old_path_with_namespace": "acme/backend"}
	group := map[string]any{"name": "Backend", "group_name": "Backend", "path": "backend", "full_path": "acme/backend", "group_path": "backend", "old_full_path": "acme/old"}
	account := map[string]any{"name": "Alan Turing", "username": "alan", "email": "alan@acme.example", "old_username": "turing"}
	person := map[string]any{"user_name": "Alan Turing", "user_username": "alan", "access_level": "Maintainer", "group_access": "Maintainer"}
	both := func(a, b map[string]any) map[string]any {
		out := map[string]any{}
		for _, m := range []map[string]any{a, b} {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	api, backend, alan := "[acme/api](https://gitlab.example/acme/api)", "backend", "**[Alan Turing (alan)](https://gitlab.example/alan)**"
	for _, tt := range []struct {
		event   string
		payload map[string]any
		want    string
	}{
		{"project_create", project, "Project **" + api + "** was created"},
		{"project_destroy", project, "Project **acme/api** was deleted"},
		{"project_rename", project, "Project **" + api + "** was renamed from `acme/backend`"},
		{"project_transfer", project, "Project **" + api + "** was transferred from `acme/backend`"},
		{"project_update", project, "The settings of project **" + api + "** were changed"},
		{"group_create", group, "Group **[acme/backend](https://gitlab.example/groups/acme/backend)** was created"},
		{"group_destroy", group, "Group **acme/backend** was deleted"},
		{"group_rename", group, "Group **[acme/backend](https://gitlab.example/groups/acme/backend)** was renamed from `acme/old`"},
		{"user_create", account, "Account " + alan + " was created"},
		{"user_destroy", account, "Account **Alan Turing (alan)** was deleted"},
		{"user_rename", account, "Account " + alan + " was renamed from `turing`"},
		{"user_failed_login", both(account, map[string]any{"state": "blocked"}), "⚠️ A login to account " + alan + " failed (the account is blocked)"},
		{"key_create", map[string]any{"username": "alan", "key": "ssh-ed25519 AAAA"}, "alan added an SSH key"},
		{"key_destroy", map[string]any{"username": "alan"}, "alan removed an SSH key"},
		{"user_add_to_team", both(project, person), "Alan Turing joined " + api + " as Maintainer"},
		{"user_update_for_team", both(project, person), "Alan Turing is now Maintainer in " + api},
		{"user_remove_from_team", both(project, person), "Alan Turing left " + api},
		{"user_add_to_group", both(map[string]any{"group_path": "backend", "expires_at": "2026-12-01T00:00:00Z"}, person), "Alan Turing joined " + backend + " as Maintainer until 1\u00a0Dec\u00a02026"},
		{"user_update_for_group", both(map[string]any{"group_path": "backend"}, person), "Alan Turing is now Maintainer in " + backend},
		{"user_remove_from_group", both(map[string]any{"group_path": "backend"}, person), "Alan Turing left " + backend},
		{"user_access_request_to_project", both(project, person), "Alan Turing asked to join " + api},
		{"user_access_request_revoked_for_project", both(project, person), "The request of Alan Turing to join " + api + " was withdrawn"},
		{"user_access_request_to_group", both(map[string]any{"group_path": "backend"}, person), "Alan Turing asked to join " + backend},
		{"user_access_request_revoked_for_group", both(map[string]any{"group_path": "backend"}, person), "The request of Alan Turing to join " + backend + " was withdrawn"},
		{"repository_update", both(project, map[string]any{"user_name": "Ada Lovelace"}), "Ada Lovelace updated the repository of " + api},
		{"gitlab_subscription_member_approval", map[string]any{}, "GitLab sent gitlab subscription member approval"},
	} {
		body, err := json.Marshal(both(tt.payload, map[string]any{"event_name": tt.event}))
		if err != nil {
			t.Fatal(err)
		}
		e := events.Decode(events.Input{Header: "System Hook", Instance: "https://gitlab.example/", Body: body})
		post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindMattermost})
		if err != nil || post.Fault != "" {
			t.Errorf("%s: %v %s", tt.event, err, post.Fault)
		}
		if diff := cmp.Diff(tt.want, post.Markdown); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.event, diff)
		}
		if strings.Contains(post.Markdown, "ssh-") {
			t.Errorf("%s shows a key: %s", tt.event, post.Markdown)
		}
	}
}
