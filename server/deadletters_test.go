package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/queue"
)

// One that cannot go is told, and those behind it go: what is refused stays in
// front for ever, however few one answer may list.
func TestReplayGoesOnPastDeadLettersThatCannotGo(t *testing.T) {
	d := newDesk(t)
	closed, gone := queue.Lane{Destination: "mm", Channel: "closed"}, queue.Lane{Destination: "gone"}
	for i, l := range []queue.Lane{dev, gone, closed, dev, dev} {
		d.bury(queue.ID{Seq: uint64(i + 1)}, l, d.now)
	}
	replay := func(body string) (out DeadLettersReplayed, numbers []uint64) {
		t.Helper()
		out = read[DeadLettersReplayed](d, http.StatusAccepted, "POST", "/api/v1/deadletters/replay", body)
		for _, one := range out.Replayed {
			numbers = append(numbers, one.DeadLetter)
		}
		return out, numbers
	}
	all, numbers := replay(`{"all":true,"limit":4}`)
	refused := []RefusedReplay{
		{2, `its own address is gone (there is no destination "gone"); say where to with to`},
		{3, "withheld from mm#closed: the event is confidential"},
	}
	if diff := cmp.Diff([]uint64{1, 4}, numbers) + cmp.Diff(refused, all.Refused); diff != "" || !all.More || all.Next != "4" {
		t.Errorf("more %t behind %q (-want +got):\n%s", all.More, all.Next, diff)
	}
	if all, numbers = replay(`{"all":true,"limit":4,"page":"4"}`); !cmp.Equal(numbers, []uint64{5}) || len(all.Refused) != 0 || all.More || all.Next != "" {
		t.Errorf("behind those: %+v", all)
	}
	if all, _ = replay(`{"all":true,"limit":2}`); len(all.Replayed) != 0 || len(all.Refused) != 2 || all.More {
		t.Errorf("once only they are left: %+v", all)
	}
	if all, numbers = replay(`{"all":true,"to":"mm#dev"}`); !cmp.Equal(numbers, []uint64{2, 3}) || len(all.Refused) != 0 {
		t.Errorf("to another address: %+v", all)
	}
	status, text := d.ask("POST", "/api/v1/deadletters/replay", `{"all":true,"page":"x"}`)
	if status != http.StatusBadRequest || !strings.Contains(text, "page: it takes what the last answer said under next") {
		t.Errorf("a page that is none: %d %s", status, text)
	}
}

// Who asked is gone when some have been replayed: the answer under its key tells
// of those, and where the rest begins.
func TestReplayThatEndsEarlyTellsWhatIsDone(t *testing.T) {
	d := newDesk(t)
	for i := range 3 {
		d.bury(queue.ID{Seq: uint64(i + 1)}, dev, d.now)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	asked := 0
	d.relay.withheld = func(w *queue.Webhook, l queue.Lane) error {
		if asked++; asked == 3 {
			hangUp()
		}
		return nil
	}
	r := httptest.NewRequestWithContext(ctx, "POST", "/api/v1/deadletters/replay", strings.NewReader(`{"all":true}`))
	r.Host = "127.0.0.1:8081"
	r.Header.Set("Idempotency-Key", "k")
	d.http.ServeHTTP(httptest.NewRecorder(), r)
	some := read[DeadLettersReplayed](d, http.StatusAccepted, "POST", "/api/v1/deadletters/replay", `{"all":true}`, "Idempotency-Key", "k")
	if len(some.Replayed) != 2 || some.Replayed[1].DeadLetter != 2 || !some.More || some.Next != "2" || asked != 3 {
		t.Errorf("got %+v; %d were looked at", some, asked)
	}
	rest := read[DeadLettersReplayed](d, http.StatusAccepted, "POST", "/api/v1/deadletters/replay", `{"all":true,"page":"2"}`)
	if len(rest.Replayed) != 1 || rest.Replayed[0].DeadLetter != 3 || rest.More {
		t.Errorf("the rest: %+v", rest)
	}
}

// What is left of a damaged message is shown as that, and never stored as an
// event.
func TestDeadLettersOfDamagedMessages(t *testing.T) {
	d := newDesk(t)
	raw := []byte("\x01\x16?_\x0f\x9ab\x1dr\x95f\xc7M\x10\x03|M{\xbb\x04damaged " + canary)
	for i, damage := range []queue.DamageError{
		{Stream: queue.Events, Seq: 5, Raw: raw, Err: errors.New("checksum")},
		{Stream: queue.ParkedStream, Seq: 6, Raw: raw, Err: errors.New("checksum")},
	} {
		if _, err := d.queue.SetAside(t.Context(), &damage, []queue.Lane{{}, dev}[i]); err != nil {
			t.Fatal(err)
		}
	}
	d.bury(queue.ID{Seq: 7}, dev, d.now)
	for i, want := range []DeadLetter{
		{
			ID: 1, EventID: "5-0", Damaged: true, Webhook: &Webhook{Headers: []Header{{"Relay-Damaged", queue.Events}}, Size: len(raw)},
			Reason: "message 5 of RELAY_EVENTS is damaged on disk: checksum; it cannot be replayed: relay deadletters purge 1 drops it",
		},
		{
			ID: 2, Address: "mm#dev", Damaged: true, Webhook: &Webhook{Headers: []Header{{"Relay-Damaged", queue.ParkedStream}}, Size: len(raw)},
			Reason: "message 6 of RELAY_PARKED is damaged on disk: checksum; it cannot be replayed: relay deadletters purge 2 drops it",
		},
	} {
		path := fmt.Sprintf("/api/v1/deadletters/%d", i+1)
		got := get[DeadLetter](d, path)
		want.Time, want.Received, want.Webhook.Received = got.Time, got.Received, got.Received
		want.Why = laneOf(want.Address).Channel + " says " + want.Reason
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, body := range []string{"", `{"to":"mm#dev"}`} {
			status, text := d.ask("POST", path+"/replay", body)
			if status != http.StatusBadRequest || !strings.Contains(text, fmt.Sprintf("relay deadletters purge %d drops it", i+1)) {
				t.Errorf("replayed with %q: %d %s", body, status, text)
			}
		}
	}
	some := read[DeadLettersReplayed](d, http.StatusAccepted, "POST", "/api/v1/deadletters/replay", `{"all":true}`)
	if len(some.Replayed) != 1 || some.Replayed[0].DeadLetter != 3 || len(some.Refused) != 2 {
		t.Errorf("of all: %+v", some)
	}
	if list := get[DeadLetterList](d, "/api/v1/deadletters"); len(list.DeadLetters) != 2 {
		t.Errorf("left are %+v", list.DeadLetters)
	}
	if purged := read[DeadLettersPurged](d, http.StatusOK, "POST", "/api/v1/deadletters/purge", `{"all":true}`); !cmp.Equal(purged.Purged, []uint64{1, 2}) {
		t.Errorf("purged %+v", purged)
	}
}

// A stored payload that is no JSON is left out of what is shown of its event.
func TestEventWithoutAPayload(t *testing.T) {
	d := newDesk(t)
	id := d.store("\x01\xff\xfe what is left")
	if e := get[EventDetail](d, "/api/v1/events/"+id.String()); e.Webhook == nil || e.Webhook.Body != nil || e.Webhook.Size == 0 {
		t.Errorf("it is shown as %+v", e.Webhook)
	}
}

// An Idempotency-Key names a request: what asks for something else is another
// one, also where the queue would not tell.
func TestIdempotencyKeyGoesByWhatIsAsked(t *testing.T) {
	d := newDesk(t)
	path := "/api/v1/events/" + d.store(`{"a":1}`).String() + "/replay"
	ids := map[string]string{}
	for _, c := range []struct{ to, body string }{
		{"mm#dev", `{"to":"mm#dev"}`}, {"mm#reviews", `{"to":"mm#reviews"}`}, {"", ""}, {"mm#dev", `{ "to": "mm#dev" }`}, {"mm#reviews", `{"to":"mm#reviews"}`}, {"", ""},
	} {
		r := read[Replayed](d, http.StatusAccepted, "POST", path, c.body, "Idempotency-Key", "k")
		if r.ReplayTo != c.to || ids[c.to] != "" && ids[c.to] != r.ID {
			t.Errorf("%s: %+v; the first was %s", c.body, r, ids[c.to])
		}
		ids[c.to] = r.ID
	}
	if ids["mm#dev"] == ids["mm#reviews"] || ids["mm#dev"] == ids[""] {
		t.Errorf("stored as %v", ids)
	}
	if status, _ := d.ask("POST", path, `{"too":"mm#dev"}`, "Idempotency-Key", "k"); status != http.StatusBadRequest {
		t.Errorf("a misspelt one under the same key: %d", status)
	}
	d.bury(queue.ID{Seq: 1}, dev, d.now)
	d.bury(queue.ID{Seq: 2}, person, d.now)
	for _, address := range []string{"mm#dev", "mm@alice", "mm#dev"} {
		out := read[DeadLettersPurged](d, http.StatusOK, "POST", "/api/v1/deadletters/purge", `{"address":"`+address+`"}`, "Idempotency-Key", "k")
		if want := map[string]uint64{"mm#dev": 1, "mm@alice": 2}[address]; !cmp.Equal(out.Purged, []uint64{want}) {
			t.Errorf("%s: purged %v", address, out.Purged)
		}
	}
}
