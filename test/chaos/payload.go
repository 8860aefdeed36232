package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// kind is one kind of webhook that the load is made of.
type kind struct {
	name   string // in relay.yaml
	header string // X-Gitlab-Event
	weight int    // of 100 webhooks
	body   func(w webhookText) map[string]any
}

// webhookText is what differs between webhooks of a kind.
type webhookText struct {
	project string
	n       int
	marker  string
	prose   string // of any length
	at      time.Time
}

// kinds are what a group of teams sends on a working day, in the shape of
// GitLab's documentation (docs.gitlab.com/user/project/integrations/webhook_events).
var kinds = []kind{
	{"push", "Push Hook", 25, pushBody},
	{"merge_request.open", "Merge Request Hook", 20, mergeRequestBody},
	{"issue.open", "Issue Hook", 20, issueBody},
	{"note.merge_request", "Note Hook", 20, noteBody},
	{"pipeline.failed", "Pipeline Hook", 10, pipelineBody},
	{"release.create", "Release Hook", 5, releaseBody},
}

// dicer gives numbers from 0 to n-1.
type dicer interface{ IntN(n int) int }

// pick chooses a kind by weight.
func pick(d dicer) kind {
	left := d.IntN(100)
	for _, k := range kinds {
		if left -= k.weight; left < 0 {
			return k
		}
	}
	return kinds[0]
}

// encode makes the body of a webhook.
func (k kind) encode(w webhookText) []byte {
	body, err := json.Marshal(k.body(w))
	if err != nil {
		panic(err) // strings and numbers
	}
	return body
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func person() map[string]any {
	return map[string]any{"id": 7, "name": "Ada Lovelace", "username": "ada", "avatar_url": nil, "email": "[REDACTED]"}
}

func projectOf(w webhookText) map[string]any {
	_, name, _ := strings.Cut(w.project, "/")
	return map[string]any{
		"id": 15, "name": name, "description": "", "web_url": "https://gitlab.example/" + w.project, "avatar_url": nil,
		"git_ssh_url": "git@gitlab.example:" + w.project + ".git", "git_http_url": "https://gitlab.example/" + w.project + ".git",
		"namespace": "acme", "visibility_level": 0, "path_with_namespace": w.project, "default_branch": "main",
	}
}

func commitOf(w webhookText, title string) map[string]any {
	id := fmt.Sprintf("%040x", w.n+1)
	return map[string]any{
		"id": id, "message": title + "\n\n" + w.prose, "title": title, "timestamp": w.at.UTC().Format(time.RFC3339),
		"url":    "https://gitlab.example/" + w.project + "/-/commit/" + id,
		"author": map[string]any{"name": "Grace Hopper", "email": "grace@acme.example"},
		"added":  []string{"parser/empty_test.go"}, "modified": []string{"go.mod", "go.sum"}, "removed": []string{},
	}
}

func pushBody(w webhookText) map[string]any {
	before, after := fmt.Sprintf("%040x", w.n), fmt.Sprintf("%040x", w.n+1)
	return map[string]any{
		"object_kind": "push", "event_name": "push", "before": before, "after": after, "ref": "refs/heads/main", "ref_protected": true,
		"checkout_sha": after, "message": nil, "user_id": 7, "user_name": "Ada Lovelace", "user_username": "ada", "user_email": "",
		"project_id": 15, "project": projectOf(w), "commits": []any{commitOf(w, "Fix the parser "+w.marker)}, "total_commits_count": 1,
	}
}

func mergeRequestAttributes(w webhookText, title string) map[string]any {
	return map[string]any{
		"id": 4000 + w.n, "iid": w.n + 1, "title": title, "description": w.prose, "state": "opened", "draft": false, "work_in_progress": false,
		"source_branch": "feature/limit", "target_branch": "main", "source_project_id": 15, "target_project_id": 15, "author_id": 7,
		"created_at": stamp(w.at), "updated_at": stamp(w.at), "url": fmt.Sprintf("https://gitlab.example/%s/-/merge_requests/%d", w.project, w.n+1),
		"last_commit": commitOf(w, "Limit requests"),
	}
}

func mergeRequestBody(w webhookText) map[string]any {
	attributes := mergeRequestAttributes(w, "Limit requests per client "+w.marker)
	attributes["action"] = "open"
	return map[string]any{
		"object_kind": "merge_request", "event_type": "merge_request", "user": person(), "project": projectOf(w),
		"object_attributes": attributes, "labels": []any{}, "changes": map[string]any{}, "assignees": []any{person()}, "reviewers": []any{},
	}
}

func issueBody(w webhookText) map[string]any {
	return map[string]any{
		"object_kind": "issue", "event_type": "issue", "user": person(), "project": projectOf(w),
		"object_attributes": map[string]any{
			"id": 9000 + w.n, "iid": w.n + 1, "title": "Crash on empty input " + w.marker, "description": w.prose, "state": "opened", "action": "open",
			"confidential": false, "type": "Issue", "author_id": 7, "created_at": stamp(w.at), "updated_at": stamp(w.at),
			"url": fmt.Sprintf("https://gitlab.example/%s/-/issues/%d", w.project, w.n+1),
		},
		"labels": []any{}, "assignees": []any{}, "changes": map[string]any{},
	}
}

func noteBody(w webhookText) map[string]any {
	text := "Nice. How does it behave behind a proxy? " + w.marker
	return map[string]any{
		"object_kind": "note", "event_type": "note", "user": person(), "project_id": 15, "project": projectOf(w),
		"object_attributes": map[string]any{
			"id": 88000 + w.n, "note": text, "description": text, "noteable_type": "MergeRequest", "noteable_id": 4711, "system": false, "internal": false,
			"author_id": 9, "action": "create", "created_at": stamp(w.at), "updated_at": stamp(w.at),
			"url": fmt.Sprintf("https://gitlab.example/%s/-/merge_requests/%d#note_%d", w.project, w.n+1, 88000+w.n),
		},
		"merge_request": mergeRequestAttributes(w, "Limit requests per client"),
	}
}

func pipelineBody(w webhookText) map[string]any {
	return map[string]any{
		"object_kind": "pipeline", "user": person(), "project": projectOf(w), "merge_request": nil,
		"object_attributes": map[string]any{
			"id": 1000 + w.n, "iid": w.n + 1, "name": nil, "ref": "main", "tag": false, "sha": fmt.Sprintf("%040x", w.n+1), "source": "push", "status": "failed",
			"detailed_status": "failed", "stages": []string{"build", "test"}, "created_at": stamp(w.at.Add(-4 * time.Minute)), "finished_at": stamp(w.at),
			"duration": 240, "queued_duration": 3, "variables": []any{}, "url": fmt.Sprintf("https://gitlab.example/%s/-/pipelines/%d", w.project, 1000+w.n),
		},
		"commit": commitOf(w, "Fix the parser "+w.marker),
		"builds": []any{map[string]any{
			"id": 9000 + w.n, "stage": "test", "name": "rspec", "status": "failed", "created_at": stamp(w.at), "started_at": stamp(w.at), "finished_at": stamp(w.at),
			"duration": 160.5, "when": "on_success", "manual": false, "allow_failure": false, "user": person(), "failure_reason": "script_failure",
		}},
	}
}

func releaseBody(w webhookText) map[string]any {
	return map[string]any{
		"object_kind": "release", "id": w.n + 1, "name": "Spring " + w.marker, "tag": fmt.Sprintf("v1.%d.0", w.n), "description": w.prose, "action": "create",
		"created_at": stamp(w.at), "released_at": stamp(w.at), "project": projectOf(w), "url": fmt.Sprintf("https://gitlab.example/%s/-/releases/v1.%d.0", w.project, w.n),
		"assets": map[string]any{"count": 0, "links": []any{}, "sources": []any{}}, "commit": commitOf(w, "Release"),
	}
}

const words = "the parser reads a length from the input and trusts it which is fine until somebody sends one that is larger than what follows "

// prose is text of so many bytes; of a negative size, text that hardly
// compresses.
func prose(size int) string {
	if size < 0 {
		text := make([]byte, -size)
		for i := range text {
			text[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,"[rand.IntN(64)]
		}
		return string(text)
	}
	return strings.Repeat(words, size/len(words)+1)[:size]
}

// ordinarySize is a length of prose as people write it: mostly short, now and
// then some kilobytes.
func ordinarySize(d dicer) int {
	switch r := d.IntN(100); {
	case r < 60:
		return d.IntN(400)
	case r < 95:
		return d.IntN(4000)
	default:
		return d.IntN(30000)
	}
}
