package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// embedded is a nats-server in this process that nobody outside can reach.
type embedded struct{ server *server.Server }

// startEmbedded starts the server; critical is called when it gives up writing.
func startEmbedded(opt Options, critical func(what string)) (*embedded, error) {
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
		return nil, fmt.Errorf("start the embedded NATS server: %w", err)
	}
	log := serverLog{opt.Log.With("component", "nats"), critical, new(atomic.Pointer[string])}
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	for begin := time.Now(); !s.ReadyForConnections(50*time.Millisecond) || !s.JetStreamEnabled(); {
		why := log.fatal.Load()
		if why == nil && time.Since(begin) < startTime {
			continue
		}
		s.Shutdown()
		s.WaitForShutdown()
		if why == nil {
			return nil, fmt.Errorf("start the embedded NATS server in %s: not ready after %s (its log lines above may say why)", opt.Dir, startTime)
		}
		return nil, fmt.Errorf("start the embedded NATS server in %s: %s; the directory and all in it must belong to the user that runs relay", opt.Dir, *why)
	}
	return &embedded{s}, nil
}

// startTime is how long the embedded server may take to be ready.
const startTime = 20 * time.Second

func (e *embedded) stop() {
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

// dirLock is the lock of the data directory.
type dirLock struct {
	path string
	file *os.File
}

// release gives the lock back. Without one it does nothing.
func (l *dirLock) release() {
	if l != nil {
		l.file.Close()
	}
}

// here tells whether the directory is still the one that was locked: a server
// goes on writing into files that were deleted.
func (l *dirLock) here() error {
	mine, err := l.file.Stat()
	if err != nil {
		return fmt.Errorf("look at the lock of the data directory: %w", err)
	}
	now, err := os.Stat(l.path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(mine, now) {
		return errors.New("the data directory was moved or deleted")
	}
	return nil // one that cannot be looked at says nothing
}

// lockDir makes sure that this is the only relay on the directory: the server
// takes no lock of its own, and two on one directory corrupt it.
func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	// One that belongs to another user cannot be closed; whoever chose it is told.
	if err := os.Chmod(dir, 0o700); err != nil && !errors.Is(err, os.ErrPermission) {
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
	return &dirLock{path, f}, nil
}

// serverLog routes the server's log to ours. Its notices are details here.
type serverLog struct {
	log      *slog.Logger
	critical func(what string)
	fatal    *atomic.Pointer[string] // why it does not start
}

// afterDeath are its warnings about an index that is older than the messages, as
// it is when the process was killed. It rebuilds the index.
var afterDeath = []string{"last block has additional entries", "Recovering stream state from index errored"}

func (l serverLog) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "Maximum payloads over") {
		return // GitLab's webhooks may be that large
	}
	for _, sign := range afterDeath {
		if strings.Contains(format, sign) {
			l.log.Info("the store was not closed in good order, as when a relay is killed; its index is rebuilt", "detail", fmt.Sprintf(format, v...))
			return
		}
	}
	l.line(slog.LevelWarn, format, v)
}

// line writes a line, and passes on what says that the server writes no more:
// no answer of it ever will.
func (l serverLog) line(level slog.Level, format string, v []any) {
	text := fmt.Sprintf(format, v...)
	l.log.Log(context.Background(), level, text)
	for _, sign := range []string{"Critical write error", "JetStream failed to store", "will be DISABLED", "disabling JetStream"} {
		if strings.Contains(text, sign) {
			l.critical(text)
			return
		}
	}
}

func (l serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(string, ...any)           {}
func (l serverLog) Tracef(string, ...any)           {}
func (l serverLog) Errorf(format string, v ...any)  { l.line(slog.LevelError, format, v) }
func (l serverLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.fatal.Store(&text)
	l.line(slog.LevelError, format, v)
}
