package server

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// Who is connected when the relay begins to stop is answered, though the request
// begins only then; nobody else is let in.
func TestShutdownAnswersWhoIsConnected(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	l, err := Listen("127.0.0.1:0", h, "", "", mostConnections, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.silence = time.Minute
	accepted := make(chan struct{}, 10)
	l.server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted <- struct{}{}
		}
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve() }()
	request := func(c net.Conn) {
		t.Helper()
		fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: relay.example\r\nContent-Length: 0\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Body.Close(); r.StatusCode != http.StatusAccepted {
			t.Error(r.Status)
		}
	}
	var conns []net.Conn
	for range 10 {
		c, err := net.Dial("tcp", l.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		<-accepted
		conns = append(conns, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		l.Shutdown(ctx)
		close(ended)
	}()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", l.Addr()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
	for _, c := range conns {
		request(c)
	}
	<-ended
}
