package test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// notifications are what a relay sends to the socket that systemd gives it.
type notifications struct {
	t    *testing.T
	text output
}

// notified gives the relays of an installation a socket for notifications.
func notified(i *installation) *notifications {
	i.t.Helper()
	path := filepath.Join(i.t.TempDir(), "notify") // short enough for a socket's name
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = socket.Close() })
	n := &notifications{t: i.t}
	go func() {
		buffer := make([]byte, 4096)
		for {
			size, err := socket.Read(buffer)
			if err != nil {
				return // the test has ended
			}
			_, _ = n.text.Write(append(buffer[:size:size], "\n\n"...)) // always takes it
		}
	}()
	i.env = append(i.env, "NOTIFY_SOCKET="+path)
	return n
}

// await waits for a notification that holds all of the texts, and returns where the
// next ones begin.
func (n *notifications) await(from int, texts ...string) (next int) {
	n.t.Helper()
	for ctx := soon(n.t); ; {
		text, more := n.text.since(from)
		for at := 0; ; {
			end := strings.Index(text[at:], "\n\n")
			if end < 0 {
				break
			}
			if holdsAll(text[at:at+end], texts) {
				return from + at + end + 2
			}
			at += end + 2
		}
		select {
		case <-more:
		case <-ctx.Done():
			n.t.Fatalf("no notification holds %q; there are:\n%s", texts, n.text.String())
		}
	}
}

func holdsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// systemd is told when webhooks are taken, how the relay is, and when it reloads and
// stops.
func TestSystemdIsNotified(t *testing.T) {
	t.Parallel()
	i := install(t, perProject(chatServer(t).URL("hook"), 1))
	n := notified(i)
	i.env = append(i.env, "WATCHDOG_USEC=200000")
	good, err := os.ReadFile(filepath.Join(i.dir, "relay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := i.start()
	at := n.await(0, "STATUS=opening the queue")
	at = n.await(at, "READY=1", "STATUS=accepting webhooks and delivering messages")
	p.acceptIssues(1, 1, 1) // READY means that webhooks are taken
	n.await(at, "WATCHDOG=1")

	i.write("relay.yaml", "routes: 5\n")
	p.signal(syscall.SIGHUP)
	at = n.await(at, "RELOADING=1", "MONOTONIC_USEC=")
	at = n.await(at, "READY=1", "STATUS=accepting webhooks; relay.yaml has mistakes")
	i.write("relay.yaml", string(good))
	p.signal(syscall.SIGHUP)
	at = n.await(at, "READY=1", "STATUS=accepting webhooks and delivering messages")

	p.terminate()
	n.await(at, "STOPPING=1")
}

// The status of a relay whose queue cannot store says why, and its watchdog continues:
// a restart gives a full disk no room.
func TestSystemdWatchdogIsOfTheProcess(t *testing.T) {
	t.Parallel()
	nats := startNATS(t)
	i := install(t, perProject(chatServer(t).URL("hook"), 1), "--nats-url", nats.ClientURL())
	n := notified(i)
	i.env = append(i.env, "WATCHDOG_USEC=200000")
	p := i.start()
	at := n.await(0, "READY=1")
	nats.Shutdown()
	at = n.await(at, "STATUS=not ready: ")
	for range 3 {
		at = n.await(at, "WATCHDOG=1")
	}
	p.running()
}
