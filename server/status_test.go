package server

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/queue"
)

// standstillError is an error of which anybody may read why.
type standstillError struct{}

func (standstillError) Error() string    { return "inner words" }
func (standstillError) NotReady() string { return "dispatch is at a standstill" }

func TestStatus(t *testing.T) {
	d := newDesk(t)
	d.relay.about = About{Version: "v1.2.3", Started: d.now, Dispatching: true, Configuration: Configuration{File: "relay.yaml", Files: 2}}
	d.relay.sources = SourceList{Sources: []SourceStatus{{Name: "gitlab", Refused: 1, LastResult: "unauthorized"}}, Since: d.now}
	d.bury(d.store(`{}`), dev, d.now)
	d.bury(d.store(`{}`), dev, d.now.Add(time.Hour))
	got := get[Status](d, "/api/v1/status")
	if diff := cmp.Diff(d.relay.about, got.About, cmp.Comparer(func(a, b []string) bool { return len(a) == len(b) })); diff != "" {
		t.Errorf("about (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(DeadLetterCount{Count: 2, Newest: d.now.Add(time.Hour)}, got.DeadLetters); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	if !got.Ready || got.Why != "" || !got.Live || len(got.Sources) != 1 || got.Sources[0].LastResult != "unauthorized" {
		t.Errorf("got %+v", got)
	}
	at := got.Storage
	if at.Free <= at.Reserve || at.Reserve <= 0 || at.Growth <= 0 || len(at.Streams) != 4 || at.Streams[2].Name != queue.DeadStream || at.Streams[2].Bytes == 0 {
		t.Errorf("storage %+v", at)
	}

	d.relay.ready = standstillError{}
	if got := get[Status](d, "/api/v1/status"); got.Ready || got.Why != "dispatch is at a standstill" {
		t.Errorf("not ready: %v %q", got.Ready, got.Why)
	}
	if status, _ := d.ask(http.MethodGet, "/api/v1/status?since=1h", ""); status != http.StatusBadRequest {
		t.Errorf("an unknown parameter: %d", status)
	}
}

// A queue that has ended answers what is known without it.
func TestStatusWithoutQueue(t *testing.T) {
	d := newDesk(t)
	if err := d.queue.Close(); err != nil {
		t.Fatal(err)
	}
	if got := get[Status](d, "/api/v1/status"); got.Note == "" || got.Storage.Reserve == 0 {
		t.Errorf("got %+v", got)
	}
}

func TestStorageIsSmall(t *testing.T) {
	for want, s := range map[bool]Storage{
		true:  {Free: 100, Reserve: 10, Growth: 91},
		false: {Free: 100, Reserve: 10, Growth: 90},
	} {
		if s.Small() != want {
			t.Errorf("%+v: want small %v", s, want)
		}
	}
	if (Storage{Growth: 1}).Small() {
		t.Error("the disk of a NATS server elsewhere is not known to be small")
	}
}
