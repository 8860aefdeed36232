package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

type standing struct{}

func (standing) Error() string    { return "dispatch has been at a standstill for 12s" }
func (standing) NotReady() string { return "dispatch is at a standstill" }

func TestReadySaysWhat(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.New("a secret path"), "not ready: the queue cannot store"},
		{fmt.Errorf("look: %w", standing{}), "not ready: dispatch is at a standstill"},
	} {
		do := admin(AdminOptions{Relay: &standIn{ready: tt.err}})
		if w := do(http.MethodGet, "/readyz"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), tt.want) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%v: %d %s, want %q", tt.err, w.Code, w.Body, tt.want)
		}
	}
}
