package events

import (
	"strconv"
	"strings"
	"time"
)

// readNote reads note: lib/gitlab/data_builder/note.rb. The object that the note
// is on stands beside it, for some types of object not at all.
func (d *decoder) readNote() {
	e := d.event
	e.Kind = Note
	d.readProject()
	d.readActor()
	note, more := d.note("object_attributes", d.get("object_attributes"))
	e.Note = note
	e.URL = note.URL
	e.Time = more.created
	if note.Edited {
		e.Time = first(more.edited, more.updated, more.created)
	}
	d.readTarget(more.commit)
	e.Action = note.On
	if note.OnURL == "" {
		note.OnURL, _, _ = strings.Cut(note.URL, "#")
	}
	e.Title = or(note.OnTitle, note.OnReference)
}

// readTarget reads what the note is on; commit is the SHA of the commit, if it is
// on one.
func (d *decoder) readTarget(commit string) {
	e, note := d.event, d.event.Note
	note.On = d.noteOn(note.OnType)
	switch note.On {
	case MergeRequest:
		mr, more := d.mergeRequest("merge_request", d.get("merge_request"))
		if e.Project.Path == "" && e.Project.URL == "" {
			e.Project = more.project
		}
		d.useMergeRequest(mr)
		note.OnTitle, note.OnURL, note.OnReference = mr.Title, mr.URL, reference("!", mr.IID)
	case Issue:
		key := "issue"
		if !d.get(key).IsObject() {
			key = "work_item"
		}
		issue, _ := d.issue(key, d.get(key))
		d.useIssue(issue)
		note.OnTitle, note.OnURL, note.OnReference = issue.Title, issue.URL, reference("#", issue.IID)
	case "commit":
		e.Commit = d.headCommit(d.get("commit"), commit)
		if c := e.Commit; c != nil {
			note.OnTitle, note.OnURL, note.OnReference = c.Title, c.URL, c.ShortSHA()
		}
	case "snippet":
		d.readSnippet(d.snippet())
	}
}

// noteOn is what a comment is on, by its noteable_type, or by the object that stands
// beside it.
func (d *decoder) noteOn(kind string) string {
	has := func(key string) bool { return kind == "" && d.get(key).IsObject() }
	switch {
	case kind == "MergeRequest", has("merge_request"):
		return MergeRequest
	case kind == "Issue", kind == "WorkItem", has("issue"), has("work_item"):
		return Issue
	case kind == "Commit", has("commit"):
		return "commit"
	case strings.HasSuffix(kind, "Snippet"), kind == "" && d.snippet().IsObject():
		return "snippet"
	}
	return Other
}

func (d *decoder) readSnippet(v value) {
	note := d.event.Note
	d.each("snippet", v, func(key string, v value) {
		switch key {
		case "id":
			note.OnReference = reference("$", d.integer(v))
		case "title":
			note.OnTitle = d.str(v)
		case "url":
			note.OnURL = d.url(v)
		}
	})
}

// noteAttributes are what a note object holds beside the note itself.
type noteAttributes struct {
	times
	commit string // SHA of the commit it is on
}

// times are when something was made, last changed and last edited by a person.
type times struct{ created, updated, edited time.Time }

// wasEdited tells whether a note was changed after it was written, of which
// GitLab before 16.11 sends no action. A note is saved more than once while it is
// made, which takes less than editing does.
func (t times) wasEdited(hasEditor bool) bool {
	const making = 5 * time.Second
	edited := t.edited
	if edited.IsZero() && hasEditor {
		edited = t.updated
	}
	return !t.created.IsZero() && edited.Sub(t.created) > making
}

// note reads a note object; never nil.
func (d *decoder) note(name string, v value) (*NotePart, noteAttributes) {
	note := &NotePart{}
	var more noteAttributes
	var legacyFile, lineCode, action, editor string
	d.each(name, v, func(key string, v value) {
		switch key {
		case "id":
			note.ID = d.integer(v)
		case "note":
			note.Body = d.str(v)
		case "description": // the same text, with absolute URLs of images
			if note.Body == "" {
				note.Body = d.str(v)
			}
		case "noteable_type":
			note.OnType = d.str(v)
		case "url":
			note.URL = d.url(v)
		case "action":
			action = d.str(v)
		case "system":
			note.System = d.boolean(v)
		case "internal", "confidential":
			note.Internal = d.suspect(v) || note.Internal
		case "discussion_id":
			note.Discussion = d.str(v)
		case "position":
			note.File, note.Line = d.position(v)
		case "st_diff":
			legacyFile = d.diffPath(v)
		case "line_code":
			lineCode = d.str(v)
		case "commit_id":
			more.commit = d.str(v)
		case "updated_by_id":
			editor = d.str(v)
		case "created_at":
			more.created = d.time(v)
		case "updated_at":
			more.updated = d.time(v)
		case "last_edited_at":
			more.edited = d.time(v)
		}
	})
	note.Edited = action == "update" || action == "" && more.wasEdited(editor != "")
	if note.File == "" && legacyFile != "" {
		note.File, note.Line = legacyFile, codeLine(lineCode)
	}
	return note, more
}

// position reads where in a diff a note stands: the new side, else the old one.
func (d *decoder) position(v value) (file string, line int) {
	if !v.IsObject() {
		return "", 0
	}
	var oldFile string
	var oldLine int
	d.each("position", v, func(key string, v value) {
		switch key {
		case "new_path":
			file = d.str(v)
		case "old_path":
			oldFile = d.str(v)
		case "new_line":
			line = int(d.integer(v))
		case "old_line":
			oldLine = int(d.integer(v))
		}
	})
	if line == 0 {
		line = oldLine
	}
	return or(file, oldFile), line
}

// diffPath is the file of a note on a commit, which has no position: st_diff,
// an object, in old GitLabs a text.
func (d *decoder) diffPath(v value) (path string) {
	if !v.IsObject() {
		return ""
	}
	d.each("st_diff", v, func(key string, v value) {
		if key == "new_path" {
			path = d.str(v)
		}
	})
	return path
}

// codeLine is the line of a line_code, <hash>_<old line>_<new line>.
func codeLine(code string) int {
	line, err := strconv.Atoi(code[strings.LastIndex(code, "_")+1:])
	if err != nil || line < 0 {
		return 0
	}
	return line
}
