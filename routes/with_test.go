package routes

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/events"
)

// said is what an event says of each key of with.
func said(e *events.Event, key string) any {
	s := asked(e)
	switch key {
	case "source":
		return e.Source
	case "project":
		return s.path()
	case "visibility":
		return e.Project.Visibility
	case "actor":
		return e.Actor.Username
	case "bot":
		return e.Actor.Bot
	case "branch":
		return s.branch()
	case "target_branch":
		return e.TargetBranch
	case "labels":
		return e.Labels
	case "draft":
		return e.Draft
	case "confidential":
		return e.Confidential
	case "environment":
		return s.environmentName()
	case "tag":
		return e.Tag
	}
	return s.files()
}

// TestChange sets each key in every sample: either the event then says so and
// is of the same name, or it has no such thing.
func TestChange(t *testing.T) {
	values := map[string][]any{
		"source": {"other"}, "project": {"zeta/deep/er"}, "visibility": {"public", "private", "internal"}, "actor": {"zoe"}, "bot": {true, false}, "branch": {"topic/z"},
		"target_branch": {"stable"}, "tag": {"nightly", "v2/rc1"}, "labels": {[]string{"z", "y::x"}, []string(nil)}, "draft": {true, false}, "confidential": {true, false},
		"environment": {"moon"}, "paths": {[]string{"z/a.md", "b"}},
	}
	refused := map[string][]string{}
	for _, key := range withKeys {
		for _, sample := range events.Samples() {
			for _, v := range values[key] {
				before := events.Decode(events.Input{Source: "gitlab", Header: sample.Header, Body: sample.Body})
				after, err := Change(before, map[string]any{key: v})
				if err != nil {
					if !strings.Contains(err.Error(), "has no ") && !strings.Contains(err.Error(), "never confidential") && !strings.Contains(err.Error(), "always is") {
						t.Errorf("%s: %s=%v: %v", sample.Name, key, v, err)
					}
					refused[key] = append(refused[key], sample.Name)
					continue
				}
				if diff := cmp.Diff(v, said(after, key)); diff != "" {
					t.Errorf("%s: %s (-want +got):\n%s", sample.Name, key, diff)
				}
				if after.Name() != before.Name() || len(after.Warnings) > len(before.Warnings) {
					t.Errorf("%s: %s=%v: became %s, %v", sample.Name, key, v, after.Name(), after.Warnings)
				}
			}
		}
	}
	const nobodys = "access_token deploy_token milestone other project release subgroup system vulnerability"
	for key, kinds := range map[string]string{"source": "", "project": "system", "visibility": "issue member subgroup system vulnerability", "actor": nobodys, "bot": nobodys} {
		for _, name := range refused[key] {
			kind, _, _ := strings.Cut(name, ".")
			if !strings.Contains(" "+kinds+" ", " "+kind+" ") {
				t.Errorf("%s cannot be set in %s", key, name)
			}
		}
	}
}

// TestWithKeepsTheRest: what is not asked for stays as it was, to the last
// digit.
func TestWithKeepsTheRest(t *testing.T) {
	for _, sample := range events.Samples() {
		got, err := With(sample.Body, "push", nil)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := json.Compact(&want, sample.Body); err != nil {
			t.Fatal(err)
		}
		var a, b any
		for into, from := range map[*any][]byte{&a: got, &b: want.Bytes()} {
			d := json.NewDecoder(bytes.NewReader(from))
			d.UseNumber()
			if err := d.Decode(into); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(b, a); diff != "" {
			t.Errorf("%s (-want +got):\n%s", sample.Name, diff)
		}
	}
}

func TestWithText(t *testing.T) {
	s, _ := events.SampleNamed("merge_request.open")
	e, err := Change(events.Decode(events.Input{Header: s.Header, Body: s.Body}), map[string]any{"labels": "a, b,", "draft": "true", "bot": "true", "project": "x/y"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, e.Labels); diff != "" || !e.Draft || !e.Actor.Bot || e.Actor.Username != botUsername {
		t.Errorf("%+v\n%s", e.Actor, diff)
	}
	if e.Project.URL != "https://gitlab.example/x/y" || e.Project.Name != "y" {
		t.Errorf("project %+v", e.Project)
	}
	for key, v := range map[string]any{"bot": "maybe", "labels": 3, "paths": true, "branch": "", "actor": 1, "brnch": "x", "draft": 1, "confidential": "x", "visibility": "secret"} {
		if _, err := With(s.Body, e.Kind, map[string]any{key: v}); err == nil {
			t.Errorf("%s=%v is taken", key, v)
		}
	}
	for _, project := range []string{"shop/cart,labels=bug", "shop/cart labels", "a=b"} {
		if _, err := With(s.Body, e.Kind, map[string]any{"project": project}); err == nil || !strings.Contains(err.Error(), "is no path of a project") {
			t.Errorf("project=%s: %v", project, err)
		}
	}
	want := []string{"source", "project", "visibility", "actor", "bot", "branch", "target_branch", "labels", "draft"}
	if diff := cmp.Diff(want, KeysOf(e)); diff != "" {
		t.Errorf("keys of a merge request (-want +got):\n%s", diff)
	}
	for _, payload := range []string{"[]", "null", "", "{"} {
		if _, err := With([]byte(payload), "push", map[string]any{"branch": "x"}); err == nil {
			t.Errorf("%q is taken for a payload", payload)
		}
	}
}

// FuzzWith looks for payloads that stop With, or that it makes no payload of.
func FuzzWith(f *testing.F) {
	for _, s := range events.Samples() {
		kind, _, _ := strings.Cut(s.Name, ".")
		f.Add(s.Body, kind)
	}
	values := map[string]any{
		"project": "z/y", "visibility": "public", "actor": "zoe", "bot": true, "branch": "b", "target_branch": "t", "labels": "a,b", "draft": true,
		"confidential": true, "environment": "e", "paths": "p", "tag": "t",
	}
	f.Fuzz(func(t *testing.T, payload []byte, kind string) {
		for key, v := range values {
			out, err := With(payload, kind, map[string]any{key: v})
			if err == nil && !json.Valid(out) {
				t.Errorf("%s makes %q", key, out)
			}
		}
	})
}
