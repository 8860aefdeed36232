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
	// ownFiles is how many files the process needs at least for itself: the queue's,
	// those that it reads, and the connections to a chat. It reserves a quarter of all
	// files if that is more.
	ownFiles = 32
	// minAge is how old a connection must be before it is dropped for a new one: a
	// request may take that long to arrive. Meanwhile the new one waits in the kernel's
	// backlog.
	minAge = 100 * time.Millisecond
)

// Connections divides the files that a process may open (RLIMIT_NOFILE) into the
// connections that the public listener may hold and those of the admin listener. few
// reports that the public one gets less than it should have.
func Connections(files uint64) (public, admin int, few bool) {
	spare := int(min(files, 1<<20))
	spare -= max(ownFiles, spare/4)
	public = min(max(spare*7/8, 4), mostConnections)
	admin = min(max(spare-public, 2), mostConnections/10)
	return public, admin, public < mostConnections
}

// connections bounds how many connections are open. When there are too many, it
// closes the one that has been inactive for longest: idle and slow senders make room
// for new ones. A connection with a verified request in progress is never closed.
type connections struct {
	net.Listener
	most int
	log  *slog.Logger

	dropped atomic.Uint64

	mu        sync.Mutex
	open      int
	droppable list.List // of *connection, the one inactive for longest first
	warned    time.Time
	freed     chan struct{} // receives when a connection is closed
}

// connection is one of them.
type connection struct {
	net.Conn
	set *connections

	// Guarded by the set's lock.
	place    *list.Element // in droppable; nil while a verified request is being answered
	since    time.Time     // when it was last active, or was accepted
	verified int           // verified requests that are being answered
	closed   bool
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

// awaitRoom waits while the limit is reached and no connection is old enough to be
// dropped.
func (s *connections) awaitRoom() {
	for {
		s.mu.Lock()
		if s.freed == nil {
			s.freed = make(chan struct{}, 1)
		}
		left := time.Duration(0)
		if front := s.droppable.Front(); s.open >= s.most && front != nil {
			left = minAge - time.Since(front.Value.(*connection).since)
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

// toBack makes a connection the last one to be dropped. The lock is held.
func (s *connections) toBack(c *connection) {
	if c.since = time.Now(); c.place == nil {
		c.place = s.droppable.PushBack(c)
		return
	}
	s.droppable.MoveToBack(c.place)
}

// add adds a connection, and returns the one that must be closed for it, or nil.
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

// first is the connection to close next; nil if there is none. The lock is held.
func (s *connections) first() *connection {
	front := s.droppable.Front()
	if front == nil {
		return nil
	}
	s.dropped.Add(1)
	if now := time.Now(); now.Sub(s.warned) > time.Minute {
		s.warned = now
		s.log.Warn("too many connections at the same time; those inactive for longest are closed", "open", s.open)
	}
	return front.Value.(*connection)
}

// dropFirst closes one connection because the process may open no more files.
func (s *connections) dropFirst() bool {
	s.mu.Lock()
	c := s.first()
	s.mu.Unlock()
	return c != nil && c.Close() == nil
}

// wait waits until every connection has ended, for at most while, or until ctx ends.
func (s *connections) wait(ctx context.Context, while time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, while)
	defer cancel()
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for s.any() {
		select {
		case <-t.C:
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
			c.set.droppable.Remove(c.place)
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

// keep protects a request's connection from being closed for another one, until done
// is called.
func keep(ctx context.Context) (done func()) {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return func() {}
	}
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	c.verified++
	if c.place != nil {
		c.set.droppable.Remove(c.place)
		c.place = nil
	}
	return func() {
		c.set.mu.Lock()
		defer c.set.mu.Unlock()
		if c.verified--; c.verified == 0 && !c.closed {
			c.set.toBack(c)
		}
	}
}

// active marks the connection of a request as active now.
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
