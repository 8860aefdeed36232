package queue

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// image makes a file system of its own in a file and mounts it, as a disk that
// can fail.
func image(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	file, disk := filepath.Join(dir, "image"), filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 96<<20); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range [][]string{{"mkfs.ext4", "-q", "-F", file}, {"mount", "-o", "loop", file, disk}} {
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			t.Skipf("a disk that fails takes a loop mount: %v: %s", err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", disk).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return disk
}

// freeze stops all writes to a file system until thaw.
func freeze(t *testing.T, disk string) (thaw func()) {
	t.Helper()
	const fifreeze, fithaw = 0xC0045877, 0xC0045878 // linux/fs.h
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	call := func(request uintptr) error {
		arg := int32(0)
		if _, _, no := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(&arg))); no != 0 {
			return no
		}
		return nil
	}
	if err := call(fifreeze); err != nil {
		f.Close()
		t.Skipf("a disk that hangs takes the right to freeze it: %v", err)
	}
	frozen := true
	thaw = func() {
		if frozen {
			frozen = false
			if err := call(fithaw); err != nil {
				t.Errorf("thaw: %v", err)
			}
			f.Close()
		}
	}
	t.Cleanup(thaw)
	return thaw
}

// A disk that answers nothing for a while: webhooks are refused, and when it
// answers again all goes on.
func TestDiskThatHangs(t *testing.T) {
	t.Parallel()
	disk := image(t)
	q := open(t, Options{Dir: filepath.Join(disk, "data")})
	before := store(t, q, `{"before":true}`)
	thaw := freeze(t, disk)
	first := make(chan error, 1)
	go func() {
		_, err := q.Store(t.Context(), hook(`{"unanswered":true}`))
		first <- err
	}()
	took := eventually(t, 4*time.Second, func() error {
		if _, no := q.refuses(); no == nil {
			return errors.New("nobody has noticed")
		}
		return nil
	})
	if err := <-first; !errors.Is(err, ErrDown) {
		t.Errorf("what waited: %v", err)
	}
	thaw()
	healed := eventually(t, 5*time.Second, func() error {
		_, err := q.Store(t.Context(), hook(`{"after":true}`))
		return err
	})
	t.Logf("noticed after %s, available again after %s", took, healed)
	q.onlyOnce(t, Events)
	if e := next(t, q, before.Seq); string(e.Webhooks[0].Body) != `{"unanswered":true}` {
		t.Errorf("behind the first stands %s", e.Webhooks[0].Body)
	}
}

// The disk fails for good: everything is refused, what was accepted is there
// when the disk is.
func TestDiskThatFailsForGood(t *testing.T) {
	disk := image(t)
	q := open(t, Options{Dir: filepath.Join(disk, "data")})
	id := store(t, q, `{"before":true}`)
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const shutdown, noLogFlush = 0x8004587D, 2 // EXT4_IOC_SHUTDOWN: fails all that comes
	flags := uint32(noLogFlush)
	if _, _, no := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&flags))); no != 0 {
		t.Skipf("a disk that fails takes the right to fail it: %v", no)
	}
	go func() { _, _ = q.Store(t.Context(), hook(`{}`)) }()
	took := eventually(t, 4*time.Second, func() error {
		if _, no := q.refuses(); no == nil {
			return errors.New("nobody has noticed")
		}
		return nil
	})
	t.Logf("noticed after %s", took)
	if _, err := q.Store(t.Context(), hook(`{}`)); !errors.Is(err, ErrDown) {
		t.Errorf("stored: %v", err)
	}
	if err := q.Ready(t.Context()); !errors.Is(err, ErrDown) {
		t.Errorf("ready: %v", err)
	}
	q.Close()
	f.Close()
	for _, cmd := range [][]string{{"umount", disk}, {"mount", "-o", "loop", filepath.Join(filepath.Dir(disk), "image"), disk}} {
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", cmd, err, out)
		}
	}
	q = open(t, Options{Dir: filepath.Join(disk, "data")})
	if e := next(t, q, 0); e.Seq != id.Seq || string(e.Webhooks[0].Body) != `{"before":true}` {
		t.Errorf("what was accepted: %d %s", e.Seq, e.Webhooks[0].Body)
	}
}

// Somebody moves the data directory away under the relay: nothing is accepted
// into files that nobody will find.
func TestDataDirectoryThatIsMoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	q := open(t, Options{Dir: dir})
	store(t, q, `{}`)
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 4*time.Second, func() error {
		if _, err := q.Store(t.Context(), hook(`{}`)); !errors.Is(err, ErrDown) {
			return errors.New("it is accepted")
		}
		return nil
	})
	if err := os.Rename(dir+".old", dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, func() error {
		_, err := q.Store(t.Context(), hook(`{}`))
		return err
	})
}
