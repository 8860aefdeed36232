package events

// readEmoji reads emoji: who reacted to what. The title is that of the object.
func (d *decoder) readEmoji() {
	e := d.event
	e.Action = safeWord(or(e.Action, d.str(d.get("event_type"))))
	part := &EmojiPart{Name: e.Title}
	d.each("object_attributes", d.get("object_attributes"), func(key string, v value) {
		switch key {
		case "awardable_type":
			part.OnType = d.str(v)
		case "awarded_on_url":
			e.URL = d.url(v)
		}
	})
	e.Emoji = part
	on, commit := part.OnType, "" // what it is on, of a comment what that is on
	if v := d.get("note"); on == "Note" || v.IsObject() {
		note, more := d.note("note", v) // for what is internal, too
		if on = note.OnType; on == "Commit" {
			commit = more.commit
		}
	}
	e.Title = ""
	d.readAwarded(part, commit)
	if e.Title == "" && part.OnReference == "" {
		e.Title = Thing(on)
	}
}

// readAwarded reads the object that was reacted to, or that the note is on; commit
// is the SHA of the commit, if the note is on one.
func (d *decoder) readAwarded(part *EmojiPart, commit string) {
	e := d.event
	issueKey := "issue"
	if d.get("work_item").IsObject() {
		issueKey = "work_item"
	}
	switch {
	case d.get(issueKey).IsObject():
		issue, _ := d.issue(issueKey, d.get(issueKey))
		d.useIssue(issue)
		e.Title, part.OnReference = issue.Title, reference("#", issue.IID)
	case d.get("merge_request").IsObject():
		mr, _ := d.mergeRequest("merge_request", d.get("merge_request"))
		d.useMergeRequest(mr)
		e.Title, part.OnReference = mr.Title, reference("!", mr.IID)
	case d.get("commit").IsObject(), commit != "":
		e.Commit = d.headCommit(d.get("commit"), commit)
		if e.Commit != nil {
			e.Title, part.OnReference = e.Commit.Title, e.Commit.ShortSHA()
		}
	case d.snippet().IsObject():
		d.each("snippet", d.snippet(), func(key string, v value) {
			switch key {
			case "id":
				part.OnReference = reference("$", d.integer(v))
			case "title":
				e.Title = d.str(v)
			}
		})
	}
}
