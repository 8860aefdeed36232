package events

// readMilestone reads milestone, of a project or a group.
func (d *decoder) readMilestone() {
	e := d.event
	p := &MilestonePart{Title: e.Title}
	d.each("object_attributes", d.get("object_attributes"), func(key string, v value) {
		switch key {
		case "iid":
			p.IID = d.integer(v)
		case "state":
			p.State = d.str(v)
		case "due_date":
			p.DueDate = d.date(v)
		}
	})
	e.Milestone = p
	if e.URL == "" {
		e.URL = e.Project.page("/-/milestones/", number(p.IID))
	}
}
