package dispatch

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

func (d deadly) MatchAt(e *events.Event, _ time.Time) routes.Decision {
	if e.Project.Path == "poison" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return d.byProject.MatchAt(e, time.Time{})
}

// trials is a sandbox in which the process ends of what holds a word. Each trial is
// told on standard output, and then waits for what standard input says if it shall.
type trials struct {
	deadly string
	once   string // a file: while it is there the process ends of everything, and removes it
	waits  bool
}

func (s trials) Try(ctx context.Context, t *Trial) (Verdict, error) {
	fmt.Println("trying")
	if s.waits {
		select {} // until somebody kills the relay
	}
	if s.once != "" && os.Remove(s.once) == nil {
		return Verdict{Died: true, Why: "killed"}, nil
	}
	if !strings.Contains(string(t.Webhook.Body), s.deadly) {
		return Verdict{}, nil
	}
	if to := os.Getenv("DISPATCH_DEADLY_FOR"); to != "" {
		lane := queue.Lane{Destination: to}
		return Verdict{Died: !slices.Contains(t.Skip, lane), Lane: lane, Why: "out of memory"}, nil
	}
	return Verdict{Died: true, Why: "out of memory"}, nil
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
	if os.Getenv("DISPATCH_UNTAKEN") != "" {
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
	opt.Sandbox = trials{deadly: "poison", once: os.Getenv("DISPATCH_ONCE"), waits: os.Getenv("DISPATCH_TRIALS") == "wait"}
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
		if kill := slices.Contains(env, "DISPATCH_TRIALS=wait") && line == "trying"; kill || line == "alive" {
			died = kill
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
	for i := range suspicious {
		if said, died := life(t, dir, false); !died {
			t.Fatalf("start %d does not die: %q", i, said)
		}
	}
	said, died := life(t, dir, false)
	want := []string{"start 4", "trying", "trying", "trying", "trying", "trying", "delivered " + ids[2].String(), "alive"}
	if died || !slices.Equal(said, want) {
		t.Errorf("died: %v; the relay said %q, want %q", died, said, want)
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

// What the process ends of when it writes the message for one address is buried for
// that one alone.
func TestOnlyTheAddressThatEndsTheRelayIsBuried(t *testing.T) {
	dir := t.TempDir()
	storeAll(t, dir, "waiting/poison/a", "end")
	for range suspicious {
		life(t, dir, false, "DISPATCH_HARMLESS=yes")
	}
	life(t, dir, false, "DISPATCH_HARMLESS=yes", "DISPATCH_DEADLY_FOR=poison")
	dead := deadLetters(t, dir)
	if len(dead) != 0 { // it had been delivered there
		t.Errorf("dead letters: %+v", dead)
	}
	dir = t.TempDir()
	ids := storeAll(t, dir, "waiting/poison/a", "end")
	for range suspicious {
		life(t, dir, false, "DISPATCH_HARMLESS=yes", "DISPATCH_UNTAKEN=yes")
	}
	said, _ := life(t, dir, false, "DISPATCH_HARMLESS=yes", "DISPATCH_DEADLY_FOR=poison")
	dead = deadLetters(t, dir)
	if len(dead) != 1 || dead[0].ID != ids[0] || dead[0].Lane != (queue.Lane{Destination: "poison"}) {
		t.Errorf("dead letters: %+v", dead)
	}
	if !slices.Equal(said, []string{"start 4", "trying", "trying", "trying", "trying", "delivered " + ids[0].String(), "alive"}) {
		t.Errorf("the relay said %q", said)
	}
}

// A trial's process that ends once, as any can, buries nothing.
func TestOneDeathInTheSandboxBuriesNothing(t *testing.T) {
	dir, once := t.TempDir(), filepath.Join(t.TempDir(), "once")
	storeAll(t, dir, "waiting", "end")
	if err := os.WriteFile(once, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range suspicious + 3 {
		life(t, dir, false, "DISPATCH_HARMLESS=yes", "DISPATCH_ONCE="+once)
	}
	if _, err := os.Stat(once); err == nil {
		t.Error("nothing was tried")
	}
	if dead := deadLetters(t, dir); len(dead) != 0 {
		t.Errorf("dead letters: %+v", dead)
	}
}

// The relay is killed from outside again and again, also in the middle of a trial:
// no event is to blame.
func TestKillsFromOutsideBuryNothing(t *testing.T) {
	dir := t.TempDir()
	ids := storeAll(t, dir, "a", "end")
	for i := range 20 {
		env := []string{"DISPATCH_HARMLESS=yes", "DISPATCH_TRIALS=wait", "DISPATCH_UNTAKEN=yes"}
		if said, died := life(t, dir, false, env...); i >= suspicious && !died {
			t.Fatalf("start %d was not killed in a trial: %q", i, said)
		}
	}
	said, _ := life(t, dir, false, "DISPATCH_HARMLESS=yes")
	if !slices.Contains(said, "delivered "+ids[0].String()) {
		t.Errorf("the relay said %q, want the delivery", said)
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
