package dispatch

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/formatters"
	"github.com/gitlab-mattermost/relay/queue"
)

// deadlyFormatter kills the process when it is to write the message of one project.
type deadlyFormatter struct{}

func (deadlyFormatter) Render(_ context.Context, r formatters.Request) (formatters.Post, error) {
	if r.Event.Project.Path == "poison" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return formatters.Post{Markdown: r.Event.Project.Path}, nil
}

var headLane = queue.Lane{Destination: "a"}

func TestHelperThatDiesOfWhatIsParked(t *testing.T) {
	dir := os.Getenv("DISPATCH_PARKED_DIR")
	if dir == "" {
		t.Skip("helper of TestParkedDeliveryThatEndsTheRelayIsBuried")
	}
	q, j, state := lead(t, queue.Options{Dir: dir})
	destinations, err := delivery.NewClients("test").Prepare([]configs.Destination{{Name: "a", Kind: configs.KindLog, Concurrency: 1}}, configs.EgressPrivate)
	if err != nil {
		t.Fatal(err)
	}
	lanes := delivery.New(delivery.Options{
		Destinations: destinations, Formatter: deadlyFormatter{}, Journal: j, Parking: q, Stdout: os.Stdout,
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	opt := options(q, j, state, lanes, io.Discard)
	opt.Sandbox = trials{deadly: "poison"}
	if err := New(opt).Vet(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := lanes.Resume(t.Context(), state.Lanes); err != nil {
		t.Fatal(err)
	}
	for {
		if err := j.Write(t.Context()); err != nil { // moves on with the disk, not with the clock
			t.Fatal(err)
		}
		if named, err := q.ParkedLanes(t.Context()); err != nil || len(named) == 0 {
			break
		}
	}
	fmt.Println("alive")
	select {}
}

// A parked delivery ends the process whenever its message is written. Those before
// and behind it are delivered, in order.
func TestParkedDeliveryThatEndsTheRelayIsBuried(t *testing.T) {
	dir := t.TempDir()
	q, j, _ := lead(t, queue.Options{Dir: dir})
	j.Note(&queue.LaneState{Lane: headLane, Time: time.Now(), State: queue.LaneParked, Reason: "network"})
	parked := func(n uint64, projects ...string) {
		var batch []queue.Parked
		for i, p := range projects {
			batch = append(batch, queue.Parked{ID: queue.ID{Seq: n + uint64(i)}, Webhook: queue.Webhook{
				Source: "gitlab", Received: time.Now(), Body: fmt.Appendf(nil, `{"object_kind":"push","project":{"path_with_namespace":%q}}`, p),
			}})
		}
		if _, err := q.Park(t.Context(), headLane, batch); err != nil {
			t.Fatal(err)
		}
	}
	parked(1, "first", "poison", "second")
	parked(4, "third")
	j.Close()
	q.Close()

	var said []string
	deaths := 0
	for alive := false; !alive; {
		if deaths == 9 {
			t.Fatalf("the relay still dies; it said %q", said)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestHelperThatDiesOfWhatIsParked$")
		cmd.Env = append(os.Environ(), "DISPATCH_PARKED_DIR="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			line := strings.TrimPrefix(lines.Text(), "│ ")
			if alive = line == "alive"; alive {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			} else if slices.Contains([]string{"first", "second", "third", "poison"}, line) {
				said = append(said, line)
			} else if strings.Contains(line, "FAIL") {
				t.Errorf("the relay says %q", line)
			}
		}
		_ = cmd.Wait() // it was killed
		if !alive {
			deaths++
		}
	}
	// The first start delivers something, which the next ones do not.
	if deaths != 1+suspicious {
		t.Errorf("it died %d times, want once after a delivery, and %d times after none", deaths, suspicious)
	}
	if want := []string{"first", "second", "third"}; !slices.Equal(slices.Compact(said), want) {
		t.Errorf("posted were %q, want %q", said, want)
	}
	dead := deadLetters(t, dir)
	if len(dead) != 1 || dead[0].Lane != headLane || !strings.Contains(string(dead[0].Webhook.Body), "poison") {
		t.Errorf("dead letters: %+v", dead)
	}
}
