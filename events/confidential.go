package events

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// isConfidential decides whether the event is confidential. GitLab says so in many
// places: the header, event_type, keys named confidential. It does not say so for
// everything: it takes comments on a confidential issue's designs for public
// (Note#confidential? asks the noteable, and a design does not know). So an issue,
// or what belongs to one, is confidential unless the payload proves that it is not.
func (d *decoder) isConfidential() bool {
	e := d.event
	eventType := d.str(d.get("event_type"))
	switch {
	case d.header.confidential, strings.HasPrefix(eventType, "confidential"), d.marked("confidential"):
		return true
	case d.suspected, e.Kind == Vulnerability:
		return true
	case e.Kind == Other && d.marked("internal"):
		return true
	}
	named := d.header.kind == e.Kind
	switch e.Kind {
	case Issue:
		return !named && eventType != "issue" && eventType != "work_item" && !d.openIssue()
	case Note:
		return d.mayHide(e.Note.On, named || eventType == "note")
	case Emoji:
		return d.mayHide(d.awardedOn(), false)
	case Other:
		return d.mayBelong() && !d.openIssue()
	}
	return false
}

// mayHide tells whether what a comment or reaction is on may be confidential. GitLab
// has a header and an event_type of their own for comments on confidential issues, so
// that the others are named public by theirs.
func (d *decoder) mayHide(on string, named bool) bool {
	switch on {
	case MergeRequest, "commit", "snippet":
		return false
	case Issue:
		return !named && !d.openIssue()
	}
	return !d.openIssue()
}

// awardedOn is what a reaction is on: if it is on a comment, what that is on.
func (d *decoder) awardedOn() string {
	kind := ""
	d.each("object_attributes", d.get("object_attributes"), func(key string, v value) {
		if key == "awardable_type" {
			kind = d.str(v)
		}
	})
	if note := d.get("note"); note.IsObject() {
		kind = ""
		d.each("note", note, func(key string, v value) {
			if key == "noteable_type" {
				kind = d.str(v)
			}
		})
	}
	return d.noteOn(kind)
}

// hiding are GitLab's words for what can be confidential, or belongs to an issue
// that can: the types of work items, and what has a page of its own beside them.
var hiding = []string{
	"epic", "incident", "task", "objective", "key_result", "ticket", "requirement", "test_case", "design", "alert", "vulnerability",
}

// mayBelong tells whether an event of no known kind may be about something
// confidential: by its word, or because there is an issue in it.
func (d *decoder) mayBelong() bool {
	return slices.Contains(hiding, d.event.Action) || slices.ContainsFunc(issueKeys, func(key string) bool { return d.get(key).IsObject() })
}

// issueKeys are where the issue stands that an event is about.
var issueKeys = []string{"issue", "work_item", "epic"}

// openIssue tells whether an issue in the payload says that it is not confidential.
func (d *decoder) openIssue() (open bool) {
	keys := issueKeys
	if d.event.Kind == Issue || d.event.Kind == Other {
		keys = append([]string{"object_attributes"}, keys...)
	}
	for _, name := range keys {
		v := d.get(name)
		if !v.IsObject() {
			continue
		}
		d.each(name, v, func(key string, v value) {
			open = open || key == "confidential" && !isNull(v) && !d.affirms(v)
		})
	}
	return open
}

// marked tells whether any key of this name, however deep, is true, or cannot be
// read. Of a change, {"previous": …, "current": …}, either side counts.
func (d *decoder) marked(name string) bool {
	json := d.payload
	if !strings.Contains(json, `"`+name+`"`) {
		return false
	}
	for i := 0; i < len(json); {
		if json[i] != '"' {
			i++
			continue
		}
		end := i + stringEnd(json[i:])
		isName := json[i+1:max(end-1, i+1)] == name
		i = skipSpace(json, end)
		if isName && i < len(json) && json[i] == ':' {
			i = skipSpace(json, i+1)
			if d.affirms(gjson.Parse(json[i : i+valueEnd(json[i:])])) {
				return true
			}
		}
	}
	return false
}

// affirms tells whether the value of a mark says yes, or cannot be read.
func (d *decoder) affirms(v value) bool {
	if !v.IsObject() {
		b, ok := d.truth(v)
		return b || !ok
	}
	sides, yes := 0, false
	d.each("changes", v, func(_ string, v value) {
		b, ok := d.truth(v)
		sides, yes = sides+1, yes || b || !ok
	})
	return yes || sides == 0
}

// suspect notes what a key says that marks an issue or comment as confidential. One
// that cannot be read is taken for true.
func (d *decoder) suspect(v value) bool {
	b, ok := d.truth(v)
	if !ok {
		d.warn("neither true nor false")
	}
	d.suspected = d.suspected || b || !ok
	return b || !ok
}
