package formatters

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestWithoutAction renders every sample as a GitLab sends it that leaves the
// action out, as with its Test button: each is a sentence all the same.
func TestWithoutAction(t *testing.T) {
	set := newSet(t)
	for _, sample := range events.Samples() {
		body := withoutAction(t, sample.Body)
		e := events.Decode(events.Input{Source: "gitlab", Header: sample.Header, Body: body})
		post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindLog})
		if err != nil || post.Fault != "" {
			t.Errorf("%s: %v %s", sample.Name, err, post.Fault)
			continue
		}
		headline, _, _ := strings.Cut(post.Markdown, "\n")
		for _, wrong := range []string{"  ", "[]", "()", "****", "Lovelace: ", ": issue **"} {
			if strings.Contains(headline, wrong) {
				t.Errorf("%s, as %s: %q in %q", sample.Name, e.Name(), wrong, headline)
			}
		}
		if !aVerb.MatchString(headline) {
			t.Errorf("%s, as %s: no verb in %q", sample.Name, e.Name(), headline)
		}
	}
}

// aVerb matches the verbs of the standard set.
var aVerb = regexp.MustCompile(`\b(?:is|was|were|sent|opened|merged|closed|changed|updated|commented|edited|added|pushed|force-pushed|created|deleted|failed|passed|started|waits|deployed|approved|rejected|reacted|took|turned|joined|left|asked|expires|moved|found|could not start)\b`)

// withoutAction is a payload without any action.
func withoutAction(t *testing.T, body []byte) []byte {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(body, &root); err != nil {
		t.Fatal(err)
	}
	delete(root, "action")
	if o, ok := root["object_attributes"].(map[string]any); ok {
		delete(o, "action")
	}
	out, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestStated(t *testing.T) {
	set := newSet(t)
	const project = `"project":{"path_with_namespace":"acme/api","web_url":"https://gitlab.example/acme/api"},"user":{"name":"Ada"}`
	tests := []struct{ body, want string }{
		{`{"object_kind":"merge_request",` + project + `,"object_attributes":{"iid":4,"title":"T","state":"opened"}}`, "**[!4 T](https://gitlab.example/acme/api/-/merge_requests/4)** is open in "},
		{`{"object_kind":"merge_request",` + project + `,"object_attributes":{"iid":4,"title":"T","state":"merged"}}`, "**[!4 T](https://gitlab.example/acme/api/-/merge_requests/4)** is merged in "},
		{`{"object_kind":"merge_request",` + project + `,"object_attributes":{"iid":4,"title":"T"}}`, "**[!4 T](https://gitlab.example/acme/api/-/merge_requests/4)** was sent by GitLab in "},
		{`{"object_kind":"issue","event_type":"issue",` + project + `,"object_attributes":{"iid":4,"title":"T","state":"closed","confidential":false}}`, "Issue **[#4 T](https://gitlab.example/acme/api/-/issues/4)** is closed in "},
		{`{"object_kind":"release",` + project + `,"name":"One","tag":"v1"}`, "**[One](https://gitlab.example/acme/api/-/releases/v1)** was released in "},
	}
	for _, tt := range tests {
		e := events.Decode(events.Input{Body: []byte(tt.body)})
		post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindLog})
		if want := tt.want + "[acme/api](https://gitlab.example/acme/api)"; err != nil || !strings.HasPrefix(post.Markdown, want) {
			t.Errorf("%s\n got %s\nwant %s", tt.body, post.Markdown, want)
		}
	}
}

// TestSourceBranch names the project of a merge request that comes from a fork.
func TestSourceBranch(t *testing.T) {
	tests := []struct {
		part events.MergeRequestPart
		want string
	}{
		{events.MergeRequestPart{SourceBranch: "feature/x", SourcePath: "acme/api"}, "feature/x"},
		{events.MergeRequestPart{SourceBranch: "feature/x", SourcePath: "grace/api", Fork: true}, "grace/api:feature/x"},
		{events.MergeRequestPart{SourceBranch: "feature/x", Fork: true}, "feature/x"}, // the fork is deleted
	}
	for _, tt := range tests {
		d := newData(Request{Event: &events.Event{Kind: events.MergeRequest, MergeRequest: &tt.part}})
		if got := string(facts(d)); got != "`"+tt.want+"` → " {
			t.Errorf("%+v: %q", tt.part, got)
		}
	}
}

// TestRefOfNoPage does not link what GitLab has no page of.
func TestRefOfNoPage(t *testing.T) {
	d := newData(Request{Event: &events.Event{
		Kind: events.Job, Ref: "refs/pipelines/9", Job: &events.JobPart{},
		Project: events.Project{Path: "acme/api", URL: "https://gitlab.example/acme/api"},
	}})
	if got, want := string(onWhat(d)), " on `refs/pipelines/9` in [acme/api](https://gitlab.example/acme/api)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
