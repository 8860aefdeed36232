package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gitlab-mattermost/relay/queue"
)

// AdminOptions of the admin listener.
type AdminOptions struct {
	Relay    Relay
	Queue    *queue.Queue // nil: there are no pages of events
	Gatherer prometheus.Gatherer
	Log      *slog.Logger

	// Loopback says that the listener is reached from this machine only. On
	// any other address everything but /metrics, /healthz and /readyz wants
	// Token, and is not there without one.
	Loopback bool
	Token    string
}

// NewAdmin makes the admin handler: /metrics, /healthz (the process answers),
// /readyz (a webhook could be stored), POST /-/reload and /api/v1.
func NewAdmin(opt AdminOptions) http.Handler { return newAdmin(opt, newAPI(opt)) }

func newAdmin(opt AdminOptions, pages *api) http.Handler {
	e := newEngine(opt.Log)
	e.GET("/metrics", gin.WrapH(promhttp.HandlerFor(opt.Gatherer, promhttp.HandlerOpts{})))
	e.GET("/healthz", healthz)
	e.GET("/readyz", readyz(func(ctx context.Context) error {
		err := opt.Relay.Ready(ctx)
		if err != nil {
			opt.Log.Warn("not ready", "err", err)
		}
		return err
	}))
	guarded := e.Group("/", opt.guard)
	guarded.POST("/-/reload", func(c *gin.Context) {
		if err := opt.Relay.Reload(); err != nil {
			answerError(c, &refusal{status: http.StatusUnprocessableEntity, text: err.Error()})
			return
		}
		c.JSON(http.StatusOK, gin.H{"status": "reloaded"})
	})
	guarded.GET("/api/v1/config", func(c *gin.Context) { c.JSON(http.StatusOK, opt.Relay.Config()) })
	pages.register(guarded)
	whole := cleaned(e, opt.Relay.Clean)
	e.NoRoute(func(c *gin.Context) { answerError(c, &refusal{status: http.StatusNotFound, text: "no such page"}) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isBody(r.URL.Path) {
			e.ServeHTTP(w, r) // which is large, and cleans itself
			return
		}
		whole.ServeHTTP(w, r)
	})
}

// isBody tells of the page of an event's payload.
func isBody(page string) bool {
	return strings.HasPrefix(page, "/api/v1/events/") && strings.HasSuffix(page, "/body")
}

// guard refuses requests without the admin token, and those of web pages in an
// operator's browser, for everything but metrics and health.
func (opt *AdminOptions) guard(c *gin.Context) {
	switch {
	case opt.Token == "" && !opt.Loopback:
		answerError(c, &refusal{status: http.StatusForbidden, text: "set --admin-token-file to use this from other machines"})
	case opt.Token == "" && proxied(c.Request):
		c.Header("WWW-Authenticate", "Bearer")
		answerError(c, &refusal{status: http.StatusUnauthorized, text: "a proxy sent this, for whom nobody knows: start the relay with --admin-token-file and send that token as Authorization: Bearer"})
	case opt.Token != "" && !bearer(c.Request, opt.Token):
		c.Header("WWW-Authenticate", "Bearer")
		answerError(c, &refusal{status: http.StatusUnauthorized, text: "send the token of --admin-token-file as Authorization: Bearer"})
	case opt.Token == "" && !localHost(c.Request.Host):
		answerError(c, &refusal{status: http.StatusForbidden, text: "ask for this by a loopback address, such as 127.0.0.1"})
	case foreignOrigin(c.Request):
		answerError(c, &refusal{status: http.StatusForbidden, text: "this is not for pages of other sites"})
	}
}

// proxied tells whether a request shows signs of a proxy: then it may come from
// anywhere, although the proxy is on this machine.
func proxied(r *http.Request) bool {
	if !r.ProtoAtLeast(1, 1) {
		return true // nginx, where it is not told to add any header
	}
	for name := range r.Header {
		if proxyHeader.MatchString(strings.ReplaceAll(name, "_", "-")) {
			return true
		}
	}
	return false
}

// proxyHeader matches the headers by which proxies and content delivery networks
// tell whom they speak for, or that they do. Programs and browsers that ask by
// themselves send none of them.
var proxyHeader = regexp.MustCompile(`^(?i:Via|Forwarded|Proxy-Connection|X-Scheme|X-Host|X-Rewrite-Url` +
	`|X-(?:Forwarded|Original|Envoy|Nginx|Azure|Amzn|Amz-Cf|Appengine).*|(?:Cf|Cdn|Fly|Fastly|Tailscale)-.*|.*(?:Client|Real|User)-?Ip)$`)

func bearer(r *http.Request, token string) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && ok
}

// localHost tells whether a Host header names this machine; anything else on a
// loopback listener is a page that had its name resolved to it.
func localHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// foreignOrigin tells whether a browser asks for another site's page, or for one
// of another port of this site.
func foreignOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host != r.Host
}
