package delivery

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gitlab-mattermost/relay/configs"
)

// TestProxyErrors: what goes wrong on the way through a proxy names the variable
// and the proxy's host, and none of its credentials.
func TestProxyErrors(t *testing.T) {
	t.Setenv("HTTP_PROXY", "")
	t.Setenv("http_proxy", "set")
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusProxyAuthRequired
		if r.Method == http.MethodConnect {
			status = http.StatusForbidden
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "words of the proxy")
	}))
	defer refusing.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	at := func(server *httptest.Server) string { return strings.TrimPrefix(server.URL, "http://") }
	for _, tt := range []struct{ name, proxy, to, want string }{
		{"refused by a proxy", at(refusing), "https://chat.invalid/hooks/x", "the proxy answers 403 Forbidden, through the proxy " + at(refusing) + " (HTTPS_PROXY)"},
		{"password wanted", at(refusing), "http://chat.invalid/hooks/x", "the proxy answers 407 Proxy Authentication Required, through the proxy " + at(refusing) + " (http_proxy)"},
		{"nobody there", at(gone), "https://chat.invalid/hooks/x", "the proxy cannot be reached: connection refused, through the proxy " + at(gone) + " (HTTPS_PROXY)"},
		{"no such host", "proxy.invalid:3128", "https://chat.invalid/hooks/x", "the proxy cannot be reached: no such host, through the proxy proxy.invalid:3128 (HTTPS_PROXY)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := destinationAt(t, tt.to, "", configs.EgressPrivate)
			own := newTransport(nil, configs.EgressPrivate)
			defer own.CloseIdleConnections()
			own.connections().proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: tt.proxy, User: url.UserPassword("someone", "canary")})
			own.connections().proxied.Proxy = own.connections().proxy
			d.transport = own
			r := post(t.Context(), d, []byte("{}"))
			if r.verdict != Retry || r.text != tt.want {
				t.Errorf("%q, want %q", r.text, tt.want)
			}
		})
	}
}
