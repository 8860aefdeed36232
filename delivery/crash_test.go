package delivery

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// fuse kills the process after so many steps.
type fuse struct {
	left  atomic.Int64
	queue *queue.Queue
	log   *syncBuffer
}

func (f *fuse) burn() {
	if f.left.Add(-1) == 0 {
		fmt.Printf("damaged %d\n", f.queue.Damage())
		if f.queue.Damage() > 0 {
			fmt.Println(f.log)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// mortal is a parking that ends the relay after a step.
type mortal struct {
	Parking
	*fuse
}

func (m mortal) Park(ctx context.Context, lane queue.Lane, batch []queue.Parked) (uint64, error) {
	defer m.burn()
	return m.Parking.Park(ctx, lane, batch)
}

func (m mortal) PurgeParked(ctx context.Context, lane queue.Lane, upTo uint64) error {
	defer m.burn()
	return m.Parking.PurgeParked(ctx, lane, upTo)
}

func (m mortal) DropParked(ctx context.Context, lane queue.Lane, seq uint64) error {
	defer m.burn()
	return m.Parking.DropParked(ctx, lane, seq)
}

func (m mortal) Bury(ctx context.Context, d *queue.Dead) (uint64, error) {
	defer m.burn()
	return m.Parking.Bury(ctx, d)
}

// mortalJournal is a journal that does.
type mortalJournal struct {
	*queue.Journal
	*fuse
}

func (m mortalJournal) Write(ctx context.Context, recs ...queue.Record) error {
	defer m.burn()
	return m.Journal.Write(ctx, recs...)
}

// TestHelperThatIsKilled delivers to a chat that comes and goes until it dies.
func TestHelperThatIsKilled(t *testing.T) {
	life, err := strconv.Atoi(os.Getenv("DELIVERY_LIFE"))
	if err != nil {
		t.Skip("helper of TestKilledRelayMissesNothing")
	}
	random := rand.New(rand.NewPCG(uint64(life), 1))
	server, err := chat.Start(chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fuse{}
	f.left.Store(int64(20 + random.IntN(200)))
	w := &world{t: t, dir: os.Getenv("DELIVERY_DIR"), chat: server, limits: quick, log: &syncBuffer{}, clients: NewClients("test"), seq: uint64(life) * 10_000}
	w.sizes.ParkedSize = 48 << 10
	w.through = func(j *queue.Journal) Journal { return mortalJournal{j, f} }
	for _, name := range []string{"a", "b"} {
		w.dests = append(w.dests, configs.Destination{
			Name: name, Kind: configs.KindMattermost, URL: configs.NewSecret(server.URL("hook" + name)), Concurrency: 3, GiveUpAfter: 72 * time.Hour,
		})
		server.Set("hook"+name, chat.Func(func(x *chat.Exchange) {
			if rand.IntN(4) == 0 {
				x.Answer(http.StatusInternalServerError, nil, "")
			} else {
				x.OK()
			}
		}))
	}
	w.open()
	f.queue, f.log = w.queue, w.log
	w.lanes.parking = mortal{w.queue, f}
	w.floors()
	if err := w.lanes.Resume(t.Context(), w.state.Lanes); err != nil {
		t.Fatal(err)
	}
	for {
		noise := make([]byte, random.IntN(1500))
		for i := range noise {
			noise[i] = byte('a' + random.IntN(26))
		}
		w.bulky([]string{"a", "b", "a#dev"}[random.IntN(3)], []string{"fine", "fine", "fine", "fine", "broken"}[random.IntN(5)], string(noise))
		time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond) // a load, nothing waits for it
	}
}

// A relay that is killed at any moment, while lanes park, drain and are given up,
// takes nothing of that for damage at its next start.
func TestKilledRelayMissesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lives := 8
	if n, err := strconv.Atoi(os.Getenv("DELIVERY_LIVES")); err == nil {
		lives = n
	}
	for life := range lives {
		cmd := exec.Command(os.Args[0], "-test.run=^TestHelperThatIsKilled$")
		cmd.Env = append(os.Environ(), "DELIVERY_DIR="+dir, fmt.Sprint("DELIVERY_LIFE=", life+1))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(out)
		_ = cmd.Wait() // it was killed
		if err != nil || !strings.Contains(string(text), "damaged 0\n") {
			t.Fatalf("life %d ends with %q (%v)", life+1, text, err)
		}
	}
}

// careful is a parking that finds out, before something is dropped, whether the
// journal says that it may be gone.
type careful struct {
	Parking
	w *world

	mu    sync.Mutex
	last  map[uint64]queue.Place // by message
	early int                    // drops that came before the journal knew
	drops int
}

func (c *careful) Park(ctx context.Context, lane queue.Lane, batch []queue.Parked) (uint64, error) {
	seq, err := c.Parking.Park(ctx, lane, batch)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[seq] = queue.Place{Seq: seq, Index: len(batch) - 1}
	return seq, err
}

func (c *careful) PurgeParked(ctx context.Context, lane queue.Lane, upTo uint64) error {
	c.look(ctx, lane, upTo)
	return c.Parking.PurgeParked(ctx, lane, upTo)
}

func (c *careful) DropParked(ctx context.Context, lane queue.Lane, seq uint64) error {
	c.look(ctx, lane, seq)
	return c.Parking.DropParked(ctx, lane, seq)
}

func (c *careful) look(ctx context.Context, lane queue.Lane, seq uint64) {
	var gone queue.Place
	up := func(p queue.Place) {
		if gone.Less(p) {
			gone = p
		}
	}
	err := c.w.queue.Entries(ctx, 0, func(e queue.Entry) bool {
		for _, rec := range e.Records {
			switch r := rec.(type) {
			case *queue.Settled:
				if r.Lane == lane {
					up(r.From)
				}
			case *queue.LaneState:
				if r.Lane == lane {
					up(r.Done)
					up(r.Gone)
				}
			}
		}
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drops++
	if err == nil && gone.Less(c.last[seq]) {
		c.early++
	}
}

// What a kill right after it is dropped from RELAY_PARKED would leave is explained by
// the journal at that moment, also of what was under way while its lane parked.
func TestNothingIsDroppedBeforeTheJournalKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.dests[0].Concurrency = 3 })
	c := &careful{Parking: w.queue, w: w, last: map[uint64]queue.Place{}}
	w.lanes.parking = c
	entered, let := make(chan bool), make(chan bool)
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		entered <- true
		<-let
		x.OK()
	}))
	for range 10 {
		w.deliver("a", "1", "2", "3")
		for range 3 {
			<-entered
		}
		w.lanes.parkDestination(w.lanes.dests["a"], "another lane failed")
		for range 3 {
			let <- true
		}
		w.forgotten()
		w.settled(int(w.seq))
		w.opened(laneA)
	}
	w.stop()
	if c.early > 0 || c.drops == 0 {
		t.Errorf("%d of %d times something was dropped before the journal knew", c.early, c.drops)
	}
}
