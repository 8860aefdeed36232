package delivery

import (
	"crypto/tls"
	"io"
	"log"
)

var discardLog = log.New(io.Discard, "", 0)

// oldTLS is what no client should speak any more.
func oldTLS() *tls.Config { return &tls.Config{MaxVersion: tls.VersionTLS11} }
