package events

// readWikiPage reads wiki_page: lib/gitlab/hook_data/wiki_page_builder.rb.
func (d *decoder) readWikiPage() {
	p := &WikiPagePart{Title: d.event.Title}
	d.each("object_attributes", d.get("object_attributes"), func(key string, v value) {
		switch key {
		case "slug":
			p.Slug = d.str(v)
		case "message":
			p.Message = d.str(v)
		case "diff_url":
			p.DiffURL = d.url(v)
		}
	})
	d.event.WikiPage = p
	if d.event.URL == "" {
		d.event.URL = d.event.Project.page("/-/wikis/", escapePath(p.Slug))
	}
}
