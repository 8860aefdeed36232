//go:build profile

package main

import (
	"net/http"
	_ "net/http/pprof" // on the default mux, which nothing else here serves
	"os"
)

// A binary built with the tag serves Go's profiles where PPROF_LISTEN says. The
// one that is shipped has no such listener.
func init() {
	if address := os.Getenv("PPROF_LISTEN"); address != "" {
		go func() { _ = http.ListenAndServe(address, nil) }()
	}
}
