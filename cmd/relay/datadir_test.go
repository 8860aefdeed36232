package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// TestDataDirOfAnother: a volume of root's that the process may write to by its
// group, as Kubernetes mounts it with fsGroup.
func TestDataDirOfAnother(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a directory to somebody else")
	}
	const user, group = 54321, 54322
	for _, tt := range []struct {
		name, store, want string // where a store is, below the volume; what is said
	}{
		{"empty", "", `"msg":"the data directory \S+ belongs to another user and cannot be closed to others; the queue is in \S+/volume/relay"`},
		{"with a store", "jetstream", `"msg":"the data directory \S+ belongs to another user and cannot be closed to others: who may read it`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top, err := os.MkdirTemp("/tmp", "relay-volume-") // t.TempDir is closed to others
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(top) })
			volume := filepath.Join(top, "volume")
			for _, err := range []error{
				os.Chmod(top, 0o755), os.Mkdir(volume, 0o700), os.Chown(volume, 0, group), os.Chmod(volume, os.ModeSetgid|0o775),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if tt.store != "" {
				path := filepath.Join(volume, tt.store)
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.Chown(path, user, group); err != nil {
					t.Fatal(err)
				}
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			binary := filepath.Join(top, "relay") // testscript's main goes by this name
			text, err := os.ReadFile(self)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(binary, text, 0o755); err != nil {
				t.Fatal(err)
			}
			log := filepath.Join(top, "log")
			out, err := os.Create(log)
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			for range 2 { // the second start finds what the first one made
				cmd := exec.Command(binary, "serve", "--data", volume, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json")
				cmd.Dir, cmd.Stderr = top, out
				cmd.Env = []string{"RELAY_DESTINATION=http://127.0.0.1:1/hooks/x", "RELAY_TOKEN=token-of-the-gitlab"}
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: group}}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- cmd.Wait() }()
				waitFor(t, log, `"msg":"listening"`, ended)
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if text, err := os.ReadFile(log); err != nil || !regexp.MustCompile(tt.want).Match(text) {
					t.Errorf("the log does not hold %s:\n%s", tt.want, text)
				}
				if err := os.Truncate(log, 0); err != nil {
					t.Fatal(err)
				}
				if _, err := out.Seek(0, 0); err != nil {
					t.Fatal(err)
				}
				tt.want = `"msg":"listening"`
			}
			closed := filepath.Join(volume, ownDataDir)
			if tt.store != "" {
				closed = filepath.Join(volume, tt.store)
			}
			if info, err := os.Stat(closed); err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %v %v", closed, info, err)
			}
		})
	}
}

// waitFor waits until a file holds a text, or the process that writes it has ended.
func waitFor(t *testing.T, path, pattern string, ended <-chan error) {
	t.Helper()
	deadline := time.After(patience)
	for {
		if text, _ := os.ReadFile(path); regexp.MustCompile(pattern).Match(text) {
			return
		}
		select {
		case err := <-ended:
			text, _ := os.ReadFile(path)
			t.Fatalf("it ended: %v\n%s", err, text)
		case <-deadline:
			t.Fatal("it does not listen")
		case <-time.After(5 * time.Millisecond):
		}
	}
}
