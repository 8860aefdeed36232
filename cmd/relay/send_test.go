package main

import "testing"

// TestOnThisMachine: a token that nobody named leaves this machine for none of these.
func TestOnThisMachine(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true,
		"": false, "localhost.example": false, "127.0.0.1.example": false, "10.0.0.1": false, "0.0.0.0": false, "relay": false,
	} {
		if got := onThisMachine(host); got != want {
			t.Errorf("%q: %t, want %t", host, got, want)
		}
	}
}
