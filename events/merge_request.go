package events

import (
	"strings"
	"time"
)

// attributes are what object_attributes holds beside the object itself.
type attributes struct {
	action  string
	created time.Time
	updated time.Time
	project Project // the target project of a merge request
}

// readMergeRequest reads merge_request: lib/gitlab/hook_data/merge_request_builder.rb
// and lib/gitlab/data_builder/issuable.rb.
func (d *decoder) readMergeRequest() {
	e := d.event
	e.Kind = MergeRequest
	d.readProject()
	d.readActor()
	mr, more := d.mergeRequest("object_attributes", d.get("object_attributes"))
	if e.Project.Path == "" && e.Project.URL == "" {
		e.Project = more.project
	}
	if labels := d.get("labels"); labels.IsArray() {
		mr.Labels = d.labels(labels)
	}
	if v := d.get("assignees"); v.IsArray() {
		mr.Assignees = d.people(v)
	} else if v := d.get("assignee"); v.IsObject() {
		mr.Assignees = []User{d.user("assignee", v)}
	}
	if v := d.get("reviewers"); v.IsArray() {
		mr.Reviewers = d.people(v)
	}
	d.useMergeRequest(mr)
	e.Title, e.URL = mr.Title, mr.URL
	e.Action = safeWord(more.action)
	if !strings.Contains(e.Action, "approv") { // an approval need not have changed the request
		e.Time = first(more.updated, more.created)
	}
	if e.Action == "update" {
		found := d.readChanges()
		draft := d.readDraftChange(found)
		e.Material = len(e.Changes) > 0 || mr.OldRev != ""
		e.Action = or(draft, d.readReview(found), e.Action)
	}
}

// readDraftChange is "ready" or "draft" if an update took the draft mark off or
// put it on. GitLab sends changes.draft since 16.3; of an older one
// work_in_progress tells, or else the title, in which the mark stands.
func (d *decoder) readDraftChange(found foundChanges) string {
	if found.draft != "" {
		return found.draft
	}
	_, was := CutDraftMark(found.titleFrom)
	_, is := CutDraftMark(found.titleTo)
	derived := or(found.wip, draftAction(was, is))
	switch derived {
	case "draft":
		d.addChange(Change{Field: "draft", From: "false", To: "true"})
	case "ready":
		d.addChange(Change{Field: "draft", From: "true", To: "false"})
	}
	return derived
}

// Actions of the updates by which a review was submitted, and the names of these
// changes.
const (
	actionReviewed         = "reviewed"
	actionChangesRequested = "changes_requested"
)

// readReview is the action of an update by which reviews were submitted; empty for
// any other. Whoever submits a review is the payload's user.
func (d *decoder) readReview(found foundChanges) (action string) {
	e := d.event
	switch {
	case len(found.requested) > 0:
		action, e.MergeRequest.ReviewedBy = actionChangesRequested, found.requested
	case len(found.reviewed) > 0:
		action, e.MergeRequest.ReviewedBy = actionReviewed, found.reviewed
	default:
		return ""
	}
	if e.Actor == (User{}) {
		e.Actor = e.MergeRequest.ReviewedBy[0]
	}
	return action
}

// draftAction is the action of an update that put the draft mark on or took it
// off; empty for one that did neither.
func draftAction(was, is bool) string {
	switch {
	case is && !was:
		return "draft"
	case was && !is:
		return "ready"
	}
	return ""
}

// useMergeRequest makes mr the event's merge request: it is the event's object,
// or what the event's note or pipeline belongs to.
func (d *decoder) useMergeRequest(mr *MergeRequestPart) {
	e := d.event
	if mr.URL == "" {
		mr.URL = e.Project.MergeRequestURL(mr.IID)
	}
	e.MergeRequest = mr
	e.Branch, e.TargetBranch = mr.SourceBranch, mr.TargetBranch
	e.Ref = mr.SourceBranch
	e.Labels = mr.Labels
	e.Draft = mr.Draft
}

// mergeRequest reads a merge request object; never nil.
func (d *decoder) mergeRequest(name string, v value) (*MergeRequestPart, attributes) {
	mr := &MergeRequestPart{}
	var more attributes
	var detailedStatus, draft, wip, deleted bool
	var sourceID, targetID int64
	d.each(name, v, func(key string, v value) {
		switch key {
		case "iid":
			mr.IID = d.integer(v)
		case "title":
			mr.Title = d.str(v)
		case "url":
			mr.URL = d.url(v)
		case "state":
			mr.State = d.str(v)
		case "source_branch":
			mr.SourceBranch = d.str(v)
		case "target_branch":
			mr.TargetBranch = d.str(v)
		case "source_project_id":
			sourceID = d.integer(v)
		case "target_project_id":
			targetID = d.integer(v)
		case "description":
			mr.Description = d.str(v)
		case "draft":
			mr.Draft, draft = d.boolean(v), true
		case "work_in_progress": // what draft was called before GitLab 14
			if wip = true; !draft {
				mr.Draft = d.boolean(v)
			}
		case "detailed_merge_status":
			mr.MergeStatus, detailedStatus = d.str(v), true
		case "merge_status":
			if !detailedStatus {
				mr.MergeStatus = d.str(v)
			}
		case "oldrev":
			mr.OldRev = d.str(v)
		case "last_commit":
			if v.IsObject() {
				c := d.commit("last_commit", v)
				mr.LastCommit = &c
			}
		case "source":
			if deleted = isNull(v); !deleted {
				mr.SourcePath = d.project(v).Path
			}
		case "target":
			if !isNull(v) && d.event.Project.Path == "" {
				more.project = d.project(v)
			}
		case "labels":
			mr.Labels = d.labels(v)
		case "assignee":
			if v.IsObject() {
				mr.Assignees = []User{d.user("assignee", v)}
			}
		case "milestone":
			mr.Milestone = d.milestone(v)
		case "system":
			mr.System = d.boolean(v)
		case "system_action":
			mr.SystemAction = d.str(v)
		case "action":
			more.action = d.str(v)
		case "created_at":
			more.created = d.time(v)
		case "updated_at":
			more.updated = d.time(v)
		}
	})
	mr.Fork = deleted || sourceID != 0 && targetID != 0 && sourceID != targetID
	if !draft && !wip {
		_, mr.Draft = CutDraftMark(mr.Title)
	}
	return mr, more
}

// typeName is a work item's type in lower case: "issue", "key result".
func typeName(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "_", " ")
}
