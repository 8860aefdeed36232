package gitlab

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// role is a user's role in a place: the highest of the place itself and of the
// groups above it (doc/user/permissions.md, inherited membership).
func (s *Server) role(u User, path string) int {
	if u.Admin {
		return Owner
	}
	most := 0
	for at, role := range s.roles[u.Name] {
		if path == at || strings.HasPrefix(path, at+"/") {
			most = max(most, role)
		}
	}
	return most
}

// find is the project or group of a request, by its number or its path. Who has no
// role in it is told that there is none (lib/api/helpers.rb, find_project!).
func (s *Server) find(r *asked, group bool) (*place, answer) {
	id := r.PathValue("id")
	for _, p := range s.places {
		if p.group == group && (p.path == id || strconv.FormatInt(p.id, 10) == id) && s.role(r.user, p.path) > 0 {
			return p, answer{}
		}
	}
	if group {
		return nil, says(http.StatusNotFound, "404 Group Not Found")
	}
	return nil, says(http.StatusNotFound, "404 Project Not Found")
}

func (p *place) json() map[string]any {
	if p.group {
		return map[string]any{"id": p.id, "full_path": p.path}
	}
	return map[string]any{"id": p.id, "path_with_namespace": p.path, "archived": p.archived}
}

func (s *Server) project(r *asked) answer {
	p, refused := s.find(r, false)
	if p == nil {
		return refused
	}
	return answer{status: http.StatusOK, body: p.json()}
}

func (s *Server) group(r *asked) answer {
	p, refused := s.find(r, true)
	if p == nil {
		return refused
	}
	return answer{status: http.StatusOK, body: p.json()}
}

// projects is GET /projects: those that the user may see, or is a member of
// (doc/api/projects.md).
func (s *Server) projects(r *asked) answer {
	return s.page(r, s.chosen(r, func(p *place) bool {
		member := s.roles[r.user.Name] != nil && s.role(User{Name: r.user.Name}, p.path) > 0
		return member || r.user.Admin && r.URL.Query().Get("membership") != "true"
	}))
}

// groupProjects is GET /groups/:id/projects, with include_subgroups.
func (s *Server) groupProjects(r *asked) answer {
	g, refused := s.find(r, true)
	if g == nil {
		return refused
	}
	deep := r.URL.Query().Get("include_subgroups") == "true"
	return s.page(r, s.chosen(r, func(p *place) bool {
		rest, below := strings.CutPrefix(p.path, g.path+"/")
		return below && (deep || !strings.Contains(rest, "/")) && s.role(r.user, p.path) > 0
	}))
}

// userProjects is GET /users/:id/projects.
func (s *Server) userProjects(r *asked) answer {
	name, found := r.PathValue("id"), false
	list := s.chosen(r, func(p *place) bool {
		own := p.user && strings.HasPrefix(p.path, name+"/")
		found = found || own
		return own && s.role(r.user, p.path) > 0
	})
	if !found {
		return says(http.StatusNotFound, "404 User Not Found")
	}
	return s.page(r, list)
}

func (s *Server) chosen(r *asked, want func(*place) bool) []map[string]any {
	var out []map[string]any
	for _, p := range s.places {
		if !p.group && want(p) && !(p.archived && r.URL.Query().Get("archived") == "false") {
			out = append(out, p.json())
		}
	}
	return out
}

const defaultPage, largestPage = 20, 100

// page is one page of a list, with X-Next-Page, or for pagination=keyset with a Link
// that names the last id (doc/api/rest/_index.md, pagination; at most 100 a page).
func (s *Server) page(r *asked, list []map[string]any) answer {
	q := r.URL.Query()
	size := defaultPage
	if n, err := strconv.Atoi(q.Get("per_page")); err == nil {
		size = max(1, min(n, largestPage))
	}
	if q.Get("pagination") == "keyset" {
		return s.keyset(r, list, size)
	}
	page, _ := strconv.Atoi(q.Get("page"))
	page = max(page, 1)
	from := min((page-1)*size, len(list))
	to := min(from+size, len(list))
	next := ""
	if to < len(list) {
		next = strconv.Itoa(page + 1)
	}
	return answer{status: http.StatusOK, header: map[string]string{"X-Next-Page": next, "X-Page": strconv.Itoa(page)}, body: nonNil(list[from:to])}
}

func (s *Server) keyset(r *asked, list []map[string]any, size int) answer {
	q := r.URL.Query()
	after, _ := strconv.ParseInt(q.Get("id_after"), 10, 64)
	var out []map[string]any
	header := map[string]string{}
	for _, x := range list {
		id := x["id"].(int64)
		if id <= after {
			continue
		}
		if len(out) == size {
			q.Set("id_after", strconv.FormatInt(out[size-1]["id"].(int64), 10))
			next := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: q.Encode()}
			header["Link"] = fmt.Sprintf("<%s>; rel=\"next\"", next.String())
			break
		}
		out = append(out, x)
	}
	return answer{status: http.StatusOK, header: header, body: nonNil(out)}
}

func nonNil(list []map[string]any) []map[string]any {
	if list == nil {
		return []map[string]any{}
	}
	return list
}

// traceBytes is how large the trace of every job is.
const traceBytes = 100 << 20

// trace is GET /projects/:id/jobs/:job_id/trace: plain text, of any size
// (lib/api/ci/jobs.rb; ci_max_log_size is 100 MB by default).
func (s *Server) trace(r *asked) answer {
	if p, refused := s.find(r, false); p == nil {
		return refused
	}
	return answer{stream: func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/plain")
		line := []byte(strings.Repeat("compiling the next of many files ", 31) + "\n")
		for sent := 0; sent < traceBytes; sent += len(line) {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
		_, _ = w.Write([]byte("ERROR: Job failed: exit code 1\n"))
	}}
}
