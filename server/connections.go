package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// mostConnections is how many connections a listener holds open. GitLab opens
	// one for each webhook and closes it after the answer.
	mostConnections = 1000
	// ownFiles is how many files the process needs for itself at least: the queue's,
	// those that it reads, and the connections to a chat. Of many it leaves a quarter.
	ownFiles = 32
	// newcomer is how long a connection is not dropped for another one, which waits
	// in the kernel's backlog meanwhile: as long as a request may take to arrive.
	newcomer = 100 * time.Millisecond
)

// Connections divides the files that a process may open (RLIMIT_NOFILE): so many
// connections the public listener may hold, so many the admin listener. Few says
// that the public one would hold more if it could.
func Connections(files uint64) (public, admin int, few bool) {
	spare := int(min(files, 1<<20))
	spare -= max(ownFiles, spare/4)
	public = min(max(spare*7/8, 4), mostConnections)
	admin = min(max(spare-public, 2), mostConnections/10)
	return public, admin, public < mostConnections
}

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
	freed     chan struct{} // gets one when a connection is closed
}

// connection is one of them.
type connection struct {
	net.Conn
	set *connections

	// Guarded by the set's lock.
	place  *list.Element // among the strangers
	since  time.Time     // when it was of use, or was accepted
	proved int           // requests that are being answered
	closed bool
}

func (s *connections) Accept() (net.Conn, error) {
	s.awaitRoom()
	c, err := s.Listener.Accept()
	for errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		if !s.dropFirst() {
			return nil, err // which net/http waits for
		}
		c, err = s.Listener.Accept()
	}
	if err != nil {
		return nil, err
	}
	conn := &connection{Conn: c, set: s}
	if last := s.add(conn); last != nil {
		last.Close()
	}
	return conn, nil
}

// awaitRoom waits while as many connections are open as may be, and none of them is
// old enough to be dropped.
func (s *connections) awaitRoom() {
	for {
		s.mu.Lock()
		if s.freed == nil {
			s.freed = make(chan struct{}, 1)
		}
		left := time.Duration(0)
		if front := s.strangers.Front(); s.open >= s.most && front != nil {
			left = newcomer - time.Since(front.Value.(*connection).since)
		}
		s.mu.Unlock()
		if left <= 0 {
			return
		}
		select {
		case <-s.freed:
		case <-time.After(left):
		}
	}
}

// toBack puts a connection behind all others that can be dropped. The lock is held.
func (s *connections) toBack(c *connection) {
	if c.since = time.Now(); c.place == nil {
		c.place = s.strangers.PushBack(c)
		return
	}
	s.strangers.MoveToBack(c.place)
}

// add takes a connection in, and returns the one that has to go for it.
func (s *connections) add(c *connection) (last *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= s.most {
		last = s.first()
	}
	s.open++
	s.toBack(c)
	return last
}

// first is the connection that has to go first; nil if none may. The lock is held.
func (s *connections) first() *connection {
	front := s.strangers.Front()
	if front == nil {
		return nil
	}
	s.dropped.Add(1)
	if now := time.Now(); now.Sub(s.warned) > time.Minute {
		s.warned = now
		s.log.Warn("too many connections at once; those that have said nothing for longest are dropped", "open", s.open)
	}
	return front.Value.(*connection)
}

// dropFirst closes it, when the process has no file left for another one.
func (s *connections) dropFirst() bool {
	s.mu.Lock()
	c := s.first()
	s.mu.Unlock()
	return c != nil && c.Close() == nil
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
		defer func() {
			select {
			case c.set.freed <- struct{}{}:
			default: // one is there, or nobody waits
			}
		}()
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
			c.set.toBack(c)
		}
	}
}

// active tells that a request brings something: the connection has been of use
// just now.
func active(ctx context.Context) {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return
	}
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if c.place != nil {
		c.set.toBack(c)
	}
}
