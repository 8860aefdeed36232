package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestOrdinary: values of variables that are plain words are no secrets.
func TestOrdinary(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"STAGE", "dev", true}, {"CLUSTER", "production-eu", true}, {"TEAM", "acme/backend", true}, {"TITLE", "Deploys of Berlin", true},
		{"CHAT_HOST", "chat.example.com", true}, {"CHAT", "https://chat.example:8065", true}, {"PORT", "8080", true}, {"REGION", "eu-west-1", true},
		{"DB_PASSWORD", "hunter", false}, {"GITLAB_TOKEN", "abc", false}, {"API_KEY", "production", false},
		{"MM_URL", "https://chat.example/hooks/kanarie", false}, {"X", "https://u:p@chat.example", false}, {"X", "nx4kq81bzt", false},
		{"X", "glpat-AbCdEfGhIjKl", false}, {"X", "kXqZtRvbNm", false}, {"X", "whsec_MDEyMzQ1", false}, {"X", strings.Repeat("a", 30), false}, {"X", "1234567890", false},
	} {
		if got := ordinary(c.name, c.value); got != c.want {
			t.Errorf("%s=%s: %v", c.name, c.value, got)
		}
	}
}

// TestVariables: what the environment gave to relay.yaml is known at once.
func TestVariables(t *testing.T) {
	a := &app{env: environment(map[string]string{"DB_PASSWORD": "s3cr3t-kanarie", "STAGE": "production"})}
	env := a.variables()
	env("DB_PASSWORD")
	env("STAGE")
	if got := a.secrets.clean("s3cr3t-kanarie in production"); got != "[redacted] in production" {
		t.Error(got)
	}
}

// TestCleanForms: a secret is found in whatever form a page or command prints it,
// also where it is printed in pieces.
func TestCleanForms(t *testing.T) {
	const secret = `kanarie<"&'>\kanarie`
	r := &redactor{}
	r.add(secret)
	html, _ := json.Marshal(secret)
	var x bytes.Buffer
	_ = xml.EscapeText(&x, []byte(secret))
	for _, text := range []string{secret, string(html), x.String(), fmt.Sprintf("%q", secret)} {
		var out strings.Builder
		w := &cleanWriter{out: &out, r: r}
		for _, c := range []byte("a " + text + " b\nc " + text) {
			if _, err := w.Write([]byte{c}); err != nil {
				t.Fatal(err)
			}
		}
		w.flush()
		if got := out.String(); strings.Contains(got, "kanarie") || !strings.HasPrefix(got, "a ") || strings.Count(got, "[redacted]") != 2 {
			t.Errorf("%s: %s", text, got)
		}
	}
	if uncleaned(&cleanWriter{out: io.Discard}) != io.Discard || uncleaned(io.Discard) != io.Discard {
		t.Error("a writer is lost")
	}
}
