package main

import (
	"net"
	"os"
	"strings"
	"testing"
)

func TestPublicHost(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"127.0.0.1:8080":   "127.0.0.1:8080",
		"192.0.2.7:80":     "192.0.2.7:80",
		"[::1]:8080":       "[::1]:8080",
		"[2001:db8::7]:80": "[2001:db8::7]:80",
		"0.0.0.0:8080":     net.JoinHostPort(name, "8080"),
		"[::]:8080":        net.JoinHostPort(name, "8080"),
		"nonsense":         "nonsense",
	} {
		if got := publicHost(in); got != want {
			t.Errorf("publicHost(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSecretPlace(t *testing.T) {
	variables := map[string]string{"RELAY_TOKEN": "canary-of-the-token"}
	const key = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	tests := []struct{ name, sources, want string }{
		{"token", "sources: {a: {token: canary}}", "Secret token: the token of source a"},
		{"signing key", "sources: {a: {signing_key: " + key + "}}", "Signing token: the signing_key of source a"},
		{"both", "sources: {a: {token: canary, signing_key: " + key + "}}", "Secret token: the token of source a"},
		{"both, signature required", "sources: {a: {token: canary, signing_key: " + key + ", require: signature}}", "Signing token: the signing_key of source a"},
		{"basic", "sources: {a: {basic: {username: u, password: canary}}}", "Secret token: none; the URL needs user name and password, the basic of source a"},
		{"insecure", "sources: {a: {insecure: true}}", "Secret token: none (insecure: true)"},
		{"environment", "", "Secret token: the value of RELAY_TOKEN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := loadText(t, tt.sources+"\ndestinations: {screen: {kind: log}}\nroutes: [{to: screen}]\n", variables)
			got := secretPlace(c.Sources[0])
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if strings.Contains(got, "canary") || strings.Contains(got, key) {
				t.Error("it tells the secret")
			}
		})
	}
}
