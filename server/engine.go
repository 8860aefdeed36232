package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
)

// newEngine makes a gin engine that trusts no proxy and recovers from panics
// without dumping the request: gin's own dump holds X-Gitlab-Token.
func newEngine(log *slog.Logger) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	_ = e.SetTrustedProxies(nil) // nil cannot fail
	e.RedirectTrailingSlash = false
	e.RedirectFixedPath = false
	e.HandleMethodNotAllowed = true
	e.Use(recovery(log), closeChunked)
	e.NoMethod(func(c *gin.Context) {
		answerError(c, &refusal{status: http.StatusMethodNotAllowed, text: "this path does not take " + c.Request.Method})
	})
	return e
}

func recovery(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			if p := recover(); p != nil {
				log.Error("panic while answering a request", "stack", string(debug.Stack()))
				answerError(c, &refusal{status: http.StatusInternalServerError, text: "the relay failed"})
			}
		}()
		c.Next()
	}
}

// closeChunked closes the connection after a request with Transfer-Encoding. If the
// request had a Content-Length too, a proxy in front may have used that one, and what
// follows is then not a request of the proxy (RFC 9112, 6.3: request smuggling).
// net/http does not show whether it had one. GitLab sends no Transfer-Encoding.
func closeChunked(c *gin.Context) {
	if len(c.Request.TransferEncoding) > 0 && c.Request.ProtoMajor == 1 {
		c.Header("Connection", "close")
	}
}

func healthz(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "ok"}) }

// Listener is one address that answers HTTP.
type Listener struct {
	server *http.Server
	net    *connections
	cert   string
	key    string

	silence time.Duration // how long Shutdown waits for a request that has not begun
	serving atomic.Bool
	ending  atomic.Bool
	served  chan struct{} // closed when Serve has accepted its last connection
}

// Listen opens an address; ":0" takes a free port. With cert and key it speaks TLS. It
// holds at most most connections open, see [Connections].
func Listen(addr string, h http.Handler, cert, key string, most int, log *slog.Logger) (*Listener, error) {
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return newListener(&connections{Listener: tcp, most: most, log: log}, h, cert, key, usual), nil
}

// timeouts are how long a client may take.
type timeouts struct {
	header  time.Duration // all of a request's head; the TLS handshake
	request time.Duration // all of a request
	answer  time.Duration // the answer too
	idle    time.Duration // between two requests
}

// usual gives a verified sender a minute for 25 MiB. The time for a head is what
// GitLab needs on a very slow line.
var usual = timeouts{header: 5 * time.Second, request: time.Minute, answer: 90 * time.Second, idle: 2 * time.Minute}

// newListener makes a listener on accepted connections. For HTTP/2, which comes with
// TLS, it bounds what a connection may make the server store before a request is
// verified.
func newListener(l *connections, h http.Handler, cert, key string, t timeouts) *Listener {
	return &Listener{net: l, cert: cert, key: key, silence: 500 * time.Millisecond, served: make(chan struct{}), server: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: t.header,
		ReadTimeout:       t.request,
		WriteTimeout:      t.answer,
		IdleTimeout:       t.idle,
		MaxHeaderBytes:    16 << 10,
		ConnContext:       withConnection,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 32, MaxReadFrameSize: 16 << 10, MaxReceiveBufferPerConnection: 256 << 10, MaxReceiveBufferPerStream: 128 << 10},
		ErrorLog:          slog.NewLogLogger(plainHandler{l.log.Handler()}, slog.LevelDebug),
	}}
}

// plainHandler drops the text of net/http's own errors, which can hold what a client
// sent.
type plainHandler struct{ slog.Handler }

func (h plainHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.Handler.Handle(ctx, slog.NewRecord(r.Time, r.Level, "a connection was dropped", r.PC))
}

// Addr is the address that is listened on, as host:port.
func (l *Listener) Addr() string { return l.net.Addr().String() }

// Dropped is how many connections were closed because too many were open.
func (l *Listener) Dropped() uint64 { return l.net.dropped.Load() }

// Serve answers until Shutdown. It is called once.
func (l *Listener) Serve() error {
	l.serving.Store(true)
	defer close(l.served)
	var err error
	if l.cert != "" {
		err = l.server.ServeTLS(l.net, l.cert, l.key)
	} else {
		err = l.server.Serve(l.net)
	}
	if errors.Is(err, http.ErrServerClosed) || l.ending.Load() {
		return nil
	}
	return err
}

// Shutdown accepts no more connections, and waits for the requests in progress until
// ctx ends. A connection that was not accepted yet may be reset.
// [http.Server.Shutdown] alone would drop requests whose head has not arrived yet.
func (l *Listener) Shutdown(ctx context.Context) {
	if l.serving.Load() {
		l.ending.Store(true)
		_ = l.net.Close() // Serve returns
		select {
		case <-l.served:
		case <-ctx.Done():
		}
		l.server.SetKeepAlivesEnabled(false)
		l.net.wait(ctx, l.silence)
	}
	if l.server.Shutdown(ctx) != nil {
		_ = l.server.Close()
	}
	_ = l.net.Close() // the server does so if it has served
}
