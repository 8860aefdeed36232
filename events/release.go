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
	if v := d.get("assets"); v.IsObject() {
		p.Assets = d.attached(v)
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

// attached is how many links a release has. GitLab's count is of them and of the
// source archives, which it makes for every release.
func (d *decoder) attached(assets value) int {
	count, links, sources := 0, -1, 0
	d.each("assets", assets, func(key string, v value) {
		switch key {
		case "count":
			count = int(d.integer(v))
		case "links":
			links = d.length(v)
		case "sources":
			sources = d.length(v)
		}
	})
	if links >= 0 {
		return links
	}
	return max(0, count-sources)
}

// length is how many items a list has, as far as they are read.
func (d *decoder) length(v value) int {
	n := 0
	d.list(v, maxObjects, func(value) { n++ })
	return n
}
