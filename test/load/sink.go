package main

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// maxEvents is how many events one run may send.
const maxEvents = 1 << 22

// sink is the chat: it answers every post with "ok", as Mattermost does, after
// the latency it was told, and notes when each event arrived first.
type sink struct {
	listener net.Listener
	latency  atomic.Int64 // ns
	down     atomic.Bool  // answers 503
	clock    time.Time

	run atomic.Pointer[arrivals]

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// arrivals is what came in during one run.
type arrivals struct {
	at       []atomic.Int64 // ns since clock of the first arrival, or of the second where twice is not nil, by event
	twice    []atomic.Bool  // arrived at one of two addresses, by event; nil: each has one
	count    atomic.Int64   // events, each counted once
	repeats  atomic.Int64
	unmarked atomic.Int64
	last     atomic.Int64
	slots    chan struct{} // what is outstanding, or nil
}

func newSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the chat: %w", err)
	}
	s := &sink{listener: l, clock: time.Now(), conns: map[net.Conn]bool{}}
	go s.accept()
	return s, nil
}

func (s *sink) url() string { return "http://" + s.listener.Addr().String() + "/hooks/load" }

// since is now, in ns since the sink was started.
func (s *sink) since() int64 { return int64(time.Since(s.clock)) }

// begin starts a new run; what still arrives of the last one is not counted.
func (s *sink) begin(events, outstanding int) *arrivals {
	a := &arrivals{at: make([]atomic.Int64, events)}
	if outstanding > 0 {
		a.slots = make(chan struct{}, outstanding)
	}
	s.run.Store(a)
	return a
}

func (s *sink) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		go s.serve(c)
	}
}

func (s *sink) close() {
	s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

var (
	answerOK   = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
	answerDown = []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\ndown")
)

func (s *sink) serve(c net.Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	r := bufio.NewReaderSize(c, 16<<10)
	var body []byte
	for {
		_, length, err := readHead(r)
		if err != nil {
			return
		}
		if body, err = readBody(r, body, length); err != nil {
			return
		}
		answer := answerDown
		if !s.down.Load() {
			answer = answerOK
			s.arrived(body)
		}
		if wait := s.latency.Load(); wait > 0 {
			time.Sleep(time.Duration(wait))
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

func (s *sink) arrived(body []byte) {
	a := s.run.Load()
	if a == nil {
		return
	}
	n, ok := numberIn(body)
	if !ok || n >= len(a.at) {
		a.unmarked.Add(1)
		return
	}
	if a.twice != nil && a.twice[n].CompareAndSwap(false, true) {
		return // the other address has still to get it
	}
	now := s.since()
	if !a.at[n].CompareAndSwap(0, now) {
		a.repeats.Add(1)
		return
	}
	a.last.Store(now)
	a.count.Add(1)
	if a.slots != nil {
		select {
		case <-a.slots:
		default:
		}
	}
}
