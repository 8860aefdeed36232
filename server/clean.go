package server

import (
	"bytes"
	"net/http"
)

// cleaned removes secrets from the answers of a handler and from their headers. It
// buffers the whole answer, so that a secret is found even across two writes.
func cleaned(h http.Handler, clean func(string) string) http.Handler {
	if clean == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Accept-Encoding") // secrets are not found in compressed text
		held := &heldAnswer{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(held, r)
		for name, values := range w.Header() {
			for i, v := range values {
				w.Header()[name][i] = clean(v)
			}
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(held.status)
		_, _ = w.Write([]byte(clean(held.text.String()))) // if it fails, the client is gone
	})
}

// heldAnswer is an answer that is not sent yet.
type heldAnswer struct {
	http.ResponseWriter
	status int
	text   bytes.Buffer
}

func (a *heldAnswer) WriteHeader(status int) { a.status = status }

func (a *heldAnswer) Write(text []byte) (int, error) { return a.text.Write(text) }
