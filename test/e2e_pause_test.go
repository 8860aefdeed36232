package test

import (
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process that stands still for seconds, as on a virtual machine that is moved,
// has no disk that hangs: what was under way is stored when it goes on.
func TestPauseIsNoHangingDisk(t *testing.T) {
	t.Parallel()
	p := install(t, perProject(chatServer(t).URL("hook"), 1)).start()
	const senders, pauses = 8, 2
	stop := make(chan struct{})
	var sending sync.WaitGroup
	for n := range senders {
		sending.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				a, err := roundTrip(webhook(soon(t), p.hook, issueHook, issue("acme/2", n*1_000_000+i, 2000)))
				if err != nil || a.status != http.StatusAccepted {
					t.Errorf("answered %d %s (%v)", a.status, a.body, err)
					return
				}
			}
		})
	}
	for range pauses {
		time.Sleep(300 * time.Millisecond) // so that something is under way
		p.signal(syscall.SIGSTOP)
		time.Sleep(6 * time.Second) // that is what is tested: longer than a write may take, and a webhook may wait
		p.signal(syscall.SIGCONT)
		p.until(`relay_queue_outages_total`, "0")
	}
	close(stop)
	sending.Wait()
	if log := p.stderr.String(); strings.Contains(log, "the queue cannot write") {
		t.Errorf("the relay takes its disk for one that hangs:\n%s", log)
	}
	p.terminate()
}
