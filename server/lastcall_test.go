package server

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"
)

// Who is connected, and not accepted yet, is answered all the same.
func TestShutdownAnswersWhoStandsAtTheDoor(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	l, err := Listen("127.0.0.1:0", h, "", "", mostConnections, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.silence = time.Minute
	var conns []net.Conn
	for i := range 20 {
		c, err := net.Dial("tcp", l.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 { // the others speak only when the relay is ending
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: relay.example\r\nContent-Length: 0\r\n\r\n")
		}
		conns = append(conns, c)
	}
	if err := l.last.end(); err != nil && runtime.GOOS == "linux" {
		t.Error(err)
	}
	if err := l.Serve(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", l.Addr()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
	ended := make(chan struct{})
	go func() {
		l.Shutdown(t.Context())
		close(ended)
	}()
	for i, c := range conns {
		if i%2 == 1 {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: relay.example\r\nContent-Length: 0\r\n\r\n")
		}
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		if r.Body.Close(); r.StatusCode != http.StatusAccepted {
			t.Errorf("connection %d: %s", i, r.Status)
		}
	}
	<-ended
}

// Who comes when the last call is over is not let in, so that nobody is who
// would not be answered.
func TestNobodyIsLetInAfterTheLastCall(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it takes a socket filter of Linux")
	}
	l, err := Listen("127.0.0.1:0", http.NotFoundHandler(), "", "", mostConnections, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.last.end(); err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", l.Addr(), 200*time.Millisecond) // it asks a second time after one second
	if err == nil {
		c.Close()
		t.Error("connected to a listener that is about to close")
	}
	l.Shutdown(t.Context())
}

// A listener that never served ends as well.
func TestShutdownWithoutServe(t *testing.T) {
	l, err := Listen("127.0.0.1:0", http.NotFoundHandler(), "", "", mostConnections, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.Shutdown(t.Context())
	if c, err := net.Dial("tcp", l.Addr()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}
