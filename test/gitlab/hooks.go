package gitlab

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hook is a webhook with what GitLab shows nobody.
type Hook struct {
	ID           int64
	URL          string
	Token        string
	SigningToken string
	Name         string
	Description  string
	Triggers     map[string]bool
	TLS          bool
	Template     string
	BranchFilter string
	Strategy     string   // of the branch filter
	Headers      []string // names of custom headers
	Variables    []string // names of URL variables
	Calls        []Call   // the log, oldest first

	failures      int
	disabledUntil time.Time
	dead          bool
}

// triggers are the attributes that a webhook of 17.x has
// (lib/api/entities/project_hook.rb, ee/lib/ee/api/entities/group_hook.rb). Those
// below are for groups alone.
var (
	triggers = []string{
		"push_events", "tag_push_events", "merge_requests_events", "issues_events", "confidential_issues_events", "note_events", "confidential_note_events",
		"job_events", "pipeline_events", "wiki_page_events", "deployment_events", "feature_flag_events", "releases_events", "emoji_events", "resource_access_token_events",
	}
	groupTriggers = []string{"subgroup_events", "member_events", "project_events"}
)

// AddHook adds a webhook as somebody did by hand, and returns its number.
func (s *Server) AddHook(path string, h Hook) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	h.ID = s.lastID
	if h.Triggers == nil {
		h.Triggers = map[string]bool{"push_events": true}
	}
	for _, p := range s.places {
		if p.path == path {
			p.hooks = append(p.hooks, &h)
		}
	}
	return h.ID
}

// Hooks are the webhooks of a project or group.
func (s *Server) Hooks(path string) []Hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Hook
	for _, p := range s.places {
		for _, h := range p.hooks {
			if p.path == path {
				out = append(out, *h)
			}
		}
	}
	return out
}

// Disable switches a webhook off after so many failures in a row.
func (s *Server) Disable(id int64, failures int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.places {
		for _, h := range p.hooks {
			if h.ID == id {
				h.failures = failures - 1
				s.failed(h)
			}
		}
	}
}

// hooksOf is the place whose webhooks a request is about. Webhooks of a project want
// a maintainer, those of a group an owner (app/policies/project_policy.rb, ee's
// group_policy.rb: admin_web_hook); without Premium there is no such path for groups
// (ee/lib/api/group_hooks.rb is not in the free edition).
func (s *Server) hooksOf(r *asked) (*place, answer) {
	group := strings.HasPrefix(r.URL.Path, "/api/v4/groups/")
	if group && s.o.Free {
		return nil, answer{status: http.StatusNotFound, body: map[string]any{"error": "404 Not Found"}}
	}
	p, refused := s.find(r, group)
	if p == nil {
		return nil, refused
	}
	needs := Maintainer
	if group {
		needs = Owner
	}
	if s.role(r.user, p.path) < needs {
		return nil, says(http.StatusForbidden, "403 Forbidden")
	}
	return p, answer{}
}

// hookOf is one webhook of a request.
func (s *Server) hookOf(r *asked) (*place, *Hook, answer) {
	p, refused := s.hooksOf(r)
	if p == nil {
		return nil, nil, refused
	}
	for _, h := range p.hooks {
		if strconv.FormatInt(h.ID, 10) == r.PathValue("hook") {
			return p, h, answer{}
		}
	}
	return p, nil, says(http.StatusNotFound, "404 Not found")
}

func (s *Server) listHooks(r *asked) answer {
	p, refused := s.hooksOf(r)
	if p == nil {
		return refused
	}
	var list []map[string]any
	for _, h := range p.hooks {
		list = append(list, s.hookJSON(p, h))
	}
	return s.page(r, list)
}

func (s *Server) showHook(r *asked) answer {
	p, h, refused := s.hookOf(r)
	if h == nil {
		return refused
	}
	return answer{status: http.StatusOK, body: s.hookJSON(p, h)}
}

// hookJSON is a webhook as GitLab shows it: never its tokens, and values of headers
// and of URL variables (lib/api/entities/hook.rb).
func (s *Server) hookJSON(p *place, h *Hook) map[string]any {
	names := func(keys []string) []map[string]any {
		out := []map[string]any{}
		for _, k := range keys {
			out = append(out, map[string]any{"key": k})
		}
		return out
	}
	out := map[string]any{
		"id": h.ID, "url": h.URL, "enable_ssl_verification": h.TLS, "push_events_branch_filter": h.BranchFilter,
		"custom_webhook_template": h.Template, "custom_headers": names(h.Headers), "url_variables": names(h.Variables),
		"alert_status": s.alertStatus(h), "disabled_until": nil, "repository_update_events": false,
	}
	if h.Strategy != "" {
		out["branch_filter_strategy"] = h.Strategy
	}
	if !h.disabledUntil.IsZero() {
		out["disabled_until"] = h.disabledUntil.UTC().Format(time.RFC3339)
	}
	if s.o.Minor >= 1 { // doc/api/project_webhooks.md: 17.1
		out["name"], out["description"] = h.Name, h.Description
	}
	for _, t := range s.triggersOf(p) {
		out[t] = h.Triggers[t]
	}
	return out
}

func (s *Server) triggersOf(p *place) []string {
	if p.group {
		return slices.Concat(triggers, groupTriggers)
	}
	return triggers
}

// createHook is POST …/hooks. Without push_events it is on, all else off
// (db/structure.sql, web_hooks).
func (s *Server) createHook(r *asked) answer {
	p, refused := s.hooksOf(r)
	if p == nil {
		return refused
	}
	h := &Hook{Triggers: map[string]bool{"push_events": true}, TLS: true}
	if a, ok := s.write(p, h, r.body); !ok {
		return a
	}
	s.lastID++
	h.ID = s.lastID
	p.hooks = append(p.hooks, h)
	return answer{status: http.StatusCreated, body: s.hookJSON(p, h)}
}

// editHook is PUT …/hooks/:id, which wants the URL (lib/api/hooks/…: requires :url).
func (s *Server) editHook(r *asked) answer {
	p, h, refused := s.hookOf(r)
	if h == nil {
		return refused
	}
	changed := *h
	changed.Triggers = map[string]bool{}
	for k, v := range h.Triggers {
		changed.Triggers[k] = v
	}
	if a, ok := s.write(p, &changed, r.body); !ok {
		return a
	}
	// A new URL takes the token along, unless one is sent with it
	// (app/models/hooks/web_hook.rb, reset_token).
	if _, sent := r.body["token"]; !sent && changed.URL != h.URL {
		changed.Token = ""
	}
	*h = changed
	return answer{status: http.StatusOK, body: s.hookJSON(p, h)}
}

// write takes over what a body says. What GitLab does not know it does not read.
func (s *Server) write(p *place, h *Hook, body map[string]json.RawMessage) (answer, bool) {
	var u string
	if err := json.Unmarshal(body["url"], &u); err != nil {
		return answer{status: http.StatusBadRequest, body: map[string]any{"error": "url is missing"}}, false
	}
	parsed, err := url.Parse(u)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return answer{status: http.StatusUnprocessableEntity, body: map[string]any{"error": "Invalid url given"}}, false
	}
	h.URL = u
	texts := map[string]*string{
		"token": &h.Token, "signing_token": &h.SigningToken, "custom_webhook_template": &h.Template,
		"push_events_branch_filter": &h.BranchFilter, "branch_filter_strategy": &h.Strategy,
	}
	if s.o.Minor >= 1 {
		texts["name"], texts["description"] = &h.Name, &h.Description
	}
	for k, to := range texts {
		if body[k] != nil {
			_ = json.Unmarshal(body[k], to)
		}
	}
	if body["enable_ssl_verification"] != nil {
		_ = json.Unmarshal(body["enable_ssl_verification"], &h.TLS)
	}
	for _, t := range s.triggersOf(p) {
		if body[t] != nil {
			on := false
			_ = json.Unmarshal(body[t], &on)
			h.Triggers[t] = on
		}
	}
	return answer{}, true
}

func (s *Server) deleteHook(r *asked) answer {
	p, h, refused := s.hookOf(r)
	if h == nil {
		return refused
	}
	p.hooks = slices.DeleteFunc(p.hooks, func(other *Hook) bool { return other == h })
	return answer{status: http.StatusNoContent}
}
