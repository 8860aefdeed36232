package configs

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// API is how the relay itself asks a GitLab.
type API struct {
	Pos      Pos
	URL      string // of GitLab, with its relative root, without a slash at the end
	Token    Secret
	CAFile   string // path of certificates to trust in place of the system's; may be empty
	Insecure bool   // the URL may be http
}

// Hooks is which webhooks a GitLab shall have for a source.
type Hooks struct {
	Pos      Pos
	URL      string    // what GitLab posts to
	Groups   []Pattern // full paths
	Projects []Pattern // globs over full paths
	Except   []Pattern // globs of projects to leave out
	Events   []Pattern // EventsRouted, EventsAll, or GitLab's names of triggers
}

// Words of a hook's events.
const (
	EventsRouted = "routed" // what the routes can use
	EventsAll    = "all"
)

var apiKeys = keyTable{
	{"url", anyText, "address of GitLab: https://gitlab.example"},
	{"token_file", anyText, "file that holds an access token of GitLab with the scope read_api"},
	{"ca_file", anyText, "certificates of GitLab, in place of the system's"},
}

var hooksKeys = keyTable{
	{"url", anyText, "what GitLab posts to: the relay's address with a path of the source"},
	{"groups", anyTexts, "full paths of groups that get one webhook each (Premium, Ultimate)"},
	{"projects", anyTexts, "globs over the projects that get a webhook each, unless their group has one"},
	{"except", anyTexts, "globs over projects that get none"},
	{"events", anyTexts, "routed (default): what the routes can use; all; or GitLab's names: push_events"},
}

// gitlab reads the keys of a source that are about GitLab's own side.
func (r *reader) gitlab(o object, s *Source) {
	insecure := r.truth(o, "insecure_api")
	s.API = r.api(o, insecure)
	switch {
	case insecure && !o.has("api"):
		r.errorf(o.fields["insecure_api"].key, "remove it", "insecure_api of %s has no effect without api", o.where)
	case insecure && s.API != nil && strings.HasPrefix(s.API.URL, "https:"):
		r.warnf(o.fields["insecure_api"].key, "remove it", "insecure_api of %s has no effect: api.url is https", o.where)
	}
	s.Hooks = r.hooks(o, s)
	if s.Hooks != nil && !o.has("api") {
		r.errorf(o.fields["hooks"].key, "add api: {url: https://gitlab.example, token_file: secrets/api}", "hooks of %s needs api, which says where GitLab is", o.where)
	}
}

func (r *reader) api(o object, insecure bool) *API {
	f, ok := o.fields["api"]
	if !ok {
		return nil
	}
	a, ok := r.object(f.value, "api of "+o.where, apiKeys)
	if !ok {
		return nil
	}
	out := &API{Pos: r.pos(f.key), Insecure: insecure}
	if u, v := r.webURL(a, "url", f); u != nil {
		out.URL = strings.TrimSuffix(strings.TrimRight(u.String(), "/"), "/api/v4")
		if u.Scheme == "http" && !insecure {
			r.errorf(v.node, "use https, or add insecure_api: true to "+o.where, "url of %s is not https: the access token would travel in clear", a.where)
		}
	}
	if !a.has("token_file") && !a.meant["token_file"] {
		r.errorf(f.key, "add token_file: it names a file with an access token of the scope read_api", "%s has no token_file", a.where)
	}
	if t := r.secrets(a, "token", false); len(t) > 0 {
		out.Token = t[0].Secret
	}
	out.CAFile = r.caFile(a, Destination{URL: NewSecret(out.URL)})
	return out
}

func (r *reader) hooks(o object, s *Source) *Hooks {
	f, ok := o.fields["hooks"]
	if !ok {
		return nil
	}
	h, ok := r.object(f.value, "hooks of "+o.where, hooksKeys)
	if !ok {
		return nil
	}
	out := &Hooks{Pos: r.pos(f.key), Events: []Pattern{{Text: EventsRouted, Pos: r.pos(f.key)}}}
	if u, v := r.webURL(h, "url", f); u != nil {
		out.URL = u.String()
		if !slices.ContainsFunc(s.Paths, func(p string) bool { return strings.HasSuffix(u.Path, p) }) {
			r.warnf(v.node, "add it to path, unless a proxy changes it", "the path of url of %s is none of %s: %s", h.where, o.where, strings.Join(s.Paths, ", "))
		}
	}
	out.Groups, _ = r.patterns(h, "groups")
	for _, g := range out.Groups {
		if strings.ContainsAny(g.Text, "*?[{") || strings.HasPrefix(g.Text, "/") {
			r.add(Finding{
				Pos: g.Pos, Width: utf8.RuneCountInString(g.shown()),
				Message: fmt.Sprintf("%q in groups of %s is no group", g.shown(), h.where), Hint: "write its full path, or its projects as a glob in projects",
			})
		}
	}
	out.Projects, _ = r.patterns(h, "projects")
	out.Except, _ = r.patterns(h, "except")
	if events, ok := r.patterns(h, "events"); ok {
		out.Events = events
	}
	if !h.has("groups") && !h.has("projects") && len(h.meant) == 0 {
		r.errorf(f.key, "add projects: acme/**, or groups: acme", "%s names no groups and no projects", h.where)
	}
	if len(s.Tokens)+len(s.SigningKeys) == 0 {
		r.errorf(f.key, "add token_file or signing_key_file to it", "%s needs a token or signing key of %s, which the relay gives to GitLab", h.where, o.where)
	}
	return out
}

// shown is the pattern as a sentence may show it.
func (p Pattern) shown() string {
	if p.Written != "" {
		return harmless(p.Written)
	}
	return harmless(p.Text)
}

// webURL reads an address without a user, a query and a fragment. It is nil when
// the address cannot be used, which is reported.
func (r *reader) webURL(o object, key string, at field) (*url.URL, value) {
	v, ok := r.scalar(o, key)
	if !ok {
		if !o.has(key) && !o.meant[key] {
			r.errorf(at.key, "add "+key, "%s has no %s", o.where, key)
		}
		return nil, v
	}
	u, err := url.Parse(v.text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		r.errorf(v.node, "it begins with https:// and names a host", "%s of %s is no URL", key, o.where)
	case u.User != nil:
		r.errorf(v.node, "leave them out", "%s of %s holds a user name or a password", key, o.where)
	case u.RawQuery != "" || u.Fragment != "":
		r.errorf(v.node, "leave out what follows ? or #", "%s of %s has a query or a fragment", key, o.where)
	default:
		return u, v
	}
	return nil, v
}
