package events

import "strings"

// suspect notes what a key that marks something as confidential says. One that
// cannot be read is taken for true.
func (d *decoder) suspect(v value) bool {
	if d.isNull(v) {
		return false
	}
	b, ok := d.truth(v)
	if !ok {
		d.warn("neither true nor false")
	}
	if b || !ok {
		d.confidential = true
	}
	return b || !ok
}

// readEventType notes what event_type says of confidentiality.
func (d *decoder) readEventType() {
	switch word := d.str(d.get("event_type")); {
	case strings.HasPrefix(word, "confidential"):
		d.confidential = true
	case word == "issue", word == "work_item", word == "note":
		d.public = true
	}
	if d.header.kind == d.event.Kind && !d.header.confidential {
		d.public = true // GitLab has a header of its own for what is confidential
	}
}

// doubt makes confidential what nothing says is not.
func (d *decoder) doubt() {
	if !d.public {
		d.confidential = true
	}
}
