package events

// readRelease reads release: lib/gitlab/hook_data/release_builder.rb.
func (d *decoder) readRelease() {
	e := d.event
	p := &ReleasePart{
		Name:        d.str(d.get("name")),
		Tag:         d.str(d.get("tag")),
		Description: d.str(d.get("description")),
		URL:         d.url(d.get("url")),
	}
	if v := d.get("assets"); d.isObject(v) {
		d.each("assets", v, func(key string, v value) {
			if key == "count" {
				p.Assets = int(d.integer(v))
			}
		})
	}
	if p.URL == "" && p.Tag != "" {
		p.URL = e.Project.page("/-/releases/", escapePath(p.Tag))
	}
	e.Release = p
	e.Title, e.URL = or(p.Name, p.Tag), p.URL
	e.Tag, e.Ref = p.Tag, p.Tag
	e.Time = first(d.time(d.get("released_at")), e.Time)
	if e.Action != "create" {
		e.Time = first(d.time(d.get("updated_at")), e.Time)
	}
	e.Commit = d.headCommit(d.get("commit"), "")
}
