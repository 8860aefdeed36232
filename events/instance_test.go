package events

import "testing"

// TestGroupPage: an event about members names only the last folder of its group. A
// page is known only by the group's number, from GitLab 18 on.
func TestGroupPage(t *testing.T) {
	for name, c := range map[string]struct{ version, body, want string }{
		"member":                   {"18.5.0-ee", `{"event_name":"user_add_to_group","group_path":"backend","group_id":100}`, "https://gitlab.example/-/g/100"},
		"member, of an older one":  {"17.3.0", `{"event_name":"user_add_to_group","group_path":"backend","group_id":100}`, ""},
		"member, of an unknown":    {"", `{"event_name":"user_add_to_group","group_path":"backend","group_id":100}`, ""},
		"member, without a number": {"18.5.0", `{"event_name":"user_add_to_group","group_path":"backend"}`, ""},
		"group":                    {"", `{"event_name":"group_create","path":"backend","full_path":"acme/backend","group_id":100}`, "https://gitlab.example/groups/acme/backend"},
		"group without full path":  {"", `{"event_name":"group_create","path":"backend"}`, ""},
		"group object":             {"", `{"object_kind":"access_token","group":{"group_name":"Backend","group_path":"backend"}}`, ""},
		"group object, whole path": {"", `{"object_kind":"access_token","group":{"group_path":"backend","full_path":"acme/backend"}}`, "https://gitlab.example/groups/acme/backend"},
	} {
		e := Decode(Input{Instance: "https://gitlab.example/", Version: c.version, Body: []byte(c.body)})
		if e.Project.GroupURL != c.want {
			t.Errorf("%s: %q, want %q", name, e.Project.GroupURL, c.want)
		}
	}
}
