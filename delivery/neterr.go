package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
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

// notTLS says that what was asked for TLS answered otherwise; a web server that
// speaks plain HTTP does so in words (crypto/tls names them for this).
func notTLS(to *url.URL, record tls.RecordHeaderError) string {
	if string(record.RecordHeader[:]) == "HTTP/" {
		return receiver(to) + " answers plain HTTP: is its URL https:// by mistake?"
	}
	return receiver(to) + " does not answer in TLS: is its URL https:// by mistake?"
}

// certificateText is what is wrong with a server's certificate, of which it
// tells nothing else; empty if that is not what failed.
func certificateText(err error) string {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	switch {
	case errors.As(err, &host):
		return "is for another host name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "has expired, or is not valid yet"
	case errors.As(err, &authority):
		return "is not signed by an authority that is known here; ca_file can name one"
	case errors.As(err, &verification), errors.As(err, &invalid):
		return "is not trusted"
	}
	return ""
}
