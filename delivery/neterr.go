package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"syscall"
)

// rootText is the operating system's word for what failed: the errors above it
// may name addresses.
func rootText(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no.Error()
	}
	return "network error"
}

func certificate(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host)
}
