package main

import (
	"syscall"
	"time"
)

// limitMemory bounds this process's address space, in bytes.
func limitMemory(most uint64) error { return limit(syscall.RLIMIT_AS, most) }

// limitCPU bounds the processor time that this process may take from now on; then
// the system ends it.
func limitCPU(most time.Duration) error {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return err
	}
	const rounded = 2 // both times were rounded down
	return limit(syscall.RLIMIT_CPU, uint64(used.Utime.Sec+used.Stime.Sec)+rounded+uint64(most/time.Second))
}

// limit sets the limit that a process may raise again.
func limit(resource int, most uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(resource, &l); err != nil {
		return err
	}
	l.Cur = min(most, l.Max)
	return syscall.Setrlimit(resource, &l)
}
