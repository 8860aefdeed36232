package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// mostConnections is how many connections a listener holds open. GitLab opens
// one for each webhook and closes it after the answer.
const mostConnections = 1000

// connections bounds how many connections are open. When there are too many,
// the one goes that has been of no use for longest: who has nothing to say, or
// says it slowly, makes room for who comes next. A connection over which a proved
// request is being answered is left alone.
type connections struct {
	net.Listener
	most int
	log  *slog.Logger

	dropped atomic.Uint64

	mu        sync.Mutex
	open      int
	strangers list.List // of *connection, the one of no use for longest first
	warned    time.Time
}

// connection is one of them.
type connection struct {
	net.Conn
	set    *connections
	place  *list.Element // among the strangers; guarded by the set's lock
	proved int           // requests that are being answered; guarded by the set's lock
	closed bool          // guarded by the set's lock
}

func (s *connections) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &connection{Conn: c, set: s}
	if last := s.add(conn); last != nil {
		last.Close()
	}
	return conn, nil
}

// add takes a connection in, and returns the one that has to go for it.
func (s *connections) add(c *connection) (last *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if front := s.strangers.Front(); s.open >= s.most && front != nil {
		last = front.Value.(*connection)
		s.dropped.Add(1)
		if now := time.Now(); now.Sub(s.warned) > time.Minute {
			s.warned = now
			s.log.Warn("too many connections at once; those that have said nothing for longest are dropped", "open", s.open)
		}
	}
	s.open++
	c.place = s.strangers.PushBack(c)
	return last
}

// wait returns when every connection has ended, after a while, or when ctx ends.
func (s *connections) wait(ctx context.Context, while time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, while)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for s.any() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *connections) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open > 0
}

func (c *connection) Close() error {
	c.set.mu.Lock()
	if !c.closed {
		c.closed = true
		c.set.open--
		if c.place != nil {
			c.set.strangers.Remove(c.place)
			c.place = nil
		}
	}
	c.set.mu.Unlock()
	return c.Conn.Close()
}

type connectionKey struct{}

// withConnection lets requests find their connection; it is an [http.Server]'s
// ConnContext.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	if own, ok := c.(*connection); ok {
		return context.WithValue(ctx, connectionKey{}, own)
	}
	return ctx
}

// keep leaves a request's connection alone until the function that it returns
// is called.
func keep(ctx context.Context) (done func()) {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return func() {}
	}
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	c.proved++
	if c.place != nil {
		c.set.strangers.Remove(c.place)
		c.place = nil
	}
	return func() {
		c.set.mu.Lock()
		defer c.set.mu.Unlock()
		if c.proved--; c.proved == 0 && !c.closed {
			c.place = c.set.strangers.PushBack(c)
		}
	}
}
