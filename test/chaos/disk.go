package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// smallDisk is a file system of a few MiB, with a ballast that fills it.
type smallDisk struct{ dir, ballast string }

// smallDisk mounts one where the relay's data will be. It is unmounted when the
// rig is closed. Where mounting is not permitted the error is errSkip.
func (r *rig) smallDisk(size int) (*smallDisk, error) {
	return r.mountSmall(filepath.Join(r.dir, "data"), size)
}

func (r *rig) mountSmall(dir string, size int) (*smallDisk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mount a small disk: %w", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		return nil, notMounted(err)
	}
	r.cleanup = append(r.cleanup, func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return &smallDisk{dir, filepath.Join(dir, "ballast")}, nil
}

// notMounted is errSkip where mounting is not permitted.
func notMounted(err error) error {
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: mounting is not permitted here", errSkip)
	}
	return fmt.Errorf("mount a small disk: %w", err)
}

// fill leaves not one free block.
func (d *smallDisk) fill() error {
	f, err := os.Create(d.ballast)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	defer f.Close()
	for _, block := range []int{1 << 20, 4 << 10} {
		for {
			if _, err = f.Write(make([]byte, block)); err != nil {
				break
			}
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("fill the disk: %w", err)
	}
	return nil
}

// empty takes the ballast away.
func (d *smallDisk) empty() { _ = os.Remove(d.ballast) }
