package events

import "testing"

func TestConfidential(t *testing.T) {
	issue := func(more string) string {
		return `{"object_kind":"issue","object_attributes":{"action":"open"` + more + `}}`
	}
	note := func(noteable, attributes, target string) string {
		return `{"object_kind":"note","object_attributes":{"noteable_type":"` + noteable + `"` + attributes + `}` + target + `}`
	}
	tests := []struct {
		name, header, body string
		want               bool
	}{
		{"open issue", "Issue Hook", issue(`,"confidential":false`), false},
		{"confidential issue", "Issue Hook", issue(`,"confidential":true`), true},
		{"by header alone", "Confidential Issue Hook", issue(`,"confidential":false`), true},
		{"by header in other case", "confidential issue hook", issue(``), true},
		{"by an unknown header", "Confidential Epic Hook", `{"object_kind":"epic"}`, true},
		{"by event_type", "", `{"object_kind":"work_item","event_type":"confidential_work_item","object_attributes":{"confidential":false}}`, true},
		{"old payload under its header", "Issue Hook", issue(``), false},
		{"nothing says", "", issue(``), true},
		{"nothing says, under a service hook", "Service Hook", issue(``), true},
		{"event_type says not", "", `{"object_kind":"issue","event_type":"issue","object_attributes":{}}`, false},
		{"null", "", issue(`,"confidential":null`), true},
		{"unreadable", "Issue Hook", issue(`,"confidential":"perhaps"`), true},
		{"an object", "Issue Hook", issue(`,"confidential":{"a":1}`), true},
		{"as a string", "Issue Hook", issue(`,"confidential":"true"`), true},
		{"as a number", "Issue Hook", issue(`,"confidential":1`), true},
		{"note on a confidential issue", "Note Hook", note("Issue", "", `,"issue":{"confidential":true}`), true},
		{"note on an open issue", "Note Hook", note("Issue", "", `,"issue":{"confidential":false}`), false},
		{"note on an open issue, no header", "", note("Issue", "", `,"issue":{"confidential":false}`), false},
		{"note on an issue that is not shown, no header", "", note("Issue", `,"internal":false`, ""), true},
		{"internal note", "Note Hook", note("MergeRequest", `,"internal":true`, `,"merge_request":{}`), true},
		{"internal note by its old name", "Note Hook", note("MergeRequest", `,"confidential":true`, `,"merge_request":{}`), true},
		{"note on a merge request, no header", "", note("MergeRequest", ``, `,"merge_request":{}`), false},
		{"confidential note hook", "Confidential Note Hook", note("Epic", "", ""), true},
		{"note on an epic", "Note Hook", note("Epic", "", ""), false},
		{"note on an epic, no header", "", note("Epic", "", ""), true},
		{"note on a vulnerability", "Note Hook", note("Vulnerability", "", ""), true},
		{"vulnerability", "Vulnerability Hook", `{"object_kind":"vulnerability","object_attributes":{"state":"detected"}}`, true},
		{"emoji on an open issue", "Emoji Hook", `{"object_kind":"emoji","event_type":"award","issue":{"confidential":false}}`, false},
		{"emoji on a confidential issue", "Emoji Hook", `{"object_kind":"emoji","event_type":"award","issue":{"confidential":true}}`, true},
		{"emoji on an internal note", "Emoji Hook", `{"object_kind":"emoji","event_type":"award","note":{"internal":true},"merge_request":{}}`, true},
		{"emoji on what is not shown", "Emoji Hook", `{"object_kind":"emoji","event_type":"award"}`, true},
		{"issue under the header of a note", "Note Hook", issue(``), true},
		{"push", "Push Hook", `{"object_kind":"push"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := decode(tt.header, tt.body).Confidential; got != tt.want {
				t.Errorf("Confidential = %v, want %v", got, tt.want)
			}
		})
	}
}
