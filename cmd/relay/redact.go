package main

import (
	"bytes"
	"io"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/gitlab-mattermost/relay/configs"
)

// variables is the environment for relay.yaml: the redactor learns what it hands
// out before anybody can print that.
func (a *app) variables() configs.Env {
	return func(name string) (string, bool) {
		value, set := a.env(name)
		if set && !ordinary(name, value) {
			a.secrets.add(value, strings.TrimSpace(value))
		}
		return value, set
	}
}

var (
	secretName = regexp.MustCompile(`(?i)token|secret|passw|passphrase|key|cred|auth|private|hook`)
	anyWord    = regexp.MustCompile(`[\pL\pN]+`)
	plainWord  = regexp.MustCompile(`^(\pL?\p{Ll}*|\p{Lu}+|\pN{1,5})$`)
)

// ordinary tells whether the value of a variable is no secret by its look, so that
// pages and logs may show it: it consists of words and short numbers, as
// "acme/backend", "production-eu" and "https://chat.example:8065" do. A variable
// whose name speaks of a secret never is, nor is a URL with a path: an incoming
// webhook has one.
func ordinary(name, value string) bool {
	if secretName.MatchString(name) {
		return false
	}
	if u, err := url.Parse(strings.TrimSpace(value)); err == nil && u.Host != "" && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil) {
		return false
	}
	for _, word := range anyWord.FindAllString(value, -1) {
		if len(word) > 3 && !plainWord.MatchString(word) || len(word) > 24 {
			return false
		}
	}
	return true
}

// cleanWriter takes secrets out of what a command prints. It writes whole lines,
// so that none stands across two of them, and what is left at flush.
type cleanWriter struct {
	out io.Writer
	r   *redactor

	mu   sync.Mutex
	line []byte // not ended yet
}

func (w *cleanWriter) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.line = append(w.line, text...)
	end := bytes.LastIndexByte(w.line, '\n') + 1
	if end == 0 {
		return len(text), nil
	}
	err := w.print(w.line[:end])
	w.line = append(w.line[:0], w.line[end:]...)
	return len(text), err
}

func (w *cleanWriter) print(text []byte) error {
	_, err := io.WriteString(w.out, w.r.clean(string(text)))
	return err
}

func (w *cleanWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.print(w.line) // there is nobody to tell
	w.line = nil
}

// uncleaned is where a writer prints in the end.
func uncleaned(w io.Writer) io.Writer {
	if c, ok := w.(*cleanWriter); ok {
		return c.out
	}
	return w
}
