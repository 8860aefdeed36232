package events

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChanges(t *testing.T) {
	tests := []struct {
		name, changes, more string
		event               string
		material            bool
		want                []Change
	}{
		{name: "none", changes: `{}`, event: "merge_request.update"},
		{name: "null", changes: `null`, event: "merge_request.update"},
		{name: "new commits", changes: `{}`, more: `,"oldrev":"abc"`, event: "merge_request.update", material: true},
		{name: "noise alone", changes: `{"updated_at":{"previous":"a","current":"b"},"last_edited_by_id":{"previous":1,"current":2},"merge_params":{"previous":{},"current":{"a":1}}}`, event: "merge_request.update"},
		{name: "fixed order", changes: `{"zebra":{"previous":1,"current":2},"due_date":[null,"2026-12-01"],"labels":{"previous":[],"current":[{"id":1,"title":"P1"}]},"title":{"previous":"a","current":"b"},"antelope":["x","y"]}`,
			event: "merge_request.update", material: true, want: []Change{
				{Field: "title", From: "a", To: "b"},
				{Field: "labels", Added: []string{"P1"}},
				{Field: "due_date", To: "2026-12-01"},
				{Field: "antelope", From: "x", To: "y"},
				{Field: "zebra", From: "1", To: "2"},
			}},
		{name: "labels", changes: `{"labels":{"previous":[{"id":1,"title":"a"},{"id":2,"title":"b"}],"current":[{"id":2,"title":"b"},{"id":3,"title":"c"}]}}`,
			event: "merge_request.update", material: true, want: []Change{{Field: "labels", Added: []string{"c"}, Removed: []string{"a"}}}},
		{name: "people of one name", changes: `{"assignees":[[{"name":"Alan","username":"alan"}],[{"name":"Alan","username":"alan2"}]]}`,
			event: "merge_request.update", material: true, want: []Change{{Field: "assignees", Added: []string{"Alan"}, Removed: []string{"Alan"}}}},
		{name: "reviewers as pair", changes: `{"reviewers":[[{"name":"A","username":"a"}],[{"name":"A","username":"a"},{"name":"B","username":"b"}]]}`,
			event: "merge_request.update", material: true, want: []Change{{Field: "reviewers", Added: []string{"B"}}}},
		{name: "reviewers as object", changes: `{"reviewers":{"previous":[{"name":"A","username":"a"}],"current":[]}}`,
			event: "merge_request.update", material: true, want: []Change{{Field: "reviewers", Removed: []string{"A"}}}},
		{name: "a reviewer's state", changes: `{"reviewers":[[{"name":"A","username":"a","state":"unreviewed"}],[{"name":"A","username":"a","state":"reviewed"}]]}`,
			event: "merge_request.reviewed", material: true, want: []Change{{Field: "reviewed", Added: []string{"A"}}}},
		{name: "a reviewer who begins", changes: `{"reviewers":[[{"name":"A","username":"a","state":"unreviewed"}],[{"name":"A","username":"a","state":"review_started"}]]}`,
			event: "merge_request.update"},
		{name: "a reviewer who approves", changes: `{"reviewers":[[{"name":"A","username":"a","state":"unreviewed"}],[{"name":"A","username":"a","state":"approved"}]]}`,
			event: "merge_request.update"},
		{name: "a reviewer who asks for changes", changes: `{"reviewers":{"previous":[{"name":"A","username":"a","state":"reviewed"},{"name":"B","username":"b","state":"unreviewed"}],"current":[{"name":"A","username":"a","state":"requested_changes"},{"name":"B","username":"b","state":"reviewed"}]}}`,
			event: "merge_request.changes_requested", material: true, want: []Change{{Field: "changes_requested", Added: []string{"A"}}, {Field: "reviewed", Added: []string{"B"}}}},
		{name: "a review by somebody who was no reviewer", changes: `{"reviewers":[[],[{"name":"A","username":"a","state":"reviewed"}]]}`,
			event: "merge_request.reviewed", material: true, want: []Change{{Field: "reviewed", Added: []string{"A"}}, {Field: "reviewers", Added: []string{"A"}}}},
		{name: "review asked for again", changes: `{"reviewers":[[{"name":"A","username":"a","re_requested":false}],[{"name":"A","username":"a","re_requested":true}]]}`,
			event: "merge_request.update", material: true, want: []Change{{Field: "re_requested", Added: []string{"A"}}}},
		{name: "from nothing", changes: `{"assignees":{"previous":null,"current":[{"name":"A","username":"a"}]}}`,
			event: "merge_request.update", material: true, want: []Change{{Field: "assignees", Added: []string{"A"}}}},
		{name: "ready", changes: `{"draft":{"previous":true,"current":false}}`, event: "merge_request.ready", material: true,
			want: []Change{{Field: "draft", From: "true", To: "false"}}},
		{name: "draft", changes: `{"draft":[false,true],"labels":{"previous":["a"],"current":[]}}`, event: "merge_request.draft", material: true,
			want: []Change{{Field: "draft", From: "false", To: "true"}, {Field: "labels", Removed: []string{"a"}}}},
		{name: "ready, by the title alone", changes: `{"title":{"previous":"Draft: x","current":"x"}}`, event: "merge_request.ready", material: true,
			want: []Change{{Field: "title", From: "Draft: x", To: "x"}, {Field: "draft", From: "true", To: "false"}}},
		{name: "draft, by the title alone", changes: `{"title":{"previous":"x","current":"[DRAFT] y"}}`, event: "merge_request.draft", material: true,
			want: []Change{{Field: "title", From: "x", To: "[DRAFT] y"}, {Field: "draft", From: "false", To: "true"}}},
		{name: "ready, by the older mark", changes: `{"title":["wip: x","x"]}`, event: "merge_request.ready", material: true,
			want: []Change{{Field: "title", From: "wip: x", To: "x"}, {Field: "draft", From: "true", To: "false"}}},
		{name: "draft, by the mark in round brackets", changes: `{"title":["x","(Draft)x"]}`, event: "merge_request.draft", material: true,
			want: []Change{{Field: "title", From: "x", To: "(Draft)x"}, {Field: "draft", From: "false", To: "true"}}},
		{name: "another title of a draft", changes: `{"title":["WIP: x","Draft: y"]}`, event: "merge_request.update", material: true,
			want: []Change{{Field: "title", From: "WIP: x", To: "Draft: y"}}},
		{name: "a title that only begins alike", changes: `{"title":["x","Drafting rules"]}`, event: "merge_request.update", material: true,
			want: []Change{{Field: "title", From: "x", To: "Drafting rules"}}},
		{name: "ready, by work_in_progress", changes: `{"work_in_progress":{"previous":true,"current":false}}`, event: "merge_request.ready", material: true,
			want: []Change{{Field: "draft", From: "true", To: "false"}}},
		{name: "draft that did not change", changes: `{"draft":{"previous":null,"current":false}}`, event: "merge_request.update"},
		{name: "not a change", changes: `{"title":"x"}`, event: "merge_request.update"},
		{name: "half a change", changes: `{"title":{"current":"x"}}`, event: "merge_request.update", material: true, want: []Change{{Field: "title", To: "x"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := decode("Merge Request Hook", `{"object_kind":"merge_request","object_attributes":{"action":"update"`+tt.more+`},"changes":`+tt.changes+`}`)
			if e.Name() != tt.event || e.Material != tt.material {
				t.Errorf("%s, material %v; want %s, %v", e.Name(), e.Material, tt.event, tt.material)
			}
			if diff := cmp.Diff(tt.want, e.Changes); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}
