package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gitlab-mattermost/relay/queue"
)

// Who is refused sees why, also if it looks for an answer only after it has sent
// all of its body, as GitLab does.
func TestRefusalIsSeenAfterTheBody(t *testing.T) {
	const maxBody = 8 << 20
	full := storeFunc(func(context.Context, *queue.Webhook) (queue.ID, error) { return queue.ID{}, queue.ErrFull })
	for name, c := range map[string]struct {
		head   string
		token  string
		length int
		status int
	}{
		"no room":                      {"POST /hooks/gitlab", token, maxBody, http.StatusServiceUnavailable},
		"too large":                    {"POST /hooks/gitlab", token, maxBody * 3 / 2, http.StatusRequestEntityTooLarge},
		"compressed":                   {"POST /hooks/gitlab", token, maxBody, http.StatusUnsupportedMediaType},
		"not verified":                 {"POST /hooks/gitlab", "wrong", 1 << 20, http.StatusUnauthorized},
		"nobody's path":                {"POST /hooks/other", token, 1 << 20, http.StatusNotFound},
		"method":                       {"PUT /hooks/gitlab", token, maxBody, http.StatusMethodNotAllowed},
		"full, after the body is read": {"POST /hooks/gitlab", token, 1 << 10, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			d := door(t, full, io.Discard)
			d.opt.MaxBody, d.wait = maxBody, 0
			if name == "no room" {
				fill(d.verified.usual)
				fill(d.verified.large)
			}
			l := listening(t, d, mostConnections, usual, "", "")
			encoding := ""
			if name == "compressed" {
				encoding = "Content-Encoding: gzip\r\n"
			}
			conn := dial(t, l)
			request := fmt.Sprintf("%s HTTP/1.1\r\nHost: relay\r\nX-Gitlab-Token: %s\r\n%sContent-Length: %d\r\n\r\n", c.head, c.token, encoding, c.length)
			body := `{"a":"` + strings.Repeat("x", c.length-8) + `"}`
			if _, err := io.WriteString(conn, request+body); err != nil {
				t.Fatalf("cut off while it sent: %v", err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != c.status || !strings.Contains(string(text), `"error"`) {
				t.Errorf("answered %d %s, %v; want %d", res.StatusCode, text, err, c.status)
			}
			if len(d.drains.verified)+len(d.drains.unverified) != 0 {
				closed(t, conn) // the body was read to its end; its place is given back before that
			}
		})
	}
}

// An unverified sender's large body is not read, and nobody's while too many are.
func TestTooManyAreCutOff(t *testing.T) {
	t.Parallel()
	d := door(t, &kept{}, io.Discard)
	d.opt.MaxBody = 32 << 20
	for range drainsVerified {
		d.drains.verified <- struct{}{}
	}
	l := listening(t, d, mostConnections, usual, "", "")
	for name, head := range map[string]string{
		"an unverified sender": "X-Gitlab-Token: wrong\r\n",
		"one too many":         "X-Gitlab-Token: " + token + "\r\nContent-Encoding: gzip\r\n",
	} {
		conn := dial(t, l)
		_, err := io.WriteString(conn, fmt.Sprintf("POST /hooks/gitlab HTTP/1.1\r\nHost: relay\r\n%sContent-Length: %d\r\n\r\n", head, 32<<20)+strings.Repeat(" ", 32<<20))
		if err == nil {
			t.Errorf("%s: all of the body was read", name)
		}
	}
	if got := status(t, l, honest); got != http.StatusAccepted {
		t.Errorf("a good one is answered %d", got)
	}
}
