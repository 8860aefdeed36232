package main

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for in, want := range map[string]time.Duration{"0": 0, "90m": 90 * time.Minute, "72h": 72 * time.Hour, "1h30m": 90 * time.Minute, "3d": 72 * time.Hour, "-1h": -time.Hour} {
		var got span
		if err := got.Set(in); err != nil || time.Duration(got) != want {
			t.Errorf("Set(%q) = %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "d", "3 d", "3days", "1.5d", "-3d", "3", "65536d", "1d12h"} {
		got := span(7)
		if err := got.Set(in); err == nil || got != 7 {
			t.Errorf("Set(%q) = %s, %v; want an error", in, got, err)
		}
	}
}
