package main

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSize(t *testing.T) {
	for in, want := range map[string]size{
		"1": 1, "1B": 1, "700KiB": 700 << 10, "25MiB": 25 << 20, "25 MiB": 25 << 20, "1GiB": 1 << 30, "1536": 1536, "4611686018427387904": 1 << 62,
	} {
		var got size
		if err := got.Set(in); err != nil || got != want {
			t.Errorf("Set(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "0", "-1", "-1MiB", "1.5GiB", "25MB", "25M", "GiB", "MiB 25", "1e6", "0x10", "1_000", "٣MiB", "9223372036854775808", "4611686018427387905", "8589934592GiB", "1GiBB",
	} {
		got := size(7)
		if err := got.Set(in); err == nil {
			t.Errorf("Set(%q) = %d, want an error", in, got)
		} else if got != 7 {
			t.Errorf("Set(%q) failed and changed the size to %d", in, got)
		}
	}
}

func TestSizeString(t *testing.T) {
	for in, want := range map[size]string{0: "0", 1: "1B", 1023: "1023B", 1 << 10: "1KiB", 1536: "1536B", 25 << 20: "25MiB", 1 << 30: "1GiB", 3 << 30: "3GiB"} {
		if got := in.String(); got != want {
			t.Errorf("%d prints %q, want %q", int64(in), got, want)
		}
	}
}

// TestSizeRoundTrip: what a size prints is what sets it.
func TestSizeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := size(rapid.Int64Range(1, 1<<62).Draw(t, "size"))
		var got size
		if err := got.Set(want.String()); err != nil || got != want {
			t.Fatalf("%d prints %q, which sets %d, %v", int64(want), want, got, err)
		}
	})
}
