package dispatch

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/routes"
)

// deadly are routes that kill the process when they are asked about one
// project.
type deadly struct{ byProject }

func (d deadly) Match(e *events.Event) routes.Decision {
	if e.Project.Path == "poison" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return d.byProject.Match(e)
}

// saying are lanes that say what they were given; one address never takes
// anything.
type saying struct {
	journal *queue.Journal
	end     func() // the last event has come
}

func (s saying) Deliver(ctx context.Context, it *delivery.Item) error {
	switch it.Address.Destination {
	case "end":
		s.end()
		return nil
	case "waiting":
		return nil
	}
	if err := s.journal.Write(ctx, &queue.Settled{ID: it.ID, Lane: delivery.LaneOf(it.Address), Outcome: queue.OutcomeDelivered}); err != nil {
		return err
	}
	fmt.Printf("delivered %s\n", it.ID)
	it.Done()
	return nil
}

func (saying) Floor(most uint64) uint64 { return most }

func TestHelperThatDiesOfAnEvent(t *testing.T) {
	dir := os.Getenv("DISPATCH_POISONED_DIR")
	if dir == "" {
		t.Skip("helper of the tests about an event that ends the relay")
	}
	q, j, state := lead(t, queue.Options{Dir: dir})
	fmt.Printf("start %d\n", state.Starts)
	ctx, cancel := context.WithCancel(context.Background())
	opt := options(q, j, state, saying{j, func() {
		fmt.Println("alive")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		cancel()
	}}, io.Discard)
	if os.Getenv("DISPATCH_HARMLESS") == "" {
		opt.Routes = deadly{}
	}
	d := New(opt)
	if err := d.Vet(context.Background()); err != nil {
		t.Fatal(err)
	}
	_ = d.Run(ctx)
	j.Close()
	q.Close()
}

// life runs the helper until it dies or has read everything; then it is killed,
// or with orderly set, told to end.
func life(t *testing.T, dir string, orderly bool, env ...string) (said []string, died bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperThatDiesOfAnEvent$")
	cmd.Env = append(append(os.Environ(), "DISPATCH_POISONED_DIR="+dir), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	died = true
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		if line == "alive" {
			died = false
			if orderly {
				_, err = io.WriteString(in, "end\n")
			} else {
				err = cmd.Process.Kill()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		said = append(said, line)
	}
	_ = cmd.Wait() // it was killed
	return said, died
}

// stored stores one event of each project.
func storeAll(t *testing.T, dir string, projects ...string) (ids []queue.ID) {
	t.Helper()
	q, err := queue.Open(t.Context(), queue.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, p := range projects {
		id, err := q.Store(t.Context(), &queue.Webhook{Source: "gitlab", Received: time.Now(), Body: fmt.Appendf(nil, `{"object_kind":"push","project":{"path_with_namespace":%q}}`, p)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func deadLetters(t *testing.T, dir string) (all []queue.Dead) {
	t.Helper()
	q, err := queue.Open(t.Context(), queue.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if err := q.DeadLetters(t.Context(), func(_ uint64, d queue.Dead) bool { all = append(all, d); return true }); err != nil {
		t.Fatal(err)
	}
	return all
}

// One event ends the process whenever it is read. An older one waits for its
// address, and is not to blame.
func TestEventThatEndsTheRelayIsBuried(t *testing.T) {
	dir := t.TempDir()
	ids := storeAll(t, dir, "waiting", "poison", "a", "end")
	var said []string
	died := true
	deaths := -1
	for ; died; deaths++ {
		if deaths == 6 {
			t.Fatalf("the relay still dies: %q", said)
		}
		said, died = life(t, dir, false)
	}
	if deaths != suspicious+fatal {
		t.Errorf("it died %d times, want %d and %d of reading alone", deaths, suspicious, fatal)
	}
	if want := []string{"start 6", "delivered " + ids[2].String(), "alive"}; !slices.Equal(said, want) {
		t.Errorf("the relay that lived said %q, want %q", said, want)
	}
	dead := deadLetters(t, dir)
	if len(dead) != 1 || dead[0].ID != ids[1] || !strings.Contains(string(dead[0].Webhook.Body), "poison") || dead[0].Nonce == (queue.Nonce{}) {
		t.Errorf("dead letters: %+v", dead)
	}
	// It stays buried, and nothing else is.
	for range 6 {
		if said, died := life(t, dir, false); died {
			t.Fatalf("died again: %q", said)
		}
	}
	if diff := cmp.Diff(dead, deadLetters(t, dir)); diff != "" {
		t.Errorf("dead letters after more starts (-before +after):\n%s", diff)
	}
}

// A start that dies while it reads an event alone, as any can, buries nothing.
func TestOneDeathWhileReadingAloneBuriesNothing(t *testing.T) {
	dir := t.TempDir()
	ids := storeAll(t, dir, "poison", "end")
	for i := range suspicious + fatal - 1 {
		if said, died := life(t, dir, false); !died {
			t.Fatalf("start %d does not die: %q", i, said)
		}
	}
	said, died := life(t, dir, false, "DISPATCH_HARMLESS=yes")
	if want := []string{"start 5", "delivered " + ids[0].String(), "alive"}; died || !slices.Equal(said, want) {
		t.Errorf("the relay that does not die of it said %q, want %q", said, want)
	}
	if dead := deadLetters(t, dir); len(dead) != 0 {
		t.Errorf("dead letters: %+v", dead)
	}
}

// An address takes nothing while the relay is killed again and again, or ended
// in good order: nobody is to blame for that.
func TestWaitingForAnAddressNeverCounts(t *testing.T) {
	dir := t.TempDir()
	storeAll(t, dir, "waiting", "a", "waiting", "end")
	for i := range 12 {
		said, died := life(t, dir, i%6 == 5, "DISPATCH_HARMLESS=yes")
		if died {
			t.Fatalf("died: %q", said)
		}
		if i == 6 && said[0] != "start 1" {
			t.Errorf("after an orderly end: %q, want to count anew", said)
		}
	}
	if dead := deadLetters(t, dir); len(dead) != 0 {
		t.Errorf("dead letters: %+v", dead)
	}
}
