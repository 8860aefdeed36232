// Package chat is a chat server to test against: it takes the posts that a
// Mattermost takes under /hooks/<id>, answers as one does or misbehaves as it
// is told, and writes down everything that arrived, in order.
//
// It knows nothing of the relay, and shows nothing to anybody: no channels, no
// users, no rendering. What it answers by default was measured against a real
// Mattermost 5.38 and read in the source of newer ones.
package chat

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options of a [Server]. The zero value listens on a free port of 127.0.0.1
// and takes posts for any hook.
type Options struct {
	// Address to listen on; empty is "127.0.0.1:0".
	Address string
	// Hooks are the ids that exist; any other answers as Mattermost answers
	// for a deleted hook. Empty: every id exists.
	Hooks []string
	// Watch, if set, is given every request when it has ended, one way or
	// another, and the ledger forgets it then: for runs that are too long to be
	// kept. It is called from many goroutines.
	Watch func(Entry)
}

// Server is a running chat server. Its methods may be called from any
// goroutine.
type Server struct {
	http     *http.Server
	listener net.Listener
	known    map[string]bool
	ledger   *ledger
	closing  chan struct{}
	close    sync.Once
	handlers sync.WaitGroup

	mu    sync.Mutex
	hooks map[string]*hook
	conns int
	open  int // connections, those that were hijacked left out

	watch func(Entry)
}

// hook is how one hook behaves now.
type hook struct {
	behaviour Behaviour
	gate      chan struct{} // closed by Release
}

// Start listens and serves until [Server.Close].
func Start(opts Options) (*Server, error) {
	address := opts.Address
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("start chat server: %w", err)
	}
	s := &Server{
		listener: listener,
		ledger:   newLedger(),
		closing:  make(chan struct{}),
		hooks:    map[string]*hook{},
		watch:    opts.Watch,
	}
	if len(opts.Hooks) > 0 {
		s.known = map[string]bool{}
		for _, id := range opts.Hooks {
			s.known[id] = true
		}
	}
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ConnContext:       s.number,
		ConnState:         s.track,
		ReadHeaderTimeout: time.Minute,
	}
	s.handlers.Add(1)
	go func() {
		defer s.handlers.Done()
		_ = s.http.Serve(listener) // always ends with ErrServerClosed
	}()
	return s, nil
}

// Close ends every connection, answered or not, and returns when no request is
// being handled any more.
func (s *Server) Close() error {
	var err error
	s.close.Do(func() {
		s.mu.Lock()
		close(s.closing) // from here on enter refuses, so that Wait cannot miss one
		s.mu.Unlock()
		err = s.http.Close()
		s.handlers.Wait()
	})
	return err
}

// Addr is the host and port that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is the address of a hook, as an administrator would copy it.
func (s *Server) URL(id string) string { return "http://" + s.Addr() + "/hooks/" + id }

// Set changes how a hook behaves, for the requests that arrive from now on.
func (s *Server) Set(id string, b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook(id).behaviour = b
}

// CloseIdle closes the connections on which no request is under way: their
// senders would keep them for later. New ones are taken as ever.
func (s *Server) CloseIdle() {
	s.http.SetKeepAlivesEnabled(false)
	s.http.SetKeepAlivesEnabled(true)
}

// Release lets go the requests that hang at this moment: after [Hang] they are
// answered "ok", after [Blackhole] their connections are closed. Later ones
// hang again unless [Server.Set] said otherwise first.
func (s *Server) Release(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hook(id)
	close(h.gate)
	h.gate = make(chan struct{})
}

// hook returns the state of one hook; s.mu is held.
func (s *Server) hook(id string) *hook {
	h := s.hooks[id]
	if h == nil {
		h = &hook{behaviour: OK(), gate: make(chan struct{})}
		s.hooks[id] = h
	}
	return h
}

type connKey struct{}

// number gives every connection its number, from 1.
func (s *Server) number(ctx context.Context, _ net.Conn) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns++
	return context.WithValue(ctx, connKey{}, s.conns)
}

// track counts the connections that are open.
func (s *Server) track(_ net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.open++
	case http.StateClosed, http.StateHijacked:
		s.open--
	}
}

// Drain waits until the server has read all that was sent by clients that are gone:
// until nobody is connected any more. It returns ctx's error when that ends first.
func (s *Server) Drain(ctx context.Context) error {
	// Connections are accepted in the order in which they came: when this one is
	// answered, the older ones are counted.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr()+"/", nil)
	if err != nil {
		return fmt.Errorf("drain the chat server: %w", err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("drain the chat server: %w", err)
	}
	resp.Body.Close()
	for s.connected() > 0 {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *Server) connected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// enter counts a request in, unless the server is closing.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		return false
	default:
		s.handlers.Add(1)
		return true
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		return
	}
	defer s.handlers.Done()
	id, isHook := strings.CutPrefix(r.URL.Path, "/hooks/")
	switch {
	case r.Method == http.MethodGet || !isHook || id == "":
		webApp(w)
		return
	case r.Method != http.MethodPost || strings.Contains(id, "/"):
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	s.mu.Lock()
	h := *s.hook(id)
	s.mu.Unlock()

	x := &Exchange{server: s, writer: w, request: r, gate: h.gate}
	x.Entry = Entry{
		Hook:    id,
		At:      time.Now(),
		Conn:    r.Context().Value(connKey{}).(int),
		Header:  r.Header.Clone(),
		unknown: s.known != nil && !s.known[id],
	}
	if !h.behaviour.unread {
		if err := x.read(); err != nil {
			return // the sender went away in the middle: nothing arrived
		}
	}
	x.Entry = s.ledger.add(x.Entry)
	h.behaviour.serve(x)
	if s.watch != nil {
		s.watch(s.ledger.take(x.Entry.Seq))
	}
}
