package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestDoorUnderAttack: silent connections beyond what the door holds open,
// strangers who announce 25 MB, and a sender who is known and sends as many
// bodies of 24 MB as it can at once. Whoever else has something to say is
// answered in the time that GitLab waits, and memory stays bounded.
func TestDoorUnderAttack(t *testing.T) {
	t.Parallel()
	const silent, strangers, large, usual = 1500, 20, 40, 60
	mattermost := chatServer(t)
	relay := install(t, fmt.Sprintf(`
destinations: {mm: %q}
routes: [{when: {projects: acme/api, events: issue.open}, to: mm}]
`, mattermost.URL("hook"))).start()
	u, err := url.Parse(relay.hook)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(soon(t))
	var attackers sync.WaitGroup
	defer attackers.Wait()
	defer end()

	attackers.Go(func() { silence(ctx, u, silent) })
	for range strangers {
		attackers.Go(func() {
			for ctx.Err() == nil {
				announce(ctx, u)
			}
		})
	}
	body := issue("acme/large", 1, 24<<20)
	var stored, later, cut atomic.Int64
	var senders sync.WaitGroup
	for range large {
		senders.Go(func() {
			resp, err := http.DefaultTransport.RoundTrip(webhook(ctx, relay.hook, issueHook, body))
			if err != nil {
				cut.Add(1) // it was answered before the body was sent, and its end of the line may not see that
				return
			}
			defer resp.Body.Close()
			switch {
			case resp.StatusCode == http.StatusAccepted:
				stored.Add(1)
			case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
				later.Add(1)
			default:
				text, _ := io.ReadAll(resp.Body)
				t.Errorf("a large webhook is answered %d %s", resp.StatusCode, text)
			}
		})
	}
	slowest := time.Duration(0)
	for n := 1; n <= usual; n++ {
		begin := time.Now()
		relay.accept(issueHook, issue("acme/api", n, 8<<10))
		slowest = max(slowest, time.Since(begin))
	}
	senders.Wait()
	t.Logf("of %d large webhooks %d were stored, %d refused with Retry-After, %d cut off; the slowest of %d usual ones took %s",
		large, stored.Load(), later.Load(), cut.Load(), usual, slowest.Round(time.Millisecond))
	if stored.Load() == 0 {
		t.Error("no large webhook was stored")
	}
	if slowest > 10*time.Second && !raceDetector {
		t.Errorf("a usual webhook was answered after %s: GitLab waits 10 s", slowest)
	}
	if _, err := mattermost.WaitPosts(soon(t), "hook", usual); err != nil {
		t.Fatal(err)
	}
	end()
	attackers.Wait()
	relay.memory(256 << 20)
	relay.accept(issueHook, issue("acme/api", usual+1, 0))
}

// silence opens so many connections, and says nothing over half of them and
// half of a head over the others, until ctx ends.
func silence(ctx context.Context, u *url.URL, n int) {
	var all []net.Conn
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	for i := range n {
		c, err := net.Dial("tcp", u.Host)
		if err != nil {
			break
		}
		all = append(all, c)
		if i%2 == 0 {
			_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nX-Slow: ", u.Path, u.Host)
		}
	}
	<-ctx.Done()
}

// announce is a stranger who says that 25 MB will come, and sends some.
func announce(ctx context.Context, u *url.URL) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nX-Gitlab-Token: wrong\r\nContent-Length: 26214400\r\n\r\n", u.Path, u.Host)
	_, _ = c.Write(bytes.Repeat([]byte(" "), 256<<10))
	_, _ = io.Copy(io.Discard, c) // the refusal, and then the end
}
