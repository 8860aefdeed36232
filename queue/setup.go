package queue

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// openPatience is how long Open waits for a server that is there and cannot keep
// streams yet: a cluster that is being started.
const openPatience = 30 * time.Second

// Error codes of nats-server (server/errors.json) that the client has no names
// for.
const (
	errCodeNoPeers       = 10005 // too few servers for the copies
	errCodeInProcess     = 10158 // an earlier try of the same message is being stored
	errCodeNotClustered  = 10074 // more than one copy on a server that is alone
	errCodeNoResources   = 10023 // the server's limits
	errCodeAccountLimits = 10002 // the account's limits
	errCodeStreamLimit   = 10027 // number of streams
	errCodeStreamBytes   = 10122 // the account's limit for one stream
)

// externalStream creates a stream, or brings its limits up to date, beside
// other relays that do the same.
func (q *Queue) externalStream(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, openPatience, fmt.Errorf("no answer within %s", openPatience))
	defer cancel()
	var s jetstream.Stream
	err := q.ask(ctx, "stream "+c.Name, func(ctx context.Context) (err error) {
		s, err = q.js.Stream(ctx, c.Name)
		switch {
		case errors.Is(err, nats.ErrNoResponders) && q.only.nc.ConnectedClusterName() == "":
			return explained(err) // no others that could answer later
		case errors.Is(err, jetstream.ErrStreamNotFound):
			s, err = q.js.CreateStream(ctx, c)
			if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
				s, err = q.js.Stream(ctx, c.Name) // another relay was quicker
			}
			return err
		case err != nil:
			return err
		}
		present := s.CachedInfo().Config
		if present.Replicas > c.Replicas {
			return &replicasError{c.Name, present.Replicas, c.Replicas}
		}
		if present.Replicas == c.Replicas && present.MaxBytes == c.MaxBytes && present.AllowDirect == c.AllowDirect && present.Duplicates == c.Duplicates && present.Discard == c.Discard {
			return nil
		}
		s, err = q.js.UpdateStream(ctx, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", c.Name, explained(err))
	}
	return patient{s, q, c.Name}, nil
}

// replicasError: another relay, or an operator, wanted more copies than this
// one was told to keep. A flag that was forgotten must not throw copies away.
type replicasError struct {
	stream        string
	present, flag int
}

func (e *replicasError) Error() string {
	return fmt.Sprintf("it has %d copies and --replicas says %d: give every relay --replicas %d; to have fewer, lower it at the server first (nats stream edit %s --replicas %d)", e.present, e.flag, e.present, e.stream, e.flag)
}

func (e *replicasError) Is(target error) bool { return target == ErrSetup }

// ErrSetup: the external server is there but is not set up for a relay; the
// error says what to change.
var ErrSetup = errors.New("the NATS server is not set up for a relay")

// setupError says what to change about the server.
type setupError struct {
	err    error
	advice string
}

func (e *setupError) Error() string        { return e.err.Error() + ": " + e.advice }
func (e *setupError) Unwrap() error        { return e.err }
func (e *setupError) Is(target error) bool { return target == ErrSetup }

// tlsAdvice says what to do about certificates that one side does not take; "" when
// they are not to blame.
func tlsAdvice(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "no authority that is trusted here has signed its certificate; --nats-ca names a file with the one that has"
	case errors.As(err, &name):
		return "--nats-url must name it as its certificate does"
	case errors.As(err, &invalid):
		return "its certificate has expired, or was not made for a server"
	case strings.Contains(err.Error(), "remote error: tls: "), errors.Is(err, nats.ErrSecureConnRequired), strings.Contains(err.Error(), "nats: tls error: connection closed by remote"):
		return "it does not take the certificate of this relay, or wants one; --nats-cert and --nats-key name it"
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "it speaks no TLS: --nats-url begins with tls://, or --nats-ca or --nats-cert ask for it"
	}
	return ""
}

// explained adds to what a server says no with what to do about it.
func explained(err error) error {
	if errors.Is(err, ErrSetup) {
		return err
	}
	var denied *deniedError
	if errors.As(err, &denied) {
		return &setupError{err, "the account lacks permissions; docs/scaling.md lists those that a relay needs"}
	}
	if errors.Is(err, nats.ErrAuthorization) {
		return &setupError{err, "it refuses the credentials in --nats-creds, or in --nats-url"}
	}
	if advice := tlsAdvice(err); advice != "" {
		return &setupError{err, advice}
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		if errors.Is(err, nats.ErrNoResponders) {
			return &setupError{err, "nobody answers for JetStream: it is off (add jetstream {} to the server's configuration), or the cluster has no quorum"}
		}
		return err
	}
	switch api.ErrorCode {
	case jetstream.JSErrCodeJetStreamNotEnabled:
		return &setupError{err, "add jetstream {} to the server's configuration"}
	case jetstream.JSErrCodeJetStreamNotEnabledForAccount:
		return &setupError{err, "switch it on for the account of these credentials"}
	case errCodeNotClustered:
		return &setupError{err, "this server is alone: use --replicas 1, or a cluster"}
	case errCodeNoPeers:
		return &setupError{err, "too few servers with JetStream and room for --replicas are up"}
	case errCodeNoResources, errCodeNoStorage, errCodeAccountLimits, errCodeStreamBytes:
		return &setupError{err, "the server or the account allows less storage than --events-size, --parked-size, --dead-size and --journal-size ask for together"}
	case errCodeStreamLimit:
		return &setupError{err, "a relay needs four streams"}
	}
	return err
}
