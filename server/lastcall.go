package server

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// lastCall is a listener that can end without turning away who stands at the
// door: connections that the kernel has taken, and nobody has accepted yet,
// would be reset if it were just closed.
type lastCall struct {
	*net.TCPListener
	ending atomic.Bool

	// Of the goroutine that accepts.
	drained bool
	last    []net.Conn
}

// handshake is how long a connection that has begun is given to come about: a
// way there and back across an ocean. Who is kept out meanwhile asks again after
// a second, and finds the next relay if that has started by then.
const handshake = 200 * time.Millisecond

// end has Accept hand out what stands at the door, and then net.ErrClosed. The
// error says that a connection can still be made, and reset, in the last moment.
func (l *lastCall) end() error {
	err := noMore(l.TCPListener)
	l.ending.Store(true)
	_ = l.SetDeadline(time.Now().Add(handshake)) // an error means that it is closed
	return err
}

func (l *lastCall) Accept() (net.Conn, error) {
	if !l.drained {
		c, err := l.TCPListener.Accept()
		if err == nil || !l.ending.Load() {
			return c, err
		}
		l.last, l.drained = closeLast(l.TCPListener), true
	}
	if len(l.last) == 0 {
		return nil, net.ErrClosed
	}
	c := l.last[0]
	l.last = l.last[1:]
	return c, nil
}

// closeLast closes a listener and returns the connections that stood in the
// kernel's queue. Nothing is done between the last look and the end that could
// be done after it.
func closeLast(l *net.TCPListener) []net.Conn {
	var sockets []int
	if raw, err := l.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { sockets = acceptAll(int(fd)) })
	}
	_ = l.Close()
	var conns []net.Conn
	for _, s := range sockets {
		f := os.NewFile(uintptr(s), "connection")
		if c, err := net.FileConn(f); err == nil { // a copy
			conns = append(conns, c)
		}
		_ = f.Close()
	}
	return conns
}

func acceptAll(listener int) []int {
	var sockets []int
	for {
		s, _, err := syscall.Accept(listener) // does not block: no socket of package net does
		switch {
		case err == nil:
			syscall.CloseOnExec(s)
			sockets = append(sockets, s)
		case !errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.ECONNABORTED):
			return sockets
		}
	}
}
