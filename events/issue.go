package events

// readIssue reads issue and work_item: lib/gitlab/hook_data/issue_builder.rb and
// lib/gitlab/data_builder/issuable.rb.
func (d *decoder) readIssue() {
	e := d.event
	e.Kind = Issue
	d.readProject()
	d.readActor()
	issue, more := d.issue("object_attributes", d.get("object_attributes"))
	if labels := d.get("labels"); labels.IsArray() {
		issue.Labels = d.labels(labels)
	}
	if v := d.get("assignees"); v.IsArray() {
		issue.Assignees = d.people(v)
	} else if v := d.get("assignee"); v.IsObject() {
		issue.Assignees = []User{d.user("assignee", v)}
	}
	d.useIssue(issue)
	e.Title, e.URL = issue.Title, issue.URL
	e.Time = first(more.updated, more.created)
	e.Action = safeWord(more.action)
	if e.Action == "update" {
		found := d.readChanges()
		e.Material = len(e.Changes) > 0
		switch found.stateTo { // a requirement is archived and reopened by an update
		case stateOpened:
			e.Action, e.Material = "reopen", true
		case stateClosed:
			e.Action, e.Material = "close", true
		}
	}
}

// GitLab's numbers of an issue's states (app/models/concerns/issuable.rb,
// STATE_ID_MAP).
const (
	stateOpened = 1
	stateClosed = 2
)

// useIssue makes issue the event's issue: it is the event's object, or what the
// event's note is on.
func (d *decoder) useIssue(issue *IssuePart) {
	if issue.URL == "" {
		issue.URL = d.event.Project.IssueURL(issue.IID)
	}
	d.event.Issue = issue
	d.event.Labels = issue.Labels
}

// issue reads an issue object; never nil.
func (d *decoder) issue(name string, v value) (*IssuePart, attributes) {
	issue := &IssuePart{Type: "issue"}
	var more attributes
	d.each(name, v, func(key string, v value) {
		switch key {
		case "iid":
			issue.IID = d.integer(v)
		case "type":
			issue.Type = or(typeName(d.str(v)), issue.Type)
		case "title":
			issue.Title = d.str(v)
		case "url":
			issue.URL = d.url(v)
		case "state":
			issue.State = d.str(v)
		case "description":
			issue.Description = d.str(v)
		case "due_date":
			issue.DueDate = d.date(v)
		case "severity":
			if issue.Severity = d.str(v); issue.Severity == "unknown" {
				issue.Severity = "" // what GitLab sends for none
			}
		case "confidential":
			issue.Confidential = d.suspect(v)
		case "labels":
			issue.Labels = d.labels(v)
		case "assignees":
			issue.Assignees = d.people(v)
		case "milestone":
			issue.Milestone = d.milestone(v)
		case "action":
			more.action = d.str(v)
		case "created_at":
			more.created = d.time(v)
		case "updated_at":
			more.updated = d.time(v)
		}
	})
	return issue, more
}
