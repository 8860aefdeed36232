package events

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	at := func(y, mo, d, h, mi, s, ns int) time.Time {
		return time.Date(y, time.Month(mo), d, h, mi, s, ns, time.UTC)
	}
	tests := []struct {
		in   string
		want time.Time // zero: refused
	}{
		{"2013-12-03T17:15:43Z", at(2013, 12, 3, 17, 15, 43, 0)},
		{"2021-02-23T02:41:37.886Z", at(2021, 2, 23, 2, 41, 37, 886e6)},
		{"2021-02-23T02:41:37.123456789123Z", at(2021, 2, 23, 2, 41, 37, 123456789)},
		{"2015-05-17 18:08:09 UTC", at(2015, 5, 17, 18, 8, 9, 0)},
		{"2021-04-28 21:50:00 +0200", at(2021, 4, 28, 19, 50, 0, 0)},
		{"2012-01-03T23:36:29+02:00", at(2012, 1, 3, 21, 36, 29, 0)},
		{"2012-01-03T23:36:29-07:30", at(2012, 1, 4, 7, 6, 29, 0)},
		{"2012-01-03T23:36:29+02", at(2012, 1, 3, 21, 36, 29, 0)},
		{"2025-06-30", at(2025, 6, 30, 0, 0, 0, 0)},
		{"2015-04-08T21: 00:25-07:00", at(2015, 4, 9, 4, 0, 25, 0)},
		{" 2015-04-08T21:00:25 ", at(2015, 4, 8, 21, 0, 25, 0)},
		{"2015-04-08 21:00", at(2015, 4, 8, 21, 0, 0, 0)},
		{"2016-02-29", at(2016, 2, 29, 0, 0, 0, 0)},
		{"2015-02-29", time.Time{}},
		{"2015-13-01", time.Time{}},
		{"2015-00-01", time.Time{}},
		{"2015-01-32", time.Time{}},
		{"2015-01-01T25:00:00Z", time.Time{}},
		{"2015-01-01T00:60:00Z", time.Time{}},
		{"2015-01-01T00:00:00 CEST", time.Time{}},
		{"2015-01-01T", time.Time{}},
		{"2015-01-01x", time.Time{}},
		{"2015-1-1", time.Time{}},
		{"01.02.2015", time.Time{}},
		{"yesterday", time.Time{}},
		{"", time.Time{}},
		{"-", time.Time{}},
	}
	for _, tt := range tests {
		got, ok := parseTime(tt.in)
		if ok == tt.want.IsZero() || !got.Equal(tt.want) {
			t.Errorf("parseTime(%q) = %v, %v; want %v", tt.in, got, ok, tt.want)
		}
	}
}

// FuzzParseTime compares with the standard library what both can read.
func FuzzParseTime(f *testing.F) {
	f.Add("2013-12-03T17:15:43Z")
	f.Add("2021-04-28T21:50:00.5-23:59")
	f.Fuzz(func(t *testing.T, s string) {
		want, err := time.Parse(time.RFC3339Nano, s)
		got, ok := parseTime(s)
		if err == nil && (!ok || !got.Equal(want)) {
			t.Errorf("parseTime(%q) = %v, %v; want %v", s, got, ok, want)
		}
	})
}

func TestIsBot(t *testing.T) {
	bots := []string{
		"project_123_bot_4ffca233d8298ea1", "project_123_bot", "project_1_bot2", "group_45_bot_0123456789abcdef",
		"service_account_group_1_0a1b2c", "service_account_9f", "ghost", "ghost1", "GitLabDuo", "gitlab-duo", "duo-developer",
		"support-bot", "alert-bot", "GitLab-Security-Bot", "renovate", "renovate-bot", "renovate[bot]", "renovate_bot",
		"renovate2", "duo-x", "ghost-1", "dependabot", "dependabot[bot]", "dependabot-gitlab", "deploy-bot", "ci_bot", "mend-renovate",
	}
	people := []string{
		"", "ada", "root", "abbot", "talbot", "robot", "botanist", "project_manager", "project_12_manager",
		"group_lead", "duolingo", "ghostwriter", "renovatek", "service_desk", "bot.smith",
	}
	for _, name := range bots {
		if !isBot(name) {
			t.Errorf("%q is taken for a person", name)
		}
	}
	for _, name := range people {
		if isBot(name) {
			t.Errorf("%q is taken for a bot", name)
		}
	}
}

// TestDecodeBots wants every person of an event to be judged, however the
// payload writes them.
func TestDecodeBots(t *testing.T) {
	in := func(body string) Input { return Input{Body: []byte(body)} }
	e := Decode(in(`{"object_kind":"merge_request","user":{"username":"Ada-Bot"},"reviewers":[{"username":"ada"},{"username":"renovate"}],"object_attributes":{"action":"open"}}`))
	if !e.Actor.Bot || e.MergeRequest.Reviewers[0].Bot || !e.MergeRequest.Reviewers[1].Bot {
		t.Errorf("read wrong:\n%s", dump(e))
	}
	for _, body := range []string{
		`{"object_kind":"push","user_username":"ci-bot"}`,
		`{"event_name":"user_create","username":"ci-bot"}`,
		`{"event_name":"user_add_to_group","user_username":"ci-bot"}`,
	} {
		if e := Decode(in(body)); !e.Actor.Bot {
			t.Errorf("%s: not a bot", body)
		}
	}
}

func TestProjectURLs(t *testing.T) {
	plain := Project{Path: "acme/backend/api", URL: "https://gitlab.example/acme/backend/api"}
	root := Project{Path: "acme/api", URL: "https://example.com:8443/tools/gitlab/acme/api"}
	tests := []struct{ name, got, want string }{
		{"branch", plain.BranchURL("feature/a#b c?"), "https://gitlab.example/acme/backend/api/-/tree/feature/a%23b%20c%3F"},
		{"branch outside ASCII", plain.BranchURL("größe"), "https://gitlab.example/acme/backend/api/-/tree/gr%C3%B6%C3%9Fe"},
		{"tag", plain.TagURL("v1.2.0"), "https://gitlab.example/acme/backend/api/-/tags/v1.2.0"},
		{"commit", plain.CommitURL("abc"), "https://gitlab.example/acme/backend/api/-/commit/abc"},
		{"compare", plain.CompareURL("a", "b/c"), "https://gitlab.example/acme/backend/api/-/compare/a...b/c"},
		{"compare with nothing", plain.CompareURL("", "b"), ""},
		{"job under a relative root", root.JobURL(882), "https://example.com:8443/tools/gitlab/acme/api/-/jobs/882"},
		{"pipeline under a relative root", root.PipelineURL(7), "https://example.com:8443/tools/gitlab/acme/api/-/pipelines/7"},
		{"user under a relative root", root.UserURL(User{Username: "ada"}), "https://example.com:8443/tools/gitlab/ada"},
		{"user", plain.UserURL(User{Username: "ada"}), "https://gitlab.example/ada"},
		{"nobody", plain.UserURL(User{}), ""},
		{"no id", plain.JobURL(0), ""},
		{"no project", Project{}.JobURL(1), ""},
		{"no branch", plain.BranchURL(""), ""},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

// TestProjectAddress is where a project is when its object lacks something, or
// is not there at all, as in the jobs of old GitLabs.
func TestProjectAddress(t *testing.T) {
	tests := []struct{ name, body, path, url string }{
		{"whole", `"project":{"path_with_namespace":"a/b","web_url":"https://h/a/b/"}`, "a/b", "https://h/a/b"},
		{"repository with SSH address", `"project_name":"A / B","repository":{"homepage":"https://h/sub/a/b","git_ssh_url":"git@h:a/b.git"}`, "a/b", "https://h/sub/a/b"},
		{"SSH address with port", `"repository":{"homepage":"https://h/sub/g/a/b","git_ssh_url":"ssh://git@h:2222/g/a/b.git"}`, "g/a/b", "https://h/sub/g/a/b"},
		{"repository with HTTP address only", `"repository":{"git_http_url":"https://h/a/b.git"}`, "a/b", "https://h/a/b"},
		{"SSH address of another project", `"repository":{"homepage":"https://h/a/b","git_ssh_url":"git@h:x/y.git"}`, "a/b", "https://h/a/b"},
		{"homepage only", `"repository":{"homepage":"https://h/g/a/b"}`, "g/a/b", "https://h/g/a/b"},
		{"name only", `"project_name":"A / B"`, "", ""},
		{"project without address, repository with", `"project":{"id":3,"name":"b"},"repository":{"homepage":"https://h/a/b"}`, "a/b", "https://h/a/b"},
	}
	for _, tt := range tests {
		p := decode("Job Hook", `{"object_kind":"build","build_status":"failed","build_id":5,`+tt.body+`}`).Project
		if p.Path != tt.path || p.URL != tt.url {
			t.Errorf("%s: path %q at %q, want %q at %q", tt.name, p.Path, p.URL, tt.path, tt.url)
		}
	}
}

func TestSafeWord(t *testing.T) {
	for in, want := range map[string]string{
		"open": "open", "Open": "open", "a b": "a_b", "é": "__", "": "", "a.b\nc": "a_b_c",
	} {
		if got := safeWord(in); got != want {
			t.Errorf("safeWord(%q) = %q, want %q", in, got, want)
		}
	}
}
