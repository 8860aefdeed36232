package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// embedded is a nats-server in this process that nobody outside can reach.
type embedded struct {
	server *server.Server
	lock   *os.File
}

func startEmbedded(opt Options) (*embedded, error) {
	lock, err := lockDir(opt.Dir)
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(&server.Options{
		ServerName:         "relay",
		DontListen:         true,
		JetStream:          true,
		JetStreamMaxMemory: 1 << 20,
		// The streams' own limits are the budget. The server's would also count
		// what streams on disk reserved when their limits were higher.
		JetStreamMaxStore: 1 << 50,
		StoreDir:          opt.Dir,
		SyncAlways:        !opt.Interval,
		SyncInterval:      time.Second, // without SyncAlways
		MaxPayload:        int32(opt.maxPayload()),
		MaxPending:        int64(4 * opt.maxPayload()),
		NoSigs:            true,
	})
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("start the embedded NATS server: %w", err)
	}
	s.SetLoggerV2(serverLog{opt.Log.With("component", "nats")}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(20*time.Second) || !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		lock.Close()
		return nil, fmt.Errorf("start the embedded NATS server in %s: not ready (its log lines above say why)", opt.Dir)
	}
	return &embedded{s, lock}, nil
}

func (e *embedded) stop() {
	e.server.Shutdown()
	e.server.WaitForShutdown()
	e.lock.Close() // releases the lock
}

// lockDir makes sure that this is the only relay on the directory: the server
// takes no lock of its own, and two on one directory corrupt it.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("close the data directory to others: %w", err)
	}
	path := filepath.Join(dir, "LOCK")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path)
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data directory %s is in use by another relay (%s): stop that one, or choose another directory with --data", dir, strings.TrimSpace(string(holder)))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := f.Truncate(0); err == nil {
		host, _ := os.Hostname()
		_, _ = fmt.Fprintf(f, "pid %d on %s since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	}
	return f, nil
}

// serverLog routes the server's log to ours. Its notices are details here.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "Maximum payloads over") {
		return // GitLab's webhooks may be that large
	}
	l.log.Warn(fmt.Sprintf(format, v...))
}

func (l serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(string, ...any)           {}
func (l serverLog) Tracef(string, ...any)           {}
func (l serverLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l serverLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
