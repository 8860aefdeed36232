package delivery

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
)

// NewRoundTripper makes what reaches a service that is not a chat server. It
// connects as destinations do: only where egress allows, through the proxies that
// the environment names, and trusting the certificates of caFile in place of the
// system's, unless that is empty. It follows no redirects; a client around it must
// not either (http.ErrUseLastResponse).
func NewRoundTripper(caFile, egress string) (http.RoundTripper, error) {
	if caFile == "" {
		return newTransport(nil, egress).connections(), nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s holds no certificate in PEM form", caFile)
	}
	return newTransport(pool, egress).connections(), nil
}
