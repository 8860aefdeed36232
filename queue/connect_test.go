package queue

import (
	"strings"
	"testing"
)

// A password that is not percent-encoded makes the URL unreadable, and the
// parser's own error quotes all of it.
func TestPasswordIsNotInTheError(t *testing.T) {
	for _, url := range []string{
		"nats://relay:canary%zz@127.0.0.1:1",
		"nats://relay:%canary@127.0.0.1:1",
		"nats://relay:canary@127.0.0.1:port",
		"nats://relay:canary@127.0.0.1:1", // refused
		"nats://127.0.0.1:1,nats://relay:%canary@127.0.0.1:1",
	} {
		_, err := Open(t.Context(), Options{URL: url})
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error is %v", url, err)
		}
	}
}
