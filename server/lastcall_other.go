//go:build !linux

package server

import (
	"errors"
	"net"
)

// noMore does nothing here: who comes while the listener is being closed may be
// reset in place of refused.
func noMore(*net.TCPListener) error { return errors.ErrUnsupported }
