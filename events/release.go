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
	if e.Action != "create" { // created_at and released_at may be long ago
		e.Time = d.time(d.get("updated_at"))
	}
	e.Commit = d.headCommit(d.get("commit"), "")
}
