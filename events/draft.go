package events

import "regexp"

// draftMark matches the marks at the start of a title by which GitLab knows a
// draft: DRAFT_REGEX in its app/models/merge_request.rb, and before GitLab 14
// WIP_REGEX.
var draftMark = regexp.MustCompile(`(?i)^\s*(?:\[draft\]|\(draft\)|draft:|\[wip\]|wip:)\s*`)

// CutDraftMark returns the title of a merge request without the mark that makes
// it a draft, and whether it had one.
func CutDraftMark(title string) (rest string, marked bool) {
	at := draftMark.FindStringIndex(title)
	if at == nil {
		return title, false
	}
	return title[at[1]:], true
}
