package events

import (
	"strconv"
	"strings"
)

// readProject reads the project, or group, that the event belongs to.
func (d *decoder) readProject() {
	p := &d.event.Project
	*p = d.project(d.get("project"))
	if p.ID == 0 {
		p.ID = d.integer(d.get("project_id"))
	}
	if p.Path == "" || p.URL == "" {
		d.projectFromRepository()
	}
	if v := d.get("group"); v.IsObject() {
		d.group(v)
	}
}

// project reads a project object, as GitLab's Project#hook_attrs writes it.
func (d *decoder) project(v value) Project {
	var p Project
	var homepage, http, ssh string
	d.each("project", v, func(key string, v value) {
		switch key {
		case "id":
			p.ID = d.integer(v)
		case "name":
			p.Name = d.str(v)
		case "web_url":
			p.URL = d.url(v)
		case "path_with_namespace":
			p.Path = d.str(v)
		case "default_branch":
			p.DefaultBranch = d.str(v)
		case "visibility_level":
			p.Visibility = d.visibility(v)
		case "homepage":
			homepage = d.str(v)
		case "git_http_url":
			http = d.str(v)
		case "git_ssh_url":
			ssh = d.str(v)
		}
	})
	p.address(homepage, http, ssh)
	return p
}

// address completes URL and Path from the repository's other addresses.
func (p *Project) address(homepage, http, ssh string) {
	if p.URL == "" {
		p.URL = or(webAddress(homepage), webAddress(strings.TrimSuffix(http, ".git")))
	}
	p.URL = strings.TrimRight(p.URL, "/")
	if p.Path == "" {
		if p.Path = pathOfSSH(ssh); p.Path == "" || !strings.HasSuffix(p.URL, "/"+p.Path) {
			p.Path = or(pathOf(p.URL), p.Path)
		}
	}
}

func webAddress(s string) string {
	if strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") {
		return s
	}
	return ""
}

// visibility reads GitLab's visibility levels (lib/gitlab/visibility_level.rb).
func (d *decoder) visibility(v value) string {
	if isNull(v) {
		return ""
	}
	switch d.integer(v) {
	case 0:
		return "private"
	case 10:
		return "internal"
	case 20:
		return "public"
	}
	return ""
}

// projectFromRepository completes the project from the deprecated repository
// object, all there is in the payloads of old GitLabs' jobs. Their project_name
// is for people ("Acme / API"), no path.
func (d *decoder) projectFromRepository() {
	v := d.get("repository")
	if !v.IsObject() {
		return
	}
	p := &d.event.Project
	var homepage, http, ssh string
	d.each("repository", v, func(key string, v value) {
		switch key {
		case "name":
			if p.Name == "" {
				p.Name = d.str(v)
			}
		case "homepage":
			homepage = d.str(v)
		case "git_http_url":
			http = d.str(v)
		case "git_ssh_url":
			ssh = d.str(v)
		case "visibility_level":
			if p.Visibility == "" {
				p.Visibility = d.visibility(v)
			}
		}
	})
	p.address(homepage, http, ssh)
}

// group reads the group object of an event that belongs to a group.
func (d *decoder) group(v value) {
	p := &d.event.Project
	var full, path string
	d.each("group", v, func(key string, v value) {
		switch key {
		case "full_path":
			full = d.str(v)
		case "group_path", "path":
			path = d.str(v)
		case "web_url":
			p.GroupURL = strings.TrimRight(d.url(v), "/")
		}
	})
	p.Group, d.folder = or(full, path), full == ""
}

// completeProject names the project, or group, by the object's URL when nothing
// else did: an epic's, a vulnerability's.
func (d *decoder) completeProject() {
	e := d.event
	p := &e.Project
	if p.Path != "" || p.URL != "" || e.URL == "" {
		return
	}
	page, _, ok := strings.Cut(e.URL, "/-/")
	if !ok {
		return
	}
	if _, group, ok := strings.Cut(page, "/groups/"); ok {
		if p.Group == "" {
			p.Group = group
		}
		if p.GroupURL == "" && p.Group == group {
			p.GroupURL = page
		}
		return
	}
	if p.Group == "" {
		p.URL, p.Path = page, pathOf(page)
	}
}

// readActor reads who did it: the user object.
func (d *decoder) readActor() {
	if v := d.get("user"); v.IsObject() {
		d.event.Actor = d.user("user", v)
	}
}

// readFlatActor reads who did it where the payload has no user object: pushes
// and old events, whose keys begin with user_.
func (d *decoder) readFlatActor() {
	u := &d.event.Actor
	u.ID = d.integer(d.get("user_id"))
	u.Name = d.str(d.get("user_name"))
	u.Username = d.str(d.get("user_username"))
	u.Email = address(d.str(d.get("user_email")))
	u.Bot = isBot(u.Username)
}

func (d *decoder) user(name string, v value) User {
	var u User
	d.each(name, v, func(key string, v value) {
		switch key {
		case "id":
			u.ID = d.integer(v)
		case "name":
			u.Name = d.str(v)
		case "username":
			u.Username = d.str(v)
		case "email":
			u.Email = address(d.str(v))
		}
	})
	u.Name = or(u.Name, u.Username)
	u.Bot = isBot(u.Username)
	return u
}

// address is an e-mail address. GitLab writes "[REDACTED]" for a hidden one, in
// the instance's language.
func address(s string) string {
	if !strings.Contains(s, "@") {
		return ""
	}
	return s
}

// people reads a list of users.
func (d *decoder) people(v value) []User {
	var room [4]User
	users := room[:0]
	d.list(v, maxObjects, func(v value) {
		if u := d.user(d.key, v); u != (User{}) {
			users = append(users, u)
		}
	})
	return append([]User(nil), users...)
}

// labels reads the titles of a list of labels.
func (d *decoder) labels(v value) []string {
	var room [8]string
	titles := room[:0]
	d.list(v, maxStrings-d.strings, func(v value) {
		if title := d.label(v); title != "" {
			titles = append(titles, title)
		}
	})
	d.strings += len(titles)
	return append([]string(nil), titles...)
}

// label reads a label's title, or a title alone.
func (d *decoder) label(v value) (title string) {
	if !v.IsObject() {
		return d.str(v)
	}
	d.each("labels", v, func(key string, v value) {
		switch {
		case key == "title", key == "name" && title == "":
			title = d.str(v)
		}
	})
	return title
}

// texts reads a list of strings.
func (d *decoder) texts(v value) []string {
	var room [8]string
	texts := room[:0]
	d.list(v, maxStrings-d.strings, func(v value) { texts = append(texts, d.str(v)) })
	d.strings += len(texts)
	return append([]string(nil), texts...)
}

// commit reads a commit, as GitLab's Commit#hook_attrs writes it.
func (d *decoder) commit(name string, v value) Commit {
	var c Commit
	var title string
	d.each(name, v, func(key string, v value) {
		switch key {
		case "id":
			c.SHA = d.str(v)
		case "message":
			c.Message = d.str(v)
		case "title":
			title = d.str(v)
		case "url":
			c.URL = d.url(v)
		case "timestamp":
			c.Time = d.time(v)
		case "author":
			author := d.user("author", v)
			c.AuthorName, c.AuthorEmail = author.Name, author.Email
		case "added":
			c.Added = d.texts(v)
		case "modified":
			c.Modified = d.texts(v)
		case "removed":
			c.Removed = d.texts(v)
		}
	})
	c.Title = or(firstLine(c.Message), title)
	return c
}

// headCommit is the commit object v, of which at least the sha is known; nil if
// not even that.
func (d *decoder) headCommit(v value, sha string) *Commit {
	var c Commit
	if v.IsObject() {
		c = d.commit("commit", v)
	}
	if sha != "" {
		c.SHA = sha
	}
	if c.SHA == "" {
		return nil
	}
	if c.URL == "" {
		c.URL = d.event.Project.CommitURL(c.SHA)
	}
	return &c
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimLeft(s, " \t\r\n"), "\n")
	return strings.TrimRight(line, " \t\r")
}

// milestone reads a milestone's title.
func (d *decoder) milestone(v value) (title string) {
	if !v.IsObject() {
		return ""
	}
	d.each("milestone", v, func(key string, v value) {
		if key == "title" {
			title = d.str(v)
		}
	})
	return title
}

// environment reads an environment's name, from an object or plain.
func (d *decoder) environment(v value) (name string) {
	if !v.IsObject() {
		return d.str(v)
	}
	d.each("environment", v, func(key string, v value) {
		if key == "name" {
			name = d.str(v)
		}
	})
	return name
}

func reference(sigil string, id int64) string {
	if id == 0 {
		return ""
	}
	return sigil + strconv.FormatInt(id, 10)
}
