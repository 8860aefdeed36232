package events

import (
	"strings"
	"testing"
)

// shapes are payloads as GitLab sends them, or might, with whether each is
// confidential and why.
var shapes = []struct {
	header, body string
	want         bool
	why          string
}{
	// Issues and other work items.
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":false}}`, false, "the issue says so"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":true}}`, true, "the issue says so"},
	{"Confidential Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":false}}`, true, "the header says so"},
	{"confidential issue hook", `{"object_kind":"issue","object_attributes":{}}`, true, "the header says so, in lower case"},
	{"", `{"object_kind":"work_item","event_type":"confidential_work_item","object_attributes":{"confidential":false}}`, true, "event_type says so"},
	{"Issue Hook", `{"object_kind":"issue","event_type":"confidential_issue","object_attributes":{"confidential":false}}`, true, "event_type says so, the header does not"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{}}`, false, "an old GitLab has a header of its own for the others"},
	{"", `{"object_kind":"issue","object_attributes":{}}`, true, "nothing says that it is not"},
	{"Service Hook", `{"object_kind":"issue","object_attributes":{}}`, true, "nothing says that it is not"},
	{"System Hook", `{"object_kind":"issue","object_attributes":{}}`, true, "nothing says that it is not"},
	{"", `{"object_kind":"issue","event_type":"issue","object_attributes":{}}`, false, "event_type would be confidential_issue"},
	{"", `{"object_kind":"work_item","event_type":"work_item","object_attributes":{}}`, false, "event_type would be confidential_work_item"},
	{"", `{"object_kind":"issue","event_type":"note","object_attributes":{}}`, true, "event_type speaks of something else"},
	{"Note Hook", `{"object_kind":"issue","object_attributes":{}}`, true, "the header speaks of something else"},
	{"", `{"object_kind":"issue","object_attributes":{"confidential":null}}`, true, "null says nothing"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":"perhaps"}}`, true, "it cannot be read"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":{"a":1}}}`, true, "it cannot be read"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":{}}}`, true, "it cannot be read"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":[]}}`, true, "it cannot be read"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":"true"}}`, true, "true as a string"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":1}}`, true, "true as a number"},
	{"", `{"object_kind":"issue","object_attributes":{"confidential":"false"}}`, false, "false as a string"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":true,"confidential":false}}`, true, "one of two keys says so"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"c\u006fnfidential":true}}`, true, "the key is written with an escape"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential" : true}}`, true, "there is space before the colon"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":false,"title":"\"confidential\":true"}}`, false, "it stands in a title, not as a key"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":false},"labels":["confidential"]}`, false, "it is a label's name"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"action":"update","confidential":true},"changes":{"confidential":{"previous":false,"current":true}}}`, true, "it became confidential"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"action":"update","confidential":false},"changes":{"confidential":{"previous":true,"current":false}}}`, true, "it was confidential until now"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"action":"update","confidential":false},"changes":{"confidential":{"previous":null,"current":true}}}`, true, "changes say so, the issue does not"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"action":"open","confidential":false},"changes":{"confidential":{"previous":null,"current":false}}}`, false, "neither side of the change is confidential"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"action":"update","confidential":false},"changes":{"confidential":[true,false]}}`, true, "the change cannot be read"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"confidential":false,"parent":{"confidential":true}}}`, true, "it shows a confidential one"},
	{"Issue Hook", `{"object_kind":"issue","object_attributes":{"type":"Epic","confidential":false}}`, false, "a work item of another type says so"},

	// Comments.
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"Issue"},"issue":{"confidential":true}}`, true, "the issue says so"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"Issue"},"issue":{"confidential":false}}`, false, "the issue says so"},
	{"", `{"object_kind":"note","object_attributes":{"noteable_type":"Issue"},"issue":{"confidential":false}}`, false, "the issue says so"},
	{"", `{"object_kind":"note","object_attributes":{"noteable_type":"WorkItem"},"work_item":{"confidential":false}}`, false, "the work item says so"},
	{"", `{"object_kind":"note","object_attributes":{"noteable_type":"WorkItem"},"issue":{"confidential":false},"work_item":{"confidential":true}}`, true, "one of two says so"},
	{"", `{"object_kind":"note","object_attributes":{"noteable_type":"Issue","internal":false}}`, true, "the issue is not shown"},
	{"", `{"object_kind":"note","object_attributes":{"noteable_type":"Issue","confidential":false}}`, true, "the comment speaks of itself, not of the issue"},
	{"", `{"object_kind":"note","event_type":"note","object_attributes":{"noteable_type":"Issue"}}`, false, "event_type would be confidential_note"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"Issue"}}`, false, "an old GitLab has a header of its own for the others"},
	{"Note Hook", `{"object_kind":"note","event_type":"confidential_note","object_attributes":{"noteable_type":"Issue"},"issue":{"confidential":false}}`, true, "event_type says so"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"MergeRequest","internal":true},"merge_request":{}}`, true, "an internal comment"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"MergeRequest","confidential":true},"merge_request":{}}`, true, "an internal comment by its old name"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"MergeRequest","internal":"?"},"merge_request":{}}`, true, "it cannot be read"},
	{"", `{"object_kind":"note","object_attributes":{"noteable_type":"MergeRequest"},"merge_request":{}}`, false, "merge requests are never confidential"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"MergeRequest"},"merge_request":{},"issue":{"confidential":true}}`, true, "beside a confidential issue"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"MergeRequest"},"merge_request":{},"issue":{"confidential":false}}`, false, "beside an issue that is not"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"MergeRequest"},"merge_request":{"closes":[{"iid":1,"confidential":true}]}}`, true, "it names a confidential issue"},
	{"Confidential Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"MergeRequest"},"merge_request":{}}`, true, "the header says so"},
	{"", `{"object_kind":"note","object_attributes":{"noteable_type":"Commit"},"commit":{"id":"1"}}`, false, "commits are never confidential"},
	{"", `{"object_kind":"note","object_attributes":{"noteable_type":"ProjectSnippet"},"project_snippet":{}}`, false, "snippets are never confidential"},
	{"", `{"object_kind":"note","object_attributes":{},"merge_request":{}}`, false, "it is on the merge request beside it"},
	{"", `{"object_kind":"note","object_attributes":{},"issue":{}}`, true, "it is on the issue beside it, which does not say"},
	{"Note Hook", `{"object_kind":"note","event_type":"note","object_attributes":{"noteable_type":"DesignManagement::Design"}}`, true, "GitLab does not ask the design's issue"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"DesignManagement::Design"},"issue":{"confidential":true}}`, true, "the design's issue says so"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"DesignManagement::Design"},"issue":{"confidential":false}}`, false, "the design's issue says so"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"DesignManagement::Design"},"issue":{"iid":7}}`, true, "the design's issue does not say"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"DesignManagement::Design"},"merge_request":{}}`, true, "a merge request beside it proves nothing"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"Epic"}}`, true, "epics can be confidential"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"Epic"},"epic":{"confidential":false}}`, false, "the epic says so"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"Epic"},"epic":{"confidential":true}}`, true, "the epic says so"},
	{"Note Hook", `{"object_kind":"note","event_type":"note","object_attributes":{"noteable_type":"WikiPage::Meta"}}`, true, "nothing says that it is not"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"AlertManagement::Alert"}}`, true, "nothing says that it is not"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"Vulnerability"}}`, true, "nothing says that it is not"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"SomethingNew"}}`, true, "nothing says that it is not"},
	{"Note Hook", `{"object_kind":"note","object_attributes":{}}`, true, "it is on nothing that is known"},

	// Reactions.
	{"Emoji Hook", `{"object_kind":"emoji","event_type":"award","object_attributes":{"awardable_type":"Issue"},"issue":{"confidential":false}}`, false, "the issue says so"},
	{"Emoji Hook", `{"object_kind":"emoji","event_type":"award","object_attributes":{"awardable_type":"Issue"},"issue":{"confidential":true}}`, true, "the issue says so"},
	{"Emoji Hook", `{"object_kind":"emoji","event_type":"award","object_attributes":{"awardable_type":"Issue"}}`, true, "the issue is not shown"},
	{"Emoji Hook", `{"object_kind":"emoji","event_type":"award","object_attributes":{"awardable_type":"MergeRequest"},"merge_request":{}}`, false, "merge requests are never confidential"},
	{"Emoji Hook", `{"object_kind":"emoji","event_type":"award","issue":{"confidential":false}}`, false, "it is on the issue beside it"},
	{"Emoji Hook", `{"object_kind":"emoji","event_type":"award"}`, true, "it is on nothing that is known"},
	{"Emoji Hook", `{"object_kind":"emoji","event_type":"award","object_attributes":{"awardable_type":"Note"},"note":{"internal":true,"noteable_type":"MergeRequest"},"merge_request":{}}`, true, "on an internal comment"},
	{"Emoji Hook", `{"object_kind":"emoji","event_type":"award","object_attributes":{"awardable_type":"Note"},"note":{"internal":false,"noteable_type":"MergeRequest"},"merge_request":{}}`, false, "on a comment on a merge request"},
	{"Emoji Hook", `{"object_kind":"emoji","event_type":"award","object_attributes":{"awardable_type":"Note"},"merge_request":{}}`, true, "the comment is not shown, and may be internal"},
	{"Emoji Hook", `{"object_kind":"emoji","event_type":"award","object_attributes":{"awardable_type":"Note"},"note":{"noteable_type":"Issue"},"issue":{"confidential":true}}`, true, "on a comment on a confidential issue"},
	{"Emoji Hook", `{"object_kind":"emoji","event_type":"award","object_attributes":{"awardable_type":"Note"},"note":{"noteable_type":"DesignManagement::Design"}}`, true, "on a comment on a design"},
	{"Emoji Hook", `{"object_kind":"emoji","event_type":"award","object_attributes":{"awardable_type":"AlertManagement::Alert"}}`, true, "on an alert"},

	// What else there is.
	{"Vulnerability Hook", `{"object_kind":"vulnerability","object_attributes":{"state":"detected"}}`, true, "vulnerabilities always are"},
	{"Vulnerability Hook", `{"object_kind":"vulnerability","object_attributes":{"issues":[{"confidential":false}]}}`, true, "vulnerabilities always are"},
	{"Push Hook", `{"object_kind":"push"}`, false, "pushes never are"},
	{"Push Hook", `{"object_kind":"push","commits":[{"message":"\"confidential\": true"}]}`, false, "it stands in a message, not as a key"},
	{"Confidential Push Hook", `{"object_kind":"push"}`, true, "the header says so"},
	{"Merge Request Hook", `{"object_kind":"merge_request","object_attributes":{}}`, false, "merge requests are never confidential"},
	{"Merge Request Hook", `{"object_kind":"merge_request","object_attributes":{},"issue":{"confidential":true}}`, true, "beside a confidential issue"},
	{"Merge Request Hook", `{"object_kind":"merge_request","event_type":"confidential_merge_request","object_attributes":{}}`, true, "event_type says so"},
	{"Pipeline Hook", `{"object_kind":"pipeline","object_attributes":{"variables":[{"key":"confidential","value":"true"}]}}`, false, "it is a variable's name"},
	{"Milestone Hook", `{"object_kind":"milestone","object_attributes":{"confidential":true}}`, true, "it says so"},
	{"Wiki Page Hook", `{"object_kind":"wiki_page","object_attributes":{}}`, false, "wiki pages are for who sees the project"},
	{"Confidential Epic Hook", `{"object_kind":"epic"}`, true, "the header says so"},
	{"Epic Hook", `{"object_kind":"epic","object_attributes":{}}`, true, "epics can be confidential, and it does not say"},
	{"Epic Hook", `{"object_kind":"epic","object_attributes":{"confidential":false}}`, false, "the epic says so"},
	{"Design Hook", `{"object_kind":"design","object_attributes":{}}`, true, "it belongs to an issue that is not shown"},
	{"Design Hook", `{"object_kind":"design","object_attributes":{},"issue":{"confidential":false}}`, false, "its issue says so"},
	{"", `{"object_kind":"something_new","deep":[{"down":{"confidential":true}}]}`, true, "something in it says so"},
	{"", `{"object_kind":"something_new","confidential":true}`, true, "it says so"},
	{"", `{"object_kind":"something_new","deep":[{"down":{"internal":true}}]}`, true, "something in it is internal"},
	{"", `{"object_kind":"something_new","confidential":false,"internal":false}`, false, "it says so"},
	{"", `{"object_kind":"something_new","event_type":"confidential_something"}`, true, "event_type says so"},
	{"", `{"object_kind":"something_new","issue":{"iid":1}}`, true, "it shows an issue that does not say"},
	{"", `{"object_kind":"something_new","issue":{"confidential":false}}`, false, "the issue in it says so"},
	{"", `{"object_kind":"something_new"}`, false, "nothing hints at it"},
	{"", `{"anything":"goes"}`, false, "nothing hints at it"},
	{"System Hook", `{"event_name":"project_create","name":"api"}`, false, "system events never are"},
	{"System Hook", `{"event_name":"project_create","confidential":true}`, true, "it says so"},
}

func TestConfidential(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.header+" "+s.body, func(t *testing.T) {
			if got := decode(s.header, s.body).Confidential; got != s.want {
				t.Errorf("Confidential = %v, want %v: %s", got, s.want, s.why)
			}
		})
	}
}

// A mark stands anywhere, however deep, and whatever the kind: no payload hides it,
// and finding it takes one look at the payload.
func TestMarkedAnywhere(t *testing.T) {
	for _, s := range Samples() {
		body := string(s.Body)
		marked := strings.Replace(body, "{", `{"x":[[{"y":{"confidential":true}}]],`, 1)
		if !decode(s.Header, marked).Confidential {
			t.Errorf("%s with a mark is not confidential", s.Name)
		}
		if was, is := decode(s.Header, body).Confidential, decode(s.Header, strings.Replace(body, "{", `{"x":{"confidential":false},`, 1)).Confidential; was != is {
			t.Errorf("%s: an unknown key that says no changes what it was, from %v", s.Name, was)
		}
	}
	for _, deep := range []string{`{"confidential":`, `{"a":`, `[`} {
		body := `{"object_kind":"push","x":` + strings.Repeat(deep, 100_000)
		decode("Push Hook", body+`"confidential"`) // ends at all
	}
}
