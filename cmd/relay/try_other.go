//go:build !linux

package main

import "time"

// Elsewhere the process is bounded by what the Go runtime keeps to.
func limitMemory(uint64) error     { return nil }
func limitCPU(time.Duration) error { return nil }
