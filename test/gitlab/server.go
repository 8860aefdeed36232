// Package gitlab is a GitLab for tests: the part of its API that is about webhooks,
// with the rules that a client meets there, and the sending of webhooks. Each rule
// names where it is from; the files are those of gitlab.com/gitlab-org/gitlab.
//
// It stands outside the relay, and shares nothing with it.
package gitlab

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Roles (lib/gitlab/access.rb).
const (
	Guest      = 10
	Reporter   = 20
	Developer  = 30
	Maintainer = 40
	Owner      = 50
)

// Options say which GitLab it is.
type Options struct {
	Minor       int  // its version is 17.Minor: 17.1 has descriptions of webhooks, 17.3 shows their calls, 17.4 has resend
	Free        bool // groups have no webhooks, as without Premium
	AutoDisable bool // webhooks that fail are switched off, as on GitLab.com
	Undated     bool // calls have no created_at, as before they were given one
	Now         func() time.Time

	// Limit is how many requests a minute a token may make; 0: any number.
	Limit int
	// Calls is how many calls of webhooks a top-level group has a minute; 0: any
	// number (lib/gitlab/web_hooks/rate_limiter.rb).
	Calls int
}

// User is who has a token.
type User struct {
	Name    string
	Admin   bool
	Scopes  []string
	Expires string // day; "": never
}

// Server is a GitLab. Its exported methods may be called while it serves.
type Server struct {
	o        Options
	listener net.Listener
	http     *http.Server

	mu       sync.Mutex
	tokens   map[string]User
	roles    map[string]map[string]int // by user and path
	places   []*place
	lastID   int64
	requests []string
	refuse   int // requests that are answered 429 from now on
	fail     map[string]int
	redirect string
	minute   map[string]*window
	after    func(request string)
}

// place is a project or a group.
type place struct {
	id       int64
	path     string
	group    bool
	archived bool
	empty    bool // a project without commits
	user     bool // a user's own, in place of a group's
	hooks    []*Hook
}

// window counts what happens within a minute.
type window struct {
	since time.Time
	count int
}

// Start starts one on loopback. Without Options.Now it uses the clock.
func Start(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, listener: l, tokens: map[string]User{}, roles: map[string]map[string]int{}, fail: map[string]int{}, minute: map[string]*window{}}
	s.http = &http.Server{Handler: s.handler()}
	go func() { _ = s.http.Serve(l) }()
	return s, nil
}

// Close ends it.
func (s *Server) Close() error { return s.http.Close() }

// URL is its address.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// AddToken makes an access token known.
func (s *Server) AddToken(token string, u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = u
}

// Member gives a user a role in a group, or in a project.
func (s *Server) Member(user, path string, role int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roles[user] == nil {
		s.roles[user] = map[string]int{}
	}
	s.roles[user][path] = role
}

// AddGroup adds groups.
func (s *Server) AddGroup(paths ...string) { s.add(true, paths) }

// AddProject adds projects. Their groups need not be there.
func (s *Server) AddProject(paths ...string) { s.add(false, paths) }

func (s *Server) add(group bool, paths []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range paths {
		s.lastID++
		s.places = append(s.places, &place{id: s.lastID, path: p, group: group})
	}
}

// Archive archives a project.
func (s *Server) Archive(project string) { s.change(project, func(p *place) { p.archived = true }) }

// Empty takes the commits of a project away.
func (s *Server) Empty(project string) { s.change(project, func(p *place) { p.empty = true }) }

// OfUser has a project belong to a user in place of a group.
func (s *Server) OfUser(project string) { s.change(project, func(p *place) { p.user = true }) }

func (s *Server) change(path string, by func(*place)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.places {
		if p.path == path {
			by(p)
		}
	}
}

// Requests are the requests so far, as "GET projects/acme%2Fapi/hooks".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// Writes are those of them that change something.
func (s *Server) Writes() []string {
	var out []string
	for _, r := range s.Requests() {
		if !strings.HasPrefix(r, "GET ") {
			out = append(out, r)
		}
	}
	return out
}

// After calls a function when a request was carried out, before it is answered.
func (s *Server) After(f func(request string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = f
}

// Refuse answers the next n requests with 429.
func (s *Server) Refuse(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = n
}

// Fail answers the next n requests of a method with 502, after carrying them out.
func (s *Server) Fail(method string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[method] = n
}

// Redirect sends every request to another address.
func (s *Server) Redirect(to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redirect = to
}

// answer is what a request gets.
type answer struct {
	status int
	header map[string]string
	body   any
	stream func(w http.ResponseWriter)
}

func says(status int, message any) answer {
	return answer{status: status, body: map[string]any{"message": message}}
}

// asked is a request with who makes it.
type asked struct {
	*http.Request
	user User
	body map[string]json.RawMessage
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, answer func(*asked) answer) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /api/v4/"+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, answer) })
	}
	route("GET personal_access_tokens/self", s.self)
	route("GET user", s.whoami)
	route("GET projects", s.projects)
	route("GET projects/{id}", s.project)
	route("GET projects/{id}/jobs/{job}/trace", s.trace)
	route("GET groups/{id}", s.group)
	route("GET groups/{id}/projects", s.groupProjects)
	route("GET users/{id}/projects", s.userProjects)
	for _, kind := range []string{"projects", "groups"} {
		route("GET "+kind+"/{id}/hooks", s.listHooks)
		route("POST "+kind+"/{id}/hooks", s.createHook)
		route("GET "+kind+"/{id}/hooks/{hook}", s.showHook)
		route("PUT "+kind+"/{id}/hooks/{hook}", s.editHook)
		route("DELETE "+kind+"/{id}/hooks/{hook}", s.deleteHook)
		route("GET "+kind+"/{id}/hooks/{hook}/events", s.listCalls)
		route("POST "+kind+"/{id}/hooks/{hook}/events/{event}/resend", s.resend)
		route("POST "+kind+"/{id}/hooks/{hook}/test/{trigger}", s.test)
	}
	return mux
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, do func(*asked) answer) {
	request := r.Method + " " + strings.TrimPrefix(r.URL.EscapedPath(), "/api/v4/")
	s.mu.Lock()
	s.requests = append(s.requests, request)
	a, refused := s.refused(r)
	if !refused {
		q := &asked{Request: r, user: s.tokens[r.Header.Get("PRIVATE-TOKEN")]}
		_ = json.NewDecoder(r.Body).Decode(&q.body) // none is none
		a = do(q)
	}
	if s.fail[r.Method] > 0 {
		s.fail[r.Method]--
		a = says(http.StatusBadGateway, "GitLab is not responding")
	}
	after := s.after
	s.mu.Unlock()
	if after != nil {
		after(request)
	}
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	if a.stream != nil {
		a.stream(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	if a.body != nil {
		_ = json.NewEncoder(w).Encode(a.body)
	}
}

// refused is what is refused whatever it asks for: without a known token
// (lib/api/api_guard.rb), a change with a token that may only read (the same), and
// what is too much (lib/gitlab/rack_attack.rb, and its request_throttle_data.rb for
// the headers).
func (s *Server) refused(r *http.Request) (answer, bool) {
	token := r.Header.Get("PRIVATE-TOKEN")
	user, known := s.tokens[token]
	limited := s.o.Limit > 0 && s.within("requests "+token, s.o.Limit)
	switch {
	case s.redirect != "":
		return answer{status: http.StatusMovedPermanently, header: map[string]string{"Location": s.redirect + r.URL.RequestURI()}}, true
	case s.refuse > 0:
		s.refuse--
		return answer{status: http.StatusTooManyRequests, header: map[string]string{"Retry-After": "0"}, body: "Retry later"}, true
	case limited:
		reset := s.minute["requests "+token].since.Add(time.Minute)
		return answer{status: http.StatusTooManyRequests, header: map[string]string{
			"RateLimit-Limit": strconv.Itoa(s.o.Limit), "RateLimit-Remaining": "0", "RateLimit-Reset": strconv.FormatInt(reset.Unix(), 10),
			"Retry-After": strconv.Itoa(int(reset.Sub(s.o.Now()).Seconds())),
		}, body: "Retry later"}, true
	case !known:
		return says(http.StatusUnauthorized, "401 Unauthorized"), true
	case r.Method != http.MethodGet && !has(user.Scopes, "api"):
		return answer{status: http.StatusForbidden, body: map[string]any{"error": "insufficient_scope", "scope": "api"}}, true
	}
	return answer{}, false
}

// within counts something and tells whether it was too much within a minute.
func (s *Server) within(what string, most int) (tooMuch bool) {
	w := s.minute[what]
	if now := s.o.Now(); w == nil || now.Sub(w.since) >= time.Minute {
		w = &window{since: now}
		s.minute[what] = w
	}
	w.count++
	return w.count > most
}

func has(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

// self is GET /personal_access_tokens/self (doc/api/personal_access_tokens.md).
func (s *Server) self(r *asked) answer {
	var expires any
	if r.user.Expires != "" {
		expires = r.user.Expires
	}
	return answer{status: http.StatusOK, body: map[string]any{"id": 1, "name": "relay", "scopes": r.user.Scopes, "active": true, "expires_at": expires}}
}

// whoami is GET /user; is_admin is there for administrators alone
// (lib/api/entities/user_with_admin.rb).
func (s *Server) whoami(r *asked) answer {
	body := map[string]any{"id": 1, "username": r.user.Name}
	if r.user.Admin {
		body["is_admin"] = true
	}
	return answer{status: http.StatusOK, body: body}
}
