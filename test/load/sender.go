package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// connections is how many GitLab keeps open here.
const connections = 64

// sender plays GitLab.
type sender struct {
	address string
	post    *post
	sink    *sink
	run     *arrivals

	next    atomic.Int64 // number of the next event
	sent    []int64      // ns since the sink's clock, by event; when it was due in an open loop
	refused atomic.Int64
}

// answers are the times that answers took, in ns, in no order.
type answers []int64

// closed sends until the context ends, each connection as soon as its last
// webhook was answered, and, where the run has slots, no more than fit in them.
func (s *sender) closed(ctx context.Context) (answers, error) {
	return s.each(func(c *connection) error {
		for ctx.Err() == nil {
			if s.run.slots != nil {
				select {
				case s.run.slots <- struct{}{}:
				case <-ctx.Done():
					return nil
				}
			}
			n := int(s.next.Add(1)) - 1
			if n >= len(s.sent) {
				return fmt.Errorf("send: more than %d events", len(s.sent))
			}
			now := s.sink.since()
			s.sent[n] = now
			if err := c.send(n, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// paced sends at a rate, whatever the answers take: an event counts from when
// it was due.
func (s *sender) paced(ctx context.Context, perSecond int) (answers, error) {
	due := make(chan int, len(s.sent))
	go func() {
		defer close(due)
		begin := s.sink.since()
		for i := 0; ctx.Err() == nil; i++ {
			at := begin + int64(i)*int64(time.Second)/int64(perSecond)
			time.Sleep(time.Duration(at - s.sink.since()))
			n := int(s.next.Add(1)) - 1
			if n >= len(s.sent) {
				return
			}
			s.sent[n] = at
			due <- n
		}
	}()
	return s.each(func(c *connection) error {
		for n := range due {
			if err := c.send(n, s.sent[n]); err != nil {
				return err
			}
		}
		return nil
	})
}

// count sends so many events, as fast as they are answered.
func (s *sender) count(n int) error {
	end := s.next.Load() + int64(n)
	_, err := s.each(func(c *connection) error {
		for {
			n := s.next.Add(1) - 1
			if n >= end {
				return nil
			}
			now := s.sink.since()
			s.sent[n] = now
			if err := c.send(int(n), now); err != nil {
				return err
			}
		}
	})
	s.next.Store(end)
	return err
}

// each runs f on every connection and gathers the answers.
func (s *sender) each(f func(*connection) error) (answers, error) {
	var mu sync.Mutex
	var all answers
	var failed error
	var running sync.WaitGroup
	for range connections {
		running.Go(func() {
			c, err := s.dial()
			if err == nil {
				defer c.Close()
				err = f(c)
				mu.Lock()
				all = append(all, c.took...)
				mu.Unlock()
			}
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return all, failed
}

// connection is one of GitLab's.
type connection struct {
	net.Conn
	s    *sender
	read *bufio.Reader
	buf  []byte
	took answers
}

func (s *sender) dial() (*connection, error) {
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &connection{Conn: c, s: s, read: bufio.NewReaderSize(c, 4<<10), buf: make([]byte, 0, 16<<10)}, nil
}

// send posts event n, which counts from the time given, and waits for the
// answer.
func (c *connection) send(n int, from int64) error {
	c.buf = c.s.post.request(c.buf[:0], c.s.address, n)
	if _, err := c.Write(c.buf); err != nil {
		return fmt.Errorf("send event %d: %w", n, err)
	}
	status, err := readAnswer(c.read)
	if err != nil {
		return fmt.Errorf("read the answer to event %d: %w", n, err)
	}
	if status/100 != 2 {
		c.s.refused.Add(1)
		c.s.sent[n] = 0
		return fmt.Errorf("event %d was answered %d", n, status)
	}
	c.took = append(c.took, c.s.sink.since()-from)
	return nil
}
