package chat

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Behaviour is what a hook does with a request.
type Behaviour struct {
	unread bool // the body stays in the socket
	serve  func(*Exchange)
}

// OK answers as a Mattermost does: 200 "ok" in text/plain, or 400 with its JSON
// for a body that it would refuse.
func OK() Behaviour {
	return Behaviour{serve: (*Exchange).OK}
}

// Hang reads the request and does not answer before [Server.Release].
func Hang() Behaviour {
	return Behaviour{serve: func(x *Exchange) {
		if x.Wait() {
			x.OK()
		}
	}}
}

// Blackhole takes the connection and reads no body, ever. The head is read,
// because it says which hook is meant.
func Blackhole() Behaviour {
	return Behaviour{unread: true, serve: func(x *Exchange) {
		x.Wait()
		x.Reset()
	}}
}

// Status answers with this code, header (may be nil) and body.
func Status(code int, header http.Header, body string) Behaviour {
	return Behaviour{serve: func(x *Exchange) { x.Answer(code, header, body) }}
}

// Reset reads the request and resets the connection (RST) without an answer.
func Reset() Behaviour {
	return Behaviour{serve: (*Exchange).Reset}
}

// CutMidAnswer posts the message, begins to answer 200 and closes the
// connection after the first byte of "ok": posted, and the sender cannot know.
func CutMidAnswer() Behaviour {
	return Behaviour{serve: (*Exchange).CutMidAnswer}
}

// Delay answers as [OK] after d, or not at all if the sender gives up first.
func Delay(d time.Duration) Behaviour {
	return Behaviour{serve: func(x *Exchange) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			x.OK()
		case <-x.request.Context().Done():
		case <-x.server.closing:
		}
	}}
}

// HTML200 answers 200 with a login page, as a single sign-on in front of the
// chat does.
func HTML200() Behaviour {
	return Status(http.StatusOK, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, loginPage)
}

// RedirectTo answers 307 with this Location, the redirect that keeps method and
// body.
func RedirectTo(url string) Behaviour {
	return Status(http.StatusTemporaryRedirect, http.Header{"Location": {url}}, "")
}

// Raw reads the request and lets f write what it likes on the connection, which
// is closed then. taken tells whether the message is in the chat by that.
func Raw(taken bool, f func(net.Conn)) Behaviour {
	return Behaviour{serve: func(x *Exchange) {
		conn := x.hijack()
		if conn == nil {
			return
		}
		defer conn.Close()
		if taken {
			x.server.ledger.settle(x.Entry.Seq, http.StatusOK, true, true)
		}
		f(conn)
	}}
}

// Func does anything else. A request that f does not answer ends with the
// connection closed.
func Func(f func(*Exchange)) Behaviour {
	return Behaviour{serve: func(x *Exchange) {
		f(x)
		if !x.done {
			x.Reset()
		}
	}}
}

// Exchange is one request to a hook, and the ways to end it. Exactly one of OK,
// Answer, Reset and CutMidAnswer ends it; a second has no effect.
type Exchange struct {
	// Entry is what arrived. Changing it changes nothing.
	Entry Entry

	server  *Server
	writer  http.ResponseWriter
	request *http.Request
	gate    chan struct{}
	done    bool
}

// read takes the body in whole and decodes it.
func (x *Exchange) read() error {
	raw, err := io.ReadAll(x.request.Body)
	if err != nil {
		return err
	}
	x.Entry.Raw = raw
	decode(&x.Entry)
	return nil
}

// Wait blocks until [Server.Release], and tells whether that is why it
// returned: not because the sender went away or the server was closed.
func (x *Exchange) Wait() bool {
	select {
	case <-x.gate:
		return true
	case <-x.request.Context().Done():
		return false
	case <-x.server.closing:
		return false
	}
}

// OK answers as a Mattermost does.
func (x *Exchange) OK() {
	switch {
	case x.Entry.unknown:
		x.Answer(http.StatusBadRequest, jsonHeader(), errorJSON(http.StatusBadRequest, "web.incoming_webhook.invalid.app_error", "Invalid webhook."))
	case x.Entry.problem != "":
		x.Answer(http.StatusBadRequest, jsonHeader(), x.Entry.problem)
	default:
		x.Answer(http.StatusOK, http.Header{"Content-Type": {"text/plain"}}, "ok")
	}
}

// Answer answers with this code, header (may be nil) and body.
func (x *Exchange) Answer(code int, header http.Header, body string) {
	if x.done {
		return
	}
	x.done = true
	taken := code == http.StatusOK && body == "ok" // a login page takes nothing
	if x.request.Context().Err() != nil {
		x.server.ledger.settle(x.Entry.Seq, code, taken, false)
		return
	}
	for key, values := range header {
		x.writer.Header()[http.CanonicalHeaderKey(key)] = values
	}
	if code != http.StatusNoContent {
		x.writer.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	// Written down before it is sent: who has the answer finds it in the ledger.
	x.server.ledger.settle(x.Entry.Seq, code, taken, true)
	x.writer.WriteHeader(code)
	_, err := io.WriteString(x.writer, body)
	if err == nil {
		err = http.NewResponseController(x.writer).Flush()
	}
	if err != nil {
		x.server.ledger.settle(x.Entry.Seq, code, taken, false)
	}
}

// Reset ends the connection with an RST and no answer.
func (x *Exchange) Reset() {
	if conn := x.hijack(); conn != nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // an abortive close, which sends RST
		}
		_ = conn.Close()
	}
}

// CutMidAnswer decides 200, sends half of the answer and closes the connection.
func (x *Exchange) CutMidAnswer() {
	if conn := x.hijack(); conn != nil {
		x.server.ledger.settle(x.Entry.Seq, http.StatusOK, true, false)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\no")
		_ = conn.Close()
	}
}

// hijack takes the connection from the HTTP server; nil when the request was
// ended before or the connection is gone.
func (x *Exchange) hijack() net.Conn {
	if x.done {
		return nil
	}
	x.done = true
	conn, _, err := http.NewResponseController(x.writer).Hijack()
	if err != nil {
		return nil
	}
	return conn
}
