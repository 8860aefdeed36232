package events

import (
	"strconv"
	"strings"
)

// headers that say which GitLab sent a webhook.
const (
	headerEvent    = "X-Gitlab-Event"
	headerInstance = "X-Gitlab-Instance"
	headerAgent    = "User-Agent"
)

// NewInput is the webhook that a source sent with these headers; header returns
// the value of the one named.
func NewInput(source string, header func(name string) string, body []byte) Input {
	return Input{
		Source: source, Header: header(headerEvent), Instance: header(headerInstance),
		Version: versionOf(header(headerAgent)), Body: body,
	}
}

// versionOf is the version in GitLab's User-Agent, "GitLab/17.5.1-ee"; "" if it
// holds none (app/services/web_hook_service.rb).
func versionOf(agent string) string {
	version, ok := strings.CutPrefix(agent, "GitLab/")
	if !ok || version == "" || !isDigit(version[0]) {
		return ""
	}
	version, _, _ = strings.Cut(version, " ")
	return version
}

// Major is the first number of the GitLab's version; 0 if it is not known.
func (e *Event) Major() int {
	n := 0
	for i := 0; i < len(e.Version) && isDigit(e.Version[i]) && n < 1000; i++ {
		n = n*10 + int(e.Version[i]-'0')
	}
	return n
}

// permalinks is the first GitLab of which all versions know /-/g/ID (it came in 17.5).
const permalinks = 18

// completeAddresses builds the pages of a project or group of which the payload
// has the path only, as those about members, subgroups and projects. Events about
// members name only the last folder of a group, so its number is needed.
func (d *decoder) completeAddresses() {
	p, base := &d.event.Project, webAddress(strings.TrimRight(d.event.Instance, "/"))
	if base == "" {
		return
	}
	if p.URL == "" && p.Path != "" {
		p.URL = base + "/" + escapePath(p.Path)
	}
	if p.GroupURL != "" || p.Group == "" || p.Path != "" {
		return
	}
	if !d.folder {
		p.GroupURL = base + "/groups/" + escapePath(p.Group)
	} else if id := d.integer(d.get("group_id")); id > 0 && d.event.Major() >= permalinks {
		p.GroupURL = base + "/-/g/" + strconv.FormatInt(id, 10)
	}
}
