package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
)

// proxyError is what went wrong on the way through a proxy. It names the variable
// that says which, and the proxy's host and port; never its credentials, nor what
// it sent.
type proxyError struct {
	variable string
	proxy    *url.URL // nil: the variable's value is no URL
	err      error    // may be nil
}

func (e *proxyError) Error() string {
	if e.proxy == nil {
		return e.variable + " is no URL"
	}
	return "through the proxy " + receiver(e.proxy) + " (" + e.variable + ")"
}

func (e *proxyError) Unwrap() error { return e.err }

// refusedByProxy is the status that a proxy answered with in place of connecting.
type refusedByProxy int

func (e refusedByProxy) Error() string { return "the proxy answers " + statusText(int(e), "") }

// proxyVariable is the variable that names the proxy for a scheme, as
// golang.org/x/net/http/httpproxy looks for it.
func proxyVariable(scheme string) string {
	upper, lower := "HTTPS_PROXY", "https_proxy"
	if scheme == "http" {
		upper, lower = "HTTP_PROXY", "http_proxy"
	}
	if os.Getenv(upper) == "" && os.Getenv(lower) != "" {
		return lower
	}
	return upper
}

// onConnect is a transport's OnProxyConnectResponse.
func onConnect(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		return refusedByProxy(res.StatusCode)
	}
	return nil
}

// proxyText says what went wrong on the way to a proxy; "" if it was behind it.
func proxyText(err error) string {
	var refused refusedByProxy
	var op *net.OpError
	var dns *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &refused):
		return refused.Error()
	case !errors.As(err, &op) || op.Op != "proxyconnect":
		return ""
	case errors.As(err, &dns):
		return "the proxy cannot be reached: no such host"
	case errors.As(err, &record):
		return "the proxy does not speak TLS: is its URL https:// by mistake?"
	}
	return "the proxy cannot be reached: " + rootText(op.Err)
}
