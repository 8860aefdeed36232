package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// A server that cannot serve a relay is refused at the start, at once, with what
// to change about it.
func TestServersThatAreNotSetUp(t *testing.T) {
	t.Parallel()
	user := func(p *server.Permissions) []*server.User {
		return []*server.User{{Username: "relay", Password: "canary", Permissions: p}}
	}
	tests := []struct {
		name   string
		server server.Options
		opt    Options
		want   []string
	}{
		{"no JetStream", server.Options{}, Options{}, []string{"JetStream", "add jetstream {}"}},
		{"small messages", server.Options{JetStream: true, MaxPayload: 1 << 20}, Options{MaxBody: 8 << 20},
			[]string{"takes messages of up to 1048576 bytes, webhooks of up to 8388608 need", "max_payload", "--max-body"}},
		{"copies on one server", server.Options{JetStream: true}, Options{Replicas: 3}, []string{"open stream RELAY_EVENTS", "--replicas 1"}},
		{"little room", server.Options{JetStream: true, JetStreamMaxStore: 64 << 20}, Options{}, []string{"RELAY_EVENTS", "--events-size"}},
		{"another password", server.Options{JetStream: true, Username: "relay", Password: "other"}, Options{}, []string{"Authorization", "--nats-creds"}},
		{"no permission", server.Options{JetStream: true, Users: user(&server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"relay.>"}}})}, Options{},
			[]string{"$JS.API.STREAM.INFO.RELAY_EVENTS", "permissions", "docs/scaling.md"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t, tt.server)
			opt := tt.opt
			opt.MaxBody = max(opt.MaxBody, 1<<10)
			opt.URL = strings.Replace(s.ClientURL(), "://", "://relay:canary@", 1)
			q, err := Open(t.Context(), opt)
			if err == nil {
				q.Close()
				t.Fatal("it was opened")
			}
			if !errors.Is(err, ErrSetup) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v; want ErrSetup, without the password", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; it does not speak of %s", err, want)
				}
			}
		})
	}
}

// startServer is a NATS server as another process would run it.
func startServer(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog, o.StoreDir = "127.0.0.1", server.RANDOM_PORT, true, true, t.TempDir()
	if o.MaxPayload == 0 {
		o.MaxPayload = 8 << 20
	}
	s, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return s
}

// Several relays that start at the same moment on an empty server all come up.
func TestManyOpenAtOnce(t *testing.T) {
	opt := Options{URL: external(t).ClientURL(), MaxBody: 1 << 20}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			q, err := Open(t.Context(), opt)
			if err != nil {
				t.Error(err)
				return
			}
			defer q.Close()
			if _, err := q.Store(t.Context(), hook(`{}`)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// Another relay raises the number of copies, and with that turns direct gets
// off: this one goes on reading.
func TestReadsWhenDirectGetsAreTurnedOff(t *testing.T) {
	t.Parallel()
	q := open(t, Options{URL: external(t).ClientURL(), MaxBody: 1 << 20})
	id, err := q.Store(t.Context(), hook(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.envelope(t.Context(), id.Seq); err != nil {
		t.Fatal(err)
	}
	info, err := q.events.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := info.Config
	if c.AllowDirect = false; !info.Config.AllowDirect {
		t.Error("one copy, and no direct gets")
	}
	if _, err := q.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if e, err := q.envelope(t.Context(), id.Seq); err != nil || e.Seq != id.Seq {
		t.Errorf("read %d, %v", e.Seq, err)
	}
}

// way is the way to a server, on which answers can be lost.
type way struct {
	listener net.Listener
	deaf     atomic.Bool // what the server says is dropped, on connections that are there
	conns    atomic.Int32
}

func newWay(t *testing.T, address string) *way {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{listener: listener}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			w.conns.Add(1)
			to, err := net.Dial("tcp", address)
			if err != nil {
				from.Close()
				continue
			}
			w.deaf.Store(false) // a new connection is a good one
			go w.carry(to, from, false)
			go w.carry(from, to, true)
		}
	}()
	return w
}

func (w *way) carry(to, from net.Conn, answers bool) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	lost := false
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		lost = lost || answers && w.deaf.Load()
		if lost {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// The server stores and its answers are lost, on a connection that stays open:
// nothing is stored twice, the journal does not take its own message for another
// relay's, and the connection is given up for a new one.
func TestLostAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		stream string // that gets a message
		store  func(context.Context, *Queue, *Journal) error
	}{
		"webhook": {Events, func(ctx context.Context, q *Queue, _ *Journal) error {
			_, err := q.Store(ctx, hook(`{"a":1}`))
			return err
		}},
		"journal": {JournalStream, func(ctx context.Context, _ *Queue, j *Journal) error {
			return j.Write(ctx, &Settled{ID: ID{1, 0}, Lane: Lane{"mm", ""}, Outcome: OutcomeDelivered})
		}},
		"parked": {ParkedStream, func(ctx context.Context, q *Queue, _ *Journal) error {
			_, err := q.Park(ctx, Lane{"mm", ""}, []Parked{{ID: ID{1, 0}, Webhook: *hook(`{}`)}})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWay(t, external(t).Addr().String())
			q := open(t, Options{URL: "nats://" + w.listener.Addr().String(), MaxBody: 1 << 20})
			j, _, err := q.Lead(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			before, connections := counts(t, q), w.conns.Load()
			w.deaf.Store(true)
			if err := c.store(t.Context(), q, j); err != nil {
				t.Error(err)
			}
			if w.conns.Load() == connections {
				t.Error("the connection is still the same")
			}
			after := counts(t, q)
			for _, stream := range []string{Events, ParkedStream} {
				want := before[stream]
				if stream == c.stream {
					want++
				}
				if after[stream] != want {
					t.Errorf("%s held %d messages and holds %d", stream, before[stream], after[stream])
				}
			}
			select {
			case <-j.Lost():
				t.Error("the journal takes itself for overtaken")
			default:
			}
			settled, want := 0, 0
			if c.stream == JournalStream {
				want = 1
			}
			err = q.Entries(t.Context(), 0, func(e Entry) bool {
				for _, r := range e.Records {
					if _, ok := r.(*Settled); ok {
						settled++
					}
				}
				return true
			})
			if err != nil || settled != want {
				t.Errorf("the outcome stands %d times in the journal (%v)", settled, err)
			}
		})
	}
}

func counts(t *testing.T, q *Queue) map[string]uint64 {
	t.Helper()
	states, err := q.States(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]uint64{}
	for _, s := range states {
		n[s.Name] = s.LastSeq
	}
	return n
}

// A server that is away for longer than it remembers ids may have stored a
// message whose answer was lost.
func TestRecordedIsFoundWithoutTheServersMemory(t *testing.T) {
	q := open(t, Options{URL: external(t).ClientURL(), MaxBody: 1 << 20})
	begin := time.Now()
	if _, err := q.Store(t.Context(), hook(`{}`)); err != nil {
		t.Fatal(err)
	}
	after := q.tail.load()
	for _, subject := range []string{subjectEvents, subjectDead + laneToken(Lane{"mm", "x"})} {
		nonce, data := newNonce(), []byte(nil)
		if data = encodeEnvelope(nonce, nil); subject != subjectEvents {
			data = encodeDead(nonce, &Dead{Lane: Lane{"mm", "x"}})
		}
		if seq, ok, err := q.recorded(t.Context(), subject, begin, after, nonce); ok || err != nil {
			t.Errorf("%s: found as %d before it was stored (%v)", subject, seq, err)
		}
		want, err := q.publish(t.Context(), subject, data, nonce, nil)
		if err != nil {
			t.Fatal(err)
		}
		if seq, ok, err := q.recorded(t.Context(), subject, begin, after, nonce); seq != want || !ok || err != nil {
			t.Errorf("%s: stored as %d, found as %d (%v, %v)", subject, want, seq, ok, err)
		}
	}
}

// A relay that takes over from one that filled RELAY_PARKED writes its fence all
// the same.
func TestFenceInAFullStream(t *testing.T) {
	url := external(t).ClientURL()
	opt := Options{URL: url, MaxBody: 1 << 20, ParkedSize: 1 << 20, TakeoverWait: 50 * time.Millisecond}
	first, second := open(t, opt), open(t, opt)
	lost, _, err := first.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lost.Close()
	lane := Lane{"mm", ""}
	for {
		nonce := newNonce()
		body := fmt.Sprintf(`{"x":%q}`, noise(100<<10))
		_, err := first.publish(t.Context(), subjectParked+laneToken(lane), encodeParked(nonce, []Parked{{ID: ID{1, 0}, Webhook: *hook(body)}}), nonce, nil)
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	won, _, err := second.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer won.Close()
	info, err := second.parked.Info(t.Context())
	if err != nil || info.Config.MaxBytes != opt.ParkedSize {
		t.Errorf("the limit is %d afterwards (%v), want %d", info.Config.MaxBytes, err, opt.ParkedSize)
	}
	if _, err := first.Park(t.Context(), Lane{"other", ""}, nil); !errors.Is(err, ErrFenced) && !errors.Is(err, ErrClosed) {
		t.Errorf("the loser's append: %v, want ErrFenced", err)
	}
}

// A relay that that stood still makes sure that it is still the one that posts.
func TestConfirm(t *testing.T) {
	opt := Options{URL: external(t).ClientURL(), MaxBody: 1 << 20, TakeoverWait: 50 * time.Millisecond}
	first, second := open(t, opt), open(t, opt)
	j, _, err := first.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.Confirm(t.Context()); err != nil {
		t.Errorf("just written, and %v", err)
	}
	won, _, err := second.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer won.Close()
	j.mu.Lock()
	j.written = time.Now().Add(-unsure)
	j.mu.Unlock()
	if err := j.Confirm(t.Context()); !errors.Is(err, ErrFenced) && !errors.Is(err, ErrClosed) {
		t.Errorf("overtaken while it stood still: %v, want ErrFenced", err)
	}
}

func TestDefiniteAnswers(t *testing.T) {
	api := func(code int, number jetstream.ErrorCode) error {
		return fmt.Errorf("nats: %w", &jetstream.APIError{Code: code, ErrorCode: number})
	}
	for _, tt := range []struct {
		err                  error
		definite, unanswered bool
	}{
		{api(409, errCodeInProcess), false, true}, // the first try is still being stored
		{api(503, 10008), false, true},            // no leader
		{api(400, errCodeNoPeers), true, true},    // a server is down; said of streams only
		{api(400, jetstream.JSErrCodeStreamMessageExceedsMaximum), true, false},
		{jetstream.ErrMsgNotFound, true, false},
		{jetstream.ErrNoStreamResponse, false, true},
		{context.DeadlineExceeded, false, true},
		{ErrFull, true, true},
		{&replicasError{Events, 3, 1}, false, false},
	} {
		if got := definite(tt.err); got != tt.definite && !errors.Is(tt.err, ErrSetup) {
			t.Errorf("definite(%v) = %t", tt.err, got)
		}
		if got := unanswered(tt.err); got != tt.unanswered && !errors.Is(tt.err, ErrFull) {
			t.Errorf("unanswered(%v) = %t", tt.err, got)
		}
	}
}
