package routes

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/gitlab-mattermost/relay/events"
)

// project moves the event to another project: its path, its name and the
// addresses that hold them.
func (p webhook) project(to string) error {
	if i := strings.IndexAny(to, ",= "); i >= 0 {
		return fmt.Errorf("%q is no path of a project, which has no %q", to, to[i:i+1])
	}
	done := false
	if o := p.in("project"); o != nil && o["path_with_namespace"] != nil {
		from, _ := o["path_with_namespace"].(string)
		if page, ok := o["web_url"].(string); ok && from != "" {
			if base, ok := strings.CutSuffix(page, "/"+from); ok {
				move(p.root, page, base+"/"+escaped(to))
			}
		}
		o["path_with_namespace"], o["name"] = to, path.Base(to)
		if r := p.in("repository"); r != nil {
			r["name"] = path.Base(to)
		}
		for _, r := range []object{o, p.in("repository")} {
			for _, key := range []string{"git_ssh_url", "ssh_url", "url"} {
				if ssh, ok := r[key].(string); ok {
					r[key] = strings.Replace(ssh, ":"+from+".git", ":"+to+".git", 1)
				}
			}
		}
		done = true
	}
	for _, o := range []object{p.root, p.in("group")} {
		for _, key := range []string{"path_with_namespace", "project_path_with_namespace", "full_path", "group_path"} {
			if _, ok := o[key].(string); ok {
				o[key], done = to, true
			}
		}
	}
	if !done && !p.page(to) {
		return p.lacks("project")
	}
	return nil
}

// page moves an event whose project, or group, only its object's address tells.
func (p webhook) page(to string) bool {
	o := p.in("object_attributes")
	address, _ := o["url"].(string)
	page, rest, ok := strings.Cut(address, "/-/")
	u, err := url.Parse(page)
	if !ok || err != nil || u.Host == "" {
		return false
	}
	group := ""
	if strings.HasPrefix(u.Path, "/groups/") {
		group = "groups/"
	}
	o["url"] = u.Scheme + "://" + u.Host + "/" + group + escaped(to) + "/-/" + rest
	return true
}

func escaped(p string) string { return (&url.URL{Path: p}).EscapedPath() }

// move replaces the beginning of every address in a payload that starts with a
// project's page.
func move(v any, from, to string) any {
	switch v := v.(type) {
	case object:
		for key, in := range v {
			v[key] = move(in, from, to)
		}
	case []any:
		for i, in := range v {
			v[i] = move(in, from, to)
		}
	case string:
		if rest, ok := strings.CutPrefix(v, from); ok && (rest == "" || rest[0] == '/' || rest == ".git") {
			return to + rest
		}
	}
	return v
}

// visibilityLevels are GitLab's (lib/gitlab/visibility_level.rb).
var visibilityLevels = map[string]int{"private": 0, "internal": 10, "public": 20}

func (p webhook) visibility(to string) error {
	level, known := visibilityLevels[to]
	if !known {
		return errors.New("it takes private, internal or public")
	}
	if o := p.in("project"); o != nil && p.kind != events.Vulnerability {
		o["visibility_level"] = level
		return nil
	}
	if _, ok := p.root["project_visibility"]; ok {
		p.root["project_visibility"] = to
		return nil
	}
	return p.lacks("visibility")
}
