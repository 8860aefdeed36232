package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

// listening serves a door on a free port until the end of the test.
func listening(t *testing.T, h http.Handler, most int, limits timeouts, cert, key string) *Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := newListener(&connections{Listener: l, most: most, log: slog.New(slog.DiscardHandler)}, h, cert, key, limits)
	ended := make(chan error, 1)
	go func() { ended <- listener.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		listener.Shutdown(ctx)
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return listener
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

const honest = "POST /hooks/gitlab HTTP/1.1\r\nHost: relay\r\nX-Gitlab-Token: " + token + "\r\nContent-Length: 2\r\n\r\n{}"

// ask sends a request over a connection of its own and returns the status.
func status(t *testing.T, l *Listener, request string) int {
	t.Helper()
	conn := dial(t, l)
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// closed waits until the other side has closed the connection.
func closed(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, conn); err != nil {
		var slow net.Error
		if errors.As(err, &slow) && slow.Timeout() {
			t.Error("the connection stays open")
		}
	}
}

// Many clients open connections and say nothing, or never come to the end of a
// head. Whoever has something to say is answered, over a connection of those
// that have been silent for longest.
func TestSilentClientsMakeRoom(t *testing.T) {
	const most = 20
	l := listening(t, door(t, &kept{}, io.Discard), most, usual, "", "")
	var silent []net.Conn
	for i := range 3 * most {
		conn := dial(t, l)
		silent = append(silent, conn)
		if i%2 == 1 {
			_, _ = io.WriteString(conn, "POST /hooks/gitlab HTTP/1.1\r\nX-Slow: ") // may be closed already
		}
		if i%10 == 0 {
			if got := status(t, l, honest); got != http.StatusAccepted {
				t.Fatalf("beside %d silent clients: %d", i, got)
			}
		}
	}
	for _, conn := range silent[:2*most] {
		closed(t, conn)
	}
	if n := l.net.opened(); n > most {
		t.Errorf("%d connections are open, want at most %d", n, most)
	}
	if n := l.Dropped(); n < 2*most {
		t.Errorf("%d connections are counted as dropped, want at least %d", n, 2*most)
	}
}

// pipes accepts connections that nobody has made.
type pipes struct{ net.Listener }

func (pipes) Accept() (net.Conn, error) {
	conn, _ := net.Pipe()
	return conn, nil
}

// More webhooks at once than there may be connections wait for their turn: the
// next one is accepted when another ends, or has said nothing for a while.
func TestBurstWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &connections{Listener: pipes{}, most: 2, log: slog.New(slog.DiscardHandler)}
		accept := func() net.Conn {
			conn, err := s.Accept()
			if err != nil {
				t.Fatal(err)
			}
			return conn
		}
		first, began := accept(), time.Now()
		second := accept()
		time.AfterFunc(minAge/2, func() { first.Close() })
		third := accept()
		if took := time.Since(began); took != minAge/2 || s.dropped.Load() != 0 {
			t.Errorf("one was accepted after %s, and %d dropped; want it as soon as another has ended", took, s.dropped.Load())
		}
		fourth := accept()
		if took := time.Since(began); took != minAge || s.dropped.Load() != 1 {
			t.Errorf("one was accepted after %s, and %d dropped; want one dropped after %s", took, s.dropped.Load(), minAge)
		}
		for _, conn := range []net.Conn{second, third, fourth} {
			conn.Close()
		}
		if n := s.opened(); n != 0 {
			t.Errorf("%d are open", n)
		}
	})
}

func (s *connections) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// A webhook that is being stored is not dropped for a flood of connections.
func TestProvedRequestIsNotDropped(t *testing.T) {
	const most = 5
	storing, stored := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	store := storeFunc(func(context.Context, *queue.Webhook) (queue.ID, error) {
		if first.CompareAndSwap(false, true) {
			close(storing)
			<-stored
		}
		return queue.ID{Seq: 1}, nil
	})
	l := listening(t, door(t, store, io.Discard), most, usual, "", "")
	answered := make(chan int, 1)
	go func() { answered <- status(t, l, honest) }()
	<-storing
	for range 5 * most {
		dial(t, l)
	}
	if got := status(t, l, honest); got != http.StatusAccepted {
		t.Errorf("beside the flood: %d", got)
	}
	close(stored)
	if status := <-answered; status != http.StatusAccepted {
		t.Errorf("the one that was being stored: %d", status)
	}
}

// A head has its time, and so has a body whose sender is not verified.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	limits := timeouts{header: time.Second, request: 2 * time.Second, answer: 10 * time.Second, idle: time.Second} // long enough for the honest one on a busy machine
	l := listening(t, door(t, &kept{}, io.Discard), mostConnections, limits, "", "")
	for name, begin := range map[string]string{
		"nothing":     "",
		"half a line": "POST /hooks/git",
		"half a head": "POST /hooks/gitlab HTTP/1.1\r\nHost: relay\r\n",
		"half a body": "POST /hooks/gitlab HTTP/1.1\r\nHost: relay\r\nX-Gitlab-Token: " + token + "\r\nContent-Length: 100\r\n\r\n{",
		"half chunks": "POST /hooks/gitlab HTTP/1.1\r\nHost: relay\r\nX-Gitlab-Token: " + token + "\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
		"idle":        honest,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, l)
			if _, err := io.WriteString(conn, begin); err != nil {
				t.Fatal(err)
			}
			closed(t, conn)
			if got := status(t, l, honest); got != http.StatusAccepted {
				t.Errorf("an honest one is answered %d", got)
			}
		})
	}
}

// What is no proper request is refused, and makes at most one event.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	const head = "POST /hooks/gitlab HTTP/1.1\r\nHost: relay\r\nX-Gitlab-Token: " + token + "\r\n"
	smuggled := "POST /hooks/gitlab HTTP/1.1\r\nHost: relay\r\nX-Gitlab-Token: " + token + "\r\nContent-Length: 2\r\n\r\n{}"
	for name, c := range map[string]struct {
		request string
		status  []int
		most    int // events
	}{
		"length and chunks":         {head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{400, 202}, 1},
		"two lengths":               {head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", []int{400}, 0},
		"two lengths that agree":    {head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", []int{400, 202}, 1},
		"negative length":           {head + "Content-Length: -2\r\n\r\n{}", []int{400}, 0},
		"length with a sign":        {head + "Content-Length: +2\r\n\r\n{}", []int{400}, 0},
		"no such coding":            {head + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{400, 501}, 0},
		"coding, hidden":            {head + "Transfer-Encoding : chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{400}, 0},
		"folded header":             {head + "X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}", []int{400, 202}, 1},
		"bare line feeds":           {strings.ReplaceAll(head, "\r\n", "\n") + "Content-Length: 2\n\n{}", []int{400, 202}, 1},
		"space before the colon":    {head + "X-A : b\r\nContent-Length: 2\r\n\r\n{}", []int{400}, 0},
		"NUL in a header":           {head + "X-A: \x00\r\nContent-Length: 2\r\n\r\n{}", []int{400}, 0},
		"no host":                   {"POST /hooks/gitlab HTTP/1.1\r\nX-Gitlab-Token: " + token + "\r\nContent-Length: 2\r\n\r\n{}", []int{400}, 0},
		"two hosts":                 {head + "Host: other\r\nContent-Length: 2\r\n\r\n{}", []int{400}, 0},
		"absolute form":             {strings.Replace(head, "/hooks", "http://other/hooks", 1) + "Content-Length: 2\r\n\r\n{}", []int{202}, 1},
		"chunk of a wrong size":     {head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n", []int{400}, 0},
		"chunk extensions":          {head + "Transfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("a", 5<<10) + "\r\n{}\r\n0\r\n\r\n", []int{400}, 0},
		"endless chunks":            {head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("100\r\n"+strings.Repeat(" ", 256)+"\r\n", 100), []int{413}, 0},
		"TRACE":                     {"TRACE /hooks/gitlab HTTP/1.1\r\nHost: relay\r\n\r\n", []int{405}, 0},
		"CONNECT":                   {"CONNECT relay:80 HTTP/1.1\r\nHost: relay\r\n\r\n", []int{404, 405}, 0},
		"OPTIONS *":                 {"OPTIONS * HTTP/1.1\r\nHost: relay\r\n\r\n", []int{200, 404, 405}, 0},
		"no method":                 {"\r\n\r\n \r\n\r\n", []int{400}, 0},
		"HTTP/2 without TLS":        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{400, 404, 505}, 0},
		"HTTP/9":                    {strings.Replace(head, "1.1", "9.9", 1) + "\r\n", []int{400, 505}, 0},
		"TLS":                       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", []int{400}, 0},
		"10,000 headers":            {head + strings.Repeat("A: b\r\n", 10000) + "Content-Length: 2\r\n\r\n{}", []int{431}, 0},
		"a header of 1 MB":          {head + "X-A: " + strings.Repeat("a", 1<<20) + "\r\nContent-Length: 2\r\n\r\n{}", []int{431}, 0},
		"a path of 1 MB":            {"POST /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: relay\r\n\r\n", []int{400, 414, 431}, 0},
		"path tricks":               {strings.Replace(head, "/hooks/gitlab", "/hooks/../hooks/gitlab", 1) + "Content-Length: 2\r\n\r\n{}", []int{404}, 0},
		"path with a slash encoded": {strings.Replace(head, "/hooks/gitlab", "/hooks%2Fgitlab", 1) + "Content-Length: 2\r\n\r\n{}", []int{202, 404}, 1},
		"unknown expectation":       {head + "Expect: the-unexpected\r\nContent-Length: 2\r\n\r\n{}", []int{417}, 0},
		"more than the body":        {head + "Content-Length: 2\r\n\r\n{}garbage\r\n\r\n", []int{202}, 1},
		"refused, then another":     {strings.Replace(smuggled, token, "wrong", 1) + smuggled, []int{401}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var k kept
			l := listening(t, door(t, &k, io.Discard), mostConnections, usual, "", "")
			conn := dial(t, l)
			go func() { _, _ = io.WriteString(conn, c.request) }() // it may be answered before all is sent
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			conn.Close()
			k.mu.Lock()
			defer k.mu.Unlock()
			if !slices.Contains(c.status, res.StatusCode) || len(k.hooks) > c.most {
				t.Errorf("answered %d, %d events; want %v and at most %d", res.StatusCode, len(k.hooks), c.status, c.most)
			}
		})
	}
}

// What follows a request with Transfer-Encoding and Content-Length is not taken
// for another one: a proxy in front may have seen one where net/http sees two.
func TestLengthAndChunksEndTheConnection(t *testing.T) {
	var k kept
	l := listening(t, door(t, &k, io.Discard), mostConnections, usual, "", "")
	conn := dial(t, l)
	head := strings.TrimSuffix(honest, "Content-Length: 2\r\n\r\n{}")
	if _, err := io.WriteString(conn, head+"Content-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"+honest); err != nil {
		t.Fatal(err)
	}
	answers, _ := io.ReadAll(conn) // to the end of the connection, or its reset
	if n := strings.Count(string(answers), "HTTP/1.1 "); n != 1 || len(k.hooks) > 1 {
		t.Errorf("%d answers, %d webhooks:\n%s", n, len(k.hooks), answers)
	}
}

// Connections that hold all files of the process make room for the next.
func TestConnectionsFollowTheFiles(t *testing.T) {
	for files, want := range map[uint64][2]int{
		0: {4, 2}, 64: {28, 4}, 100: {59, 9}, 256: {168, 24}, 1024: {672, 96}, 20000: {1000, 100}, math.MaxUint64: {1000, 100},
	} {
		public, admin, few := Connections(files)
		if got := [2]int{public, admin}; got != want || few != (public < mostConnections) {
			t.Errorf("of %d files: %v, few: %t; want %v", files, got, few, want)
		}
	}
}

// exhausted accepts, every second time only when somebody has closed a file.
type exhausted struct {
	net.Listener
	calls int
}

func (e *exhausted) Accept() (net.Conn, error) {
	if e.calls++; e.calls%2 == 0 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return e.Listener.Accept()
}

func TestNoFileLeftForAConnection(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	s := &connections{Listener: &exhausted{Listener: tcp}, most: mostConnections, log: slog.New(slog.DiscardHandler)}
	for range 5 {
		conn, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := s.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	if open, dropped := s.opened(), s.dropped.Load(); open != 1 || dropped != 4 {
		t.Errorf("%d are open and %d were dropped, want 1 and 4", open, dropped)
	}
}

// A thousand requests at once over one connection are a thousand events.
func TestPipelining(t *testing.T) {
	const n = 1000
	var k kept
	l := listening(t, door(t, &k, io.Discard), mostConnections, usual, "", "")
	conn := dial(t, l)
	go func() { _, _ = io.WriteString(conn, strings.Repeat(honest, n)) }()
	r := bufio.NewReader(conn)
	for i := range n {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i+1, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusAccepted {
			t.Fatalf("answer %d: %d", i+1, res.StatusCode)
		}
	}
	if len(k.hooks) != n {
		t.Errorf("%d events", len(k.hooks))
	}
}

// With TLS the door speaks HTTP/2 as well, and bounds it.
func TestHTTP2(t *testing.T) {
	example := httptest.NewUnstartedServer(nil)
	example.StartTLS() // for its certificate
	defer example.Close()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pair := example.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var k kept
	d := door(t, &k, io.Discard)
	d.opt.MaxBody = 1 << 20
	l := listening(t, d, mostConnections, usual, cert, key)
	roots := x509.NewCertPool()
	roots.AddCert(example.Certificate())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var all sync.WaitGroup
	for i := range 40 { // more than it takes at once over a connection
		all.Go(func() {
			body := `{"a":"` + strings.Repeat("x", (i%4)<<18) + `"}`
			req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+l.Addr()+"/hooks/gitlab", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("X-Gitlab-Token", token)
			res, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			if res.ProtoMajor != 2 || res.StatusCode != http.StatusAccepted {
				t.Errorf("%s %d", res.Proto, res.StatusCode)
			}
		})
	}
	all.Wait()
	if len(k.hooks) != 40 {
		t.Errorf("%d events", len(k.hooks))
	}
}

// Large bodies leave room for the usual ones, and unverified senders for those who
// are verified.
func TestRoomIsShared(t *testing.T) {
	ofVerified, ofOthers := verifiedRoom(25<<20), unverifiedRoom(25<<20)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	body := func(n int64, verified bool) bool {
		s := &share{room: ofOthers, ctx: over}
		if verified {
			s.room = ofVerified
		}
		return s.take(n)
	}
	const large = 25 << 20
	steps := []struct {
		what     string
		n        int64
		verified bool
		want     bool
	}{
		{"an unverified sender's large body", large, false, true},
		{"a second one", large, false, false},
		{"a large one of a verified sender", large, true, true},
		{"a second one of a verified sender", large, true, true},
		{"another, beyond what large ones may take", large, true, false},
		{"an unverified sender's usual one", 100 << 10, false, true},
		{"one of a verified sender", 100 << 10, true, true},
	}
	for _, s := range steps {
		if got := body(s.n, s.verified); got != s.want {
			t.Errorf("%s: %t, want %t", s.what, got, s.want)
		}
	}
	for body(largeBody, false) { // unverified take all that is theirs
	}
	if !body(largeBody, true) {
		t.Error("unverified have taken all of it")
	}
}

// A body that becomes large moves to the room of those, and gives all back there.
func TestBodyThatBecomesLarge(t *testing.T) {
	r := newRoom(1<<20, 4<<20)
	s := &share{room: r, ctx: t.Context()}
	for _, n := range []int64{512 << 10, 512 << 10, 1 << 20} {
		if !s.take(n) {
			t.Fatalf("%d bytes more found no room", n)
		}
	}
	if !r.usual.TryAcquire(1<<20) || r.large.TryAcquire(3<<20) || !r.large.TryAcquire(2<<20) {
		t.Error("it is not held where large ones are, alone")
	}
	s.give()
	if !r.large.TryAcquire(2 << 20) {
		t.Error("it was not given back")
	}
}

// signedDoor has a source whose webhooks are verified by their body.
func signedDoor(t *testing.T, store Store) *Door {
	t.Helper()
	proof, err := events.NewProof(events.ProofConfig{SigningKeys: [][]byte{make([]byte, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	return NewDoor(Options{
		Sources: []Source{{Name: "signed", Paths: []string{"/hooks/signed"}, Proof: proof}},
		Store:   store, MaxBody: 25 << 20, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
}

// signed is a webhook's head and body, signed with the key of [signedDoor].
func signed(body string) string {
	at := strconv.FormatInt(time.Now().Unix(), 10)
	sum := hmac.New(sha256.New, make([]byte, 32))
	fmt.Fprintf(sum, "an-id.%s.%s", at, body)
	return fmt.Sprintf("POST /hooks/signed HTTP/1.1\r\nHost: relay\r\nWebhook-Id: an-id\r\nWebhook-Timestamp: %s\r\nWebhook-Signature: v1,%s\r\nContent-Length: %d\r\n\r\n%s",
		at, base64.StdEncoding.EncodeToString(sum.Sum(nil)), len(body), body)
}

// Bodies that have begun and do not go on make room for a large signed one,
// whose sender is not verified either until it has come.
func TestIdleBodiesMakeRoom(t *testing.T) {
	t.Parallel()
	for name, drip := range map[string]bool{"which say nothing more": false, "which send a byte now and then": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var k kept
			d := signedDoor(t, &k)
			l := listening(t, d, mostConnections, usual, "", "")
			begun := signed(strings.Repeat(" ", 10<<20))[:200<<10] // takes 256 KiB
			held := fill(d.unverified.usual)
			d.unverified.usual.Release(2 << 20) // is there for them
			defer d.unverified.usual.Release(held - 2<<20)
			ctx, end := context.WithCancel(t.Context())
			var all sync.WaitGroup
			defer all.Wait()
			defer end()
			var idle []net.Conn
			for range 20 { // more than there is room for
				conn := dial(t, l)
				_, _ = io.WriteString(conn, begun)
				idle = append(idle, conn)
				if drip {
					all.Go(func() {
						tick := time.NewTicker(100 * time.Millisecond)
						defer tick.Stop()
						for {
							select {
							case <-tick.C:
								_, _ = conn.Write([]byte(" "))
							case <-ctx.Done():
								return
							}
						}
					})
				}
			}
			for _, conn := range idle {
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					continue // cut off while it still sent
				}
				if res.Body.Close(); res.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("an idle one is answered %d", res.StatusCode)
				}
			}
			if got := status(t, l, signed(`{"a":"`+strings.Repeat("x", 2<<20)+`"}`)); got != http.StatusAccepted || len(k.hooks) != 1 {
				t.Errorf("a signed webhook of 2 MiB is answered %d", got)
			}
		})
	}
}

// A webhook that finds no room waits for it: GitLab does not send it again.
func TestRoomIsWaitedFor(t *testing.T) {
	d := door(t, &kept{}, io.Discard)
	d.wait = time.Minute
	full := fill(d.verified.usual)
	answered := make(chan int, 1)
	go func() { answered <- answer(d, request("POST", "/hooks/gitlab", `{}`)).Code }()
	d.verified.usual.Release(full)
	if status := <-answered; status != http.StatusAccepted {
		t.Errorf("answered %d", status)
	}
}

// The largest body that is taken finds room, with a length and without, whether
// its sender is verified or not, as long as nothing else is there.
func TestLargestBodyFindsRoom(t *testing.T) {
	insecure, err := events.NewProof(events.ProofConfig{Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	known, err := events.NewProof(events.ProofConfig{Tokens: []string{token}})
	if err != nil {
		t.Fatal(err)
	}
	d := NewDoor(Options{
		Sources: []Source{{Name: "open", Paths: []string{"/hooks/open"}, Proof: insecure}, {Name: "gitlab", Paths: []string{"/hooks/gitlab"}, Proof: known}},
		Store:   storeFunc(func(context.Context, *queue.Webhook) (queue.ID, error) { return queue.ID{Seq: 1}, nil }),
		MaxBody: queue.MaxBodyLimit, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	body := `{"a":"` + strings.Repeat("x", queue.MaxBodyLimit-8) + `"}`
	for _, path := range []string{"/hooks/open", "/hooks/gitlab"} {
		for _, length := range []int64{queue.MaxBodyLimit, -1} {
			r := request("POST", path, body)
			r.ContentLength = length
			if w := answer(d, r); w.Code != http.StatusAccepted {
				t.Errorf("%s with a length of %d: %d %s", path, length, w.Code, w.Body)
			}
		}
	}
	for _, r := range []room{d.unverified, d.verified} {
		if !r.large.TryAcquire(queue.MaxBodyLimit) {
			t.Error("not all was given back")
		}
	}
}

// A body without a length takes what has come of it, not what may come.
func TestStrangersBodyTakesWhatCame(t *testing.T) {
	insecure, err := events.NewProof(events.ProofConfig{Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	d := NewDoor(Options{
		Sources: []Source{{Name: "open", Paths: []string{"/hooks/open"}, Proof: insecure}},
		Store:   &kept{}, MaxBody: 25 << 20, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	body := &stalled{wait: make(chan struct{}), end: make(chan struct{})}
	r := request("POST", "/hooks/open", "")
	r.Body, r.ContentLength = io.NopCloser(body), 25<<20
	ended := make(chan struct{})
	go func() { answer(d, r); close(ended) }()
	<-body.wait
	if !d.unverified.usual.TryAcquire(40<<20 - chunk) {
		t.Error("more than a chunk is held for one byte that came")
	}
	close(body.end)
	<-ended
}

// Payloads that were cut, turned and stuffed at random are accepted or refused,
// and nothing else; each line of the log is one JSON object, whatever stood in a
// header.
func TestMutatedRequests(t *testing.T) {
	const seed, n = 7, 5000
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	var bodies [][]byte
	for _, s := range events.Samples() {
		bodies = append(bodies, s.Body)
	}
	var log bytes.Buffer
	var stored atomic.Int64
	d := door(t, storeFunc(func(_ context.Context, w *queue.Webhook) (queue.ID, error) {
		events.Decode(events.Input{Source: w.Source, Header: w.Get("X-Gitlab-Event"), Body: w.Body})
		return queue.ID{Seq: uint64(stored.Add(1))}, nil
	}), &log)
	d.opt.MaxBody = 1 << 20
	d.refused.pace.SetBurst(n)
	odd := []string{"Push Hook", "\u2028\x1b[31m", `","level":"ERROR","x":"`, "Nonsense Hook", strings.Repeat("A", 10<<10)}
	for i := range n {
		body := mutate(random, bodies[i%len(bodies)])
		w := answer(d, request("POST", "/hooks/gitlab", string(body), "X-Gitlab-Event", odd[i%len(odd)]))
		if w.Code != 202 && w.Code != 400 {
			t.Fatalf("mutation %d of seed %d: answered %d %s", i, seed, w.Code, w.Body)
		}
	}
	if stored.Load() == 0 || stored.Load() == n {
		t.Errorf("%d of %d were accepted", stored.Load(), n)
	}
	for line := range strings.Lines(log.String()) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil || strings.ContainsRune(line, 0x1b) {
			t.Fatalf("a line of the log is no JSON: %q", line)
		}
	}
}

// mutate changes a payload in one of many ways.
func mutate(random *rand.Rand, body []byte) []byte {
	body = bytes.Clone(body)
	at := random.IntN(len(body))
	switch random.IntN(8) {
	case 0:
		return body[:at]
	case 1:
		body[at] ^= byte(1 << random.IntN(8))
	case 2:
		return slices.Concat(body[:at], []byte{0, 0xff, 0xfe}, body[at:])
	case 3:
		return bytes.Replace(body, []byte(`":"`), []byte(`":null,"a":"`), 1+random.IntN(5))
	case 4:
		return bytes.Replace(body, []byte(`": `), []byte(`": 1e999999,"b": `), 1+random.IntN(5))
	case 5:
		return bytes.Replace(body, []byte(`"`), []byte(`"\ud800`), 1+random.IntN(5))
	case 6:
		return append([]byte("\ufeff"), body...)
	case 7:
		return fmt.Appendf(nil, `{"object_kind":"push","a":%s}`, body)
	}
	return body
}

// A flood of refusals is told of in few lines, which say how many there were.
func TestFloodOfRefusalsIsBrief(t *testing.T) {
	var log bytes.Buffer
	d := door(t, &kept{}, &log)
	for range 5000 {
		answer(d, request("POST", "/hooks/gitlab", `{}`, "X-Gitlab-Token", "wrong"))
	}
	if lines := bytes.Count(log.Bytes(), []byte("\n")); lines > 2000 || lines < 100 {
		t.Errorf("%d lines", lines)
	}
}
