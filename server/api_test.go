package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/queue"
)

// canary is a secret that a webhook brought: no answer may hold it.
const canary = "canary-hook-id-c7d1"

// desk is the admin listener on a real queue, with what stands around it made
// up.
type desk struct {
	t       *testing.T
	queue   *queue.Queue
	journal *queue.Journal
	relay   *standIn
	api     *api
	http    http.Handler
	now     time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	q, err := queue.Open(t.Context(), queue.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	d := &desk{t: t, queue: q, journal: j, now: time.UnixMicro(1_780_000_000_000_000).UTC()}
	d.relay = &standIn{
		sources: SourceList{Sources: []SourceStatus{}, Since: d.now},
		clean:   func(s string) string { return strings.ReplaceAll(s, canary, "[redacted]") },
	}
	opt := AdminOptions{Relay: d.relay, Queue: q, Gatherer: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Loopback: true}
	d.api = newAPI(opt)
	d.http = newAdmin(opt, d.api)
	return d
}

// ask sends one request and returns its status and its answer, which must not
// hold the canary.
func (d *desk) ask(method, path, body string, header ...string) (int, string) {
	d.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8081"
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.http.ServeHTTP(w, r)
	text := w.Body.String()
	if strings.Contains(text, canary) {
		d.t.Errorf("%s %s answers the canary:\n%s", method, path, text)
	}
	if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		d.t.Errorf("%s %s answers %s", method, path, kind)
	}
	return w.Code, text
}

// get asks for what must be there.
func get[T any](d *desk, path string) T {
	d.t.Helper()
	return read[T](d, http.StatusOK, http.MethodGet, path, "")
}

func read[T any](d *desk, want int, method, path, body string, header ...string) T {
	d.t.Helper()
	var v T
	status, text := d.ask(method, path, body, header...)
	if status != want {
		d.t.Fatalf("%s %s: %d %s, want %d", method, path, status, text, want)
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		d.t.Fatalf("%s %s: %v\n%s", method, path, err, text)
	}
	return v
}

func (d *desk) store(body string) queue.ID {
	d.t.Helper()
	id, err := d.queue.Store(d.t.Context(), &queue.Webhook{
		Source: "gitlab", Received: d.now, Body: []byte(body),
		Header: []queue.Field{{Name: "X-Gitlab-Event", Value: "Push Hook"}, {Name: "Idempotency-Key", Value: "k"}},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return id
}

func (d *desk) write(recs ...queue.Record) {
	d.t.Helper()
	if err := d.journal.Write(d.t.Context(), recs...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) bury(id queue.ID, lane queue.Lane, at time.Time) uint64 {
	d.t.Helper()
	seq, err := d.queue.Bury(d.t.Context(), &queue.Dead{
		Parked: queue.Parked{ID: id, Webhook: queue.Webhook{Source: "gitlab", Received: d.now, Body: []byte(`{"url":"` + canary + `"}`)}},
		Lane:   lane, Reason: "refused " + canary, Attempts: 3, Time: at,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return seq
}

var (
	dev    = queue.Lane{Destination: "mm", Channel: "dev"}
	person = queue.Lane{Destination: "mm", Channel: "@alice"}
)

// decided is a history with one event of each outcome.
func (d *desk) decided() map[string]queue.ID {
	d.t.Helper()
	decide := func(outcome string, change func(*queue.Decision)) queue.ID {
		id := d.store(`{"secret":"` + canary + `"}`)
		rec := &queue.Decision{
			ID: id, Time: d.now.Add(time.Second), Received: d.now, Source: "gitlab", Event: "push", Project: "Acme/API", Title: "Fix " + canary, Outcome: outcome,
		}
		change(rec)
		d.write(rec)
		return id
	}
	to := func(lanes ...queue.Lane) func(*queue.Decision) {
		return func(rec *queue.Decision) {
			for _, l := range lanes {
				rec.Deliveries = append(rec.Deliveries, queue.Planned{Lane: l, Route: "Team"})
			}
		}
	}
	all := map[string]queue.ID{}
	id := decide(queue.OutcomeRouted, to(dev))
	d.write(&queue.Settled{ID: id, Lane: dev, Time: d.now.Add(1500 * time.Millisecond), Outcome: queue.OutcomeDelivered, Attempts: 1, Status: 200, Reason: "ok", Duration: time.Millisecond})
	all["delivered"] = id
	id = decide(queue.OutcomeRouted, to(dev, person))
	d.write(
		&queue.Attempt{ID: id, Lane: dev, Time: d.now.Add(2 * time.Second), Number: 1, Status: 400, Reason: "refused", Error: "web." + canary, Duration: time.Second},
		&queue.Settled{ID: id, Lane: dev, Time: d.now.Add(3 * time.Second), Outcome: queue.OutcomeDead, Attempts: 1, Reason: "refused", DeadSeq: 7},
		&queue.Settled{ID: id, Lane: person, Time: d.now.Add(3 * time.Second), Outcome: queue.OutcomeDelivered, Attempts: 1, Status: 200, Reason: "ok"})
	all["dead"] = id
	all["unrouted"] = decide(queue.OutcomeUnrouted, func(rec *queue.Decision) { rec.Nearest, rec.Because = "Reviews", "events: want issue, got push" })
	all["withheld"] = decide(queue.OutcomeWithheld, func(rec *queue.Decision) {
		rec.Withheld = []queue.Planned{{Lane: dev, Route: "Team", Reason: "confidential"}}
	})
	all["repeat"] = decide(queue.OutcomeRepeat, func(rec *queue.Decision) {
		rec.Because, rec.Repeats = "the same webhook came as 1-0", []queue.Planned{{Lane: dev, Route: "Team", Reason: "the same webhook came as 1-0"}}
	})
	all["foreign"] = decide(queue.OutcomeForeign, func(rec *queue.Decision) { rec.Because, rec.Project = "projects", "other/x" })
	parked := queue.Lane{Destination: "mm", Channel: "parked"}
	all["parked"] = decide(queue.OutcomeRouted, to(parked))
	if _, err := d.queue.Park(d.t.Context(), parked, []queue.Parked{{ID: all["parked"], Webhook: queue.Webhook{Received: d.now}}}); err != nil {
		d.t.Fatal(err)
	}
	all["waiting"] = d.store(`{}`)
	return all
}

func TestEventsByOutcome(t *testing.T) {
	d := newDesk(t)
	all := d.decided()
	for outcome, id := range all {
		list := get[EventList](d, "/api/v1/events?outcome="+outcome)
		want := []string{id.String()}
		if outcome == "delivered" {
			want = append([]string{all["dead"].String()}, want...) // one of its addresses has it
		}
		var got []string
		for _, e := range list.Events {
			got = append(got, e.ID)
			if e.ID == id.String() && e.Outcome != outcome {
				t.Errorf("%s is shown as %s, want %s", id, e.Outcome, outcome)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", outcome, diff)
		}
	}
}

func TestEventsByFilter(t *testing.T) {
	d := newDesk(t)
	all := d.decided()
	for query, want := range map[string]int{
		"":                                   8,
		"?project=acme/**":                   7,
		"?project=acme/api":                  7,
		"?project=other/*":                   1,
		"?project=ACME/API":                  7,
		"?event=push":                        8,
		"?event=push.*":                      8,
		"?event=issue":                       0,
		"?event=pus":                         0,
		"?source=gitlab":                     8,
		"?source=other":                      0,
		"?until=2001-01-01":                  0,
		"?since=2001-01-01":                  8,
		"?until=2126-01-01T00:00:00Z&source": 8,
		"?page=" + all["withheld"].String():  3,
	} {
		if list := get[EventList](d, "/api/v1/events"+query); len(list.Events) != want || list.Next != "" {
			t.Errorf("%s: %d events, want %d; next %q", query, len(list.Events), want, list.Next)
		}
	}
	var pages []string
	for path := "/api/v1/events?limit=3"; ; {
		list := get[EventList](d, path)
		for _, e := range list.Events {
			pages = append(pages, e.ID)
		}
		if list.Next == "" {
			break
		}
		path = "/api/v1/events?limit=3&page=" + list.Next
	}
	var whole []string
	for _, e := range get[EventList](d, "/api/v1/events").Events {
		whole = append(whole, e.ID)
	}
	if diff := cmp.Diff(whole, pages); diff != "" {
		t.Errorf("the pages (-whole +pages):\n%s", diff)
	}
}

// One event, as it is shown: what was decided, tried and settled, and when.
func TestEventDetail(t *testing.T) {
	d := newDesk(t)
	id := d.decided()["dead"].String()
	got := get[EventDetail](d, "/api/v1/events/"+id)
	want := EventDetail{
		Event: Event{
			ID: id, Received: d.now, Decided: d.now.Add(time.Second), Source: "gitlab", Event: "push", Project: "Acme/API", Title: "Fix [redacted]", Outcome: "dead",
			Deliveries: []Delivery{
				{
					Address: "mm#dev", Route: "Team", State: "dead", Attempts: 1, Status: 400, Reason: "refused", Error: "web.[redacted]", Why: "dev says web.[redacted]",
					Time: d.now.Add(3 * time.Second), Delay: 3, Duration: 1, DeadLetter: 7,
				},
				{Address: "mm@alice", Route: "Team", State: "delivered", Attempts: 1, Status: 200, Reason: "ok", Time: d.now.Add(3 * time.Second), Delay: 3},
			},
			Withheld: []Planned{}, Repeats: []Planned{},
		},
		Webhook: &Webhook{
			Source: "gitlab", Received: d.now, Headers: []Header{{"X-Gitlab-Event", "Push Hook"}, {"Idempotency-Key", "k"}}, Size: len(`{"secret":""}`) + len(canary),
			Body: json.RawMessage(`{"secret":"[redacted]"}`), BodyPath: "/api/v1/events/" + id + "/body",
		},
		Tries: []Attempt{{
			Address: "mm#dev", Number: 1, Time: d.now.Add(2 * time.Second), Status: 400, Reason: "refused", Error: "web.[redacted]", Why: "dev says web.[redacted]", Delay: 2, Duration: 1,
		}},
		Replays: []string{}, Complete: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if status, text := d.ask(http.MethodGet, "/api/v1/events/"+id+"/body", ""); status != http.StatusOK || text != `{"secret":"[redacted]"}` {
		t.Errorf("the body: %d %s", status, text)
	}
	if status, text := d.ask(http.MethodGet, "/api/v1/events/"+id+"/decision", ""); status != http.StatusOK || !strings.Contains(text, `"config":"relay.yaml"`) {
		t.Errorf("the decision: %d %s", status, text)
	}
}

// Values of CI variables are masked, and a large body is not shown with the
// event.
func TestEventBody(t *testing.T) {
	d := newDesk(t)
	id := d.store(`{"object_attributes":{"variables":[{"key":"PW","value":"` + canary + `"}]},"pad":"` + strings.Repeat("x", maxInline) + `"}`)
	if e := get[EventDetail](d, "/api/v1/events/"+id.String()); e.Webhook.Body != nil || e.Webhook.Size <= maxInline || e.Outcome != "waiting" {
		t.Errorf("it is shown as %s with %d bytes of body", e.Outcome, len(e.Webhook.Body))
	}
	status, text := d.ask(http.MethodGet, "/api/v1/events/"+id.String()+"/body", "")
	if status != http.StatusOK || !strings.Contains(text, `{"key":"PW","value":"[redacted]"}`) {
		t.Errorf("the body: %d %.120s", status, text)
	}
}

func TestAPIRefusals(t *testing.T) {
	d := newDesk(t)
	id := d.store(`{}`).String()
	seq := d.bury(queue.ID{Seq: 1}, queue.Lane{Destination: "gone"}, d.now)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"no id":                {"GET", "/api/v1/events/x", "", 400, `"x" is no event id`},
		"no such event":        {"GET", "/api/v1/events/99-0", "", 404, "there is no event 99-0"},
		"no such body":         {"GET", "/api/v1/events/99-0/body", "", 404, "not kept"},
		"no such decision":     {"GET", "/api/v1/events/99-0/decision", "", 404, "not kept"},
		"unknown filter":       {"GET", "/api/v1/events?projekt=x", "", 400, `"projekt" means nothing here; there is actor, by, event, limit,`},
		"unknown outcome":      {"GET", "/api/v1/events?outcome=lost", "", 400, "there is delivered, waiting"},
		"limit":                {"GET", "/api/v1/events?limit=1000", "", 400, "limit must be a number between 1 and 200"},
		"page":                 {"GET", "/api/v1/events?page=3", "", 400, "page: it takes what the last answer said under next"},
		"time":                 {"GET", "/api/v1/events?since=yesterday", "", 400, "since: "},
		"pattern":              {"GET", "/api/v1/events?project=[", "", 400, "project: "},
		"replay of nothing":    {"POST", "/api/v1/events/99-0/replay", "", 404, "not kept"},
		"replay nowhere":       {"POST", "/api/v1/events/" + id + "/replay", `{"to":"x#y"}`, 400, `to: there is no destination "x"`},
		"replay withheld":      {"POST", "/api/v1/events/" + id + "/replay", `{"to":"mm#closed"}`, 422, "withheld from mm#closed: the event is confidential"},
		"replay, misspelt":     {"POST", "/api/v1/events/" + id + "/replay", `{"too":"mm#dev"}`, 400, `"too" means nothing here; there is to`},
		"body no object":       {"POST", "/api/v1/events/" + id + "/replay", `[]`, 400, "one JSON object"},
		"body of a number":     {"POST", "/api/v1/events/" + id + "/replay", `{"to":{}}`, 400, "to must be a string"},
		"body too long":        {"POST", "/api/v1/events/" + id + "/replay", strings.Repeat(" ", maxRequest+1), 400, "longer than"},
		"no dead letter":       {"GET", "/api/v1/deadletters/99", "", 404, "there is no dead letter 99"},
		"no number":            {"GET", "/api/v1/deadletters/x", "", 400, `"x" is no dead letter`},
		"dead page":            {"GET", "/api/v1/deadletters?page=x", "", 400, "page: "},
		"dead event id":        {"GET", "/api/v1/deadletters?event_id=x", "", 400, "event_id: "},
		"replay all, not said": {"POST", "/api/v1/deadletters/replay", "", 400, `or {"all": true}`},
		"purge all, not said":  {"POST", "/api/v1/deadletters/purge", "{}", 400, `or {"all": true}`},
		"purge, misspelt":      {"POST", "/api/v1/deadletters/purge", `{"adress":"mm"}`, 400, `"adress" means nothing here`},
		"its address is gone":  {"POST", fmt.Sprintf("/api/v1/deadletters/%d/replay", seq), "", 400, "its own address is gone"},
		"retry nowhere":        {"POST", "/api/v1/parked/retry", `{"address":"x"}`, 400, `address: there is no destination "x"`},
		"retry, misspelt":      {"POST", "/api/v1/parked/retry", `{"adress":"mm"}`, 400, `"adress" means nothing here`},
		"wrong method":         {"DELETE", "/api/v1/events", "", 405, "does not take DELETE"},
	} {
		status, text := d.ask(c.method, c.path, c.body)
		var no map[string]string
		if err := json.Unmarshal([]byte(text), &no); err != nil || len(no) != 1 {
			t.Errorf("%s: answered %s", name, text)
		}
		if status != c.status || !strings.Contains(no["error"], c.says) {
			t.Errorf("%s: %d %s, want %d %q", name, status, text, c.status, c.says)
		}
	}
	if list := get[DeadLetterList](d, "/api/v1/deadletters"); len(list.DeadLetters) != 1 {
		t.Errorf("%d dead letters are left, want 1", len(list.DeadLetters))
	}
}

// The API is behind the same guard as the rest of the admin listener.
func TestAPIIsGuarded(t *testing.T) {
	d := newDesk(t)
	for _, path := range []string{"/api/v1/events", "/api/v1/events/1-0/body", "/api/v1/deadletters", "/api/v1/parked", "/api/v1/sources"} {
		if status, _ := d.ask("GET", path, "", "Origin", "https://evil.example"); status != http.StatusForbidden {
			t.Errorf("%s for a page of another site: %d", path, status)
		}
	}
	if status, _ := d.ask("POST", "/api/v1/deadletters/purge", `{"all":true}`, "Origin", "https://evil.example"); status != http.StatusForbidden {
		t.Errorf("purging for a page of another site: %d", status)
	}
}

func TestReplay(t *testing.T) {
	d := newDesk(t)
	id := d.store(`{"a":1}`)
	path := "/api/v1/events/" + id.String() + "/replay"
	replay := func(body, key string) Replayed {
		return read[Replayed](d, http.StatusAccepted, http.MethodPost, path, body, "Idempotency-Key", key)
	}
	first := replay(`{"to":"mm#dev"}`, "k")
	if diff := cmp.Diff(Replayed{ID: first.ID, Status: "accepted", ReplayOf: id.String(), ReplayTo: "mm#dev"}, first); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if again := replay(`{"to":"mm#dev"}`, "k"); again != first {
		t.Errorf("sent again it is %+v, first %+v", again, first)
	}
	d.api.given = answers{} // as after a restart
	if again := replay(`{"to":"mm#dev"}`, "k"); again != first {
		t.Errorf("sent again after a restart it is %+v, first %+v", again, first)
	}
	if other := replay("", "k2"); other.ID == first.ID || other.ReplayTo != "" {
		t.Errorf("another request got %+v", other)
	}
	if a, b := replay("", ""), replay("", ""); a.ID == b.ID {
		t.Error("requests without a key are the same")
	}
	newID, err := queue.ParseID(first.ID)
	if err != nil {
		t.Fatal(err)
	}
	trace, err := d.queue.StoredWebhook(t.Context(), newID)
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := trace.Webhook.Replay(); r != (queue.Replay{Of: id, To: "mm#dev"}) {
		t.Errorf("stored as a replay of %+v", r)
	}
	e := get[EventDetail](d, "/api/v1/events/"+first.ID)
	if e.ReplayOf != id.String() || e.ReplayTo != "mm#dev" || !e.Webhook.FirstReceived.Equal(d.now) {
		t.Errorf("shown as a replay of %s to %s, which came %s", e.ReplayOf, e.ReplayTo, e.Webhook.FirstReceived)
	}
}

func TestDeadLetters(t *testing.T) {
	d := newDesk(t)
	var seqs []uint64
	for i, l := range []queue.Lane{dev, person, dev, dev} {
		seqs = append(seqs, d.bury(queue.ID{Seq: uint64(i + 1)}, l, d.now.Add(time.Duration(i)*time.Hour)))
	}
	numbers := func(list DeadLetterList) []uint64 {
		out := []uint64{}
		for _, l := range list.DeadLetters {
			out = append(out, l.ID)
		}
		return out
	}
	for query, want := range map[string][]uint64{
		"":                                     {seqs[3], seqs[2], seqs[1], seqs[0]},
		"?address=mm%23dev":                    {seqs[3], seqs[2], seqs[0]},
		"?address=mm":                          {seqs[3], seqs[2], seqs[1], seqs[0]},
		"?address=m":                           {},
		"?event_id=2-0":                        {seqs[1]},
		"?project=acme/**":                     {seqs[3], seqs[2], seqs[1], seqs[0]},
		"?project=other/**":                    {},
		"?limit=2":                             {seqs[3], seqs[2]},
		"?source=x":                            {},
		"?limit=2&page=" + fmt.Sprint(seqs[2]): {seqs[1], seqs[0]},
		"?until=" + d.now.Add(90*time.Minute).Format(time.RFC3339): {seqs[1], seqs[0]},
	} {
		if diff := cmp.Diff(want, numbers(get[DeadLetterList](d, "/api/v1/deadletters"+query))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	want := DeadLetter{
		ID: seqs[1], EventID: "2-0", Address: "mm@alice", Time: d.now.Add(time.Hour), Received: d.now, Reason: "refused [redacted]", Why: "@alice says refused [redacted]", Attempts: 3, Source: "gitlab",
		Event: "push", Project: "acme/api", Title: "Fix",
		Webhook: &Webhook{
			Source: "gitlab", Received: d.now, Headers: []Header{}, Size: len(`{"url":""}`) + len(canary), Body: json.RawMessage(`{"url":"[redacted]"}`),
			BodyPath: "/api/v1/events/2-0/body",
		},
	}
	if diff := cmp.Diff(want, get[DeadLetter](d, fmt.Sprintf("/api/v1/deadletters/%d", seqs[1]))); diff != "" {
		t.Errorf("one (-want +got):\n%s", diff)
	}

	// One goes to another address, and its answer can be had again; others to
	// their own, the oldest first; the rest is dropped.
	path := fmt.Sprintf("/api/v1/deadletters/%d/replay", seqs[1])
	one := read[Replayed](d, http.StatusAccepted, "POST", path, `{"to":"mm#reviews"}`, "Idempotency-Key", "k")
	if one.ReplayTo != "mm#reviews" || one.DeadLetter != seqs[1] || one.ReplayOf != "2-0" {
		t.Errorf("replayed as %+v", one)
	}
	if again := read[Replayed](d, http.StatusAccepted, "POST", path, `{"to":"mm#reviews"}`, "Idempotency-Key", "k"); again != one {
		t.Errorf("asked again under the same key: %+v", again)
	}
	if status, _ := d.ask("POST", path, ""); status != http.StatusNotFound {
		t.Errorf("asked again under no key: %d", status)
	}
	some := read[DeadLettersReplayed](d, http.StatusAccepted, "POST", "/api/v1/deadletters/replay", `{"address":"mm#dev","limit":2}`)
	if len(some.Replayed) != 2 || !some.More || some.Replayed[0].DeadLetter != seqs[0] || some.Replayed[1].DeadLetter != seqs[2] || some.Replayed[0].ReplayTo != "mm#dev" {
		t.Errorf("replayed %+v", some)
	}
	if purged := read[DeadLettersPurged](d, http.StatusOK, "POST", "/api/v1/deadletters/purge", `{"all":true}`); !cmp.Equal(purged.Purged, []uint64{seqs[3]}) || purged.More {
		t.Errorf("purged %+v", purged)
	}
	if left := get[DeadLetterList](d, "/api/v1/deadletters"); len(left.DeadLetters) != 0 {
		t.Errorf("left are %v", numbers(left))
	}
}

func TestParkedLanes(t *testing.T) {
	d := newDesk(t)
	id := d.store(`{}`)
	for _, l := range []queue.Lane{dev, person} {
		if _, err := d.queue.Park(t.Context(), l, []queue.Parked{{ID: id, Webhook: queue.Webhook{Received: d.now}}}); err != nil {
			t.Fatal(err)
		}
	}
	live := Lane{Address: "mm#dev", State: "broken", Since: d.now, Count: 4, Reason: "not_found", Error: "404", Next: d.now.Add(time.Minute)}
	whole := Destination{Name: "mm", State: "broken", Reason: "not_found", Error: "404"}
	d.relay.lanes = func(context.Context) (LaneList, error) {
		return LaneList{Lanes: []Lane{live}, Destinations: []Destination{whole, {Name: "else"}}}, nil
	}
	want := live
	want.Oldest, want.Event, want.Why = d.now, id.String(), "dev says 404"
	whole.Why = " says 404"
	if diff := cmp.Diff(LaneList{Lanes: []Lane{want}, Destinations: []Destination{whole}, Live: true}, get[LaneList](d, "/api/v1/parked?address=mm")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if list := get[LaneList](d, "/api/v1/parked?address=other"); len(list.Lanes) != 0 {
		t.Errorf("for another address: %+v", list)
	}

	// Without the relay that dispatches it is what the streams tell.
	d.relay.lanes = func(context.Context) (LaneList, error) { return LaneList{}, queue.ErrNobodyDispatches }
	d.relay.retry = func(context.Context, string) ([]TriedLane, error) { return nil, queue.ErrNobodyDispatches }
	list := get[LaneList](d, "/api/v1/parked?address=mm")
	stored := []Lane{
		{Address: "mm#dev", State: "parked", Oldest: d.now, Event: id.String()},
		{Address: "mm@alice", State: "parked", Oldest: d.now, Event: id.String()},
	}
	if diff := cmp.Diff(stored, list.Lanes); diff != "" || list.Live || list.Note == "" {
		t.Errorf("from the streams (-want +got), live %v, note %q:\n%s", list.Live, list.Note, diff)
	}
	if status, text := d.ask("POST", "/api/v1/parked/retry", ""); status != http.StatusServiceUnavailable || !strings.Contains(text, "no relay dispatches") {
		t.Errorf("retry: %d %s", status, text)
	}
	d.relay.retry = func(_ context.Context, address string) ([]TriedLane, error) {
		if address != "mm#dev" {
			t.Errorf("asked to retry %q", address)
		}
		return []TriedLane{{Address: address, Result: "failed", Error: "503"}}, nil
	}
	done := read[Retried](d, http.StatusOK, "POST", "/api/v1/parked/retry", `{"address":"mm#dev"}`)
	if diff := cmp.Diff(Retried{1, []TriedLane{{Address: "mm#dev", Result: "failed", Error: "503", Why: "dev says 503"}}}, done); diff != "" {
		t.Errorf("retried (-want +got):\n%s", diff)
	}
}

// A failure of the queue is told in one sentence, and its words are in the log
// alone.
func TestAPIFailure(t *testing.T) {
	d := newDesk(t)
	var log bytes.Buffer
	d.api.log = slog.New(slog.NewTextHandler(&log, nil))
	d.relay.retry = func(context.Context, string) ([]TriedLane, error) { return nil, errors.New("inner words") }
	status, text := d.ask("POST", "/api/v1/parked/retry", "")
	if status != http.StatusInternalServerError || strings.Contains(text, "inner") || !strings.Contains(log.String(), "inner words") {
		t.Errorf("%d %s\n%s", status, text, log.String())
	}
	d.relay.retry = func(context.Context, string) ([]TriedLane, error) {
		return nil, fmt.Errorf("%w: no room", queue.ErrDown)
	}
	if status, text := d.ask("POST", "/api/v1/parked/retry", ""); status != http.StatusServiceUnavailable || !strings.Contains(text, "cannot be written now") {
		t.Errorf("a full disk: %d %s", status, text)
	}
}

func TestSources(t *testing.T) {
	var k kept
	front := door(t, &k, io.Discard)
	answer(front, request("POST", "/hooks/gitlab", `{"a":1}`))
	answer(front, request("POST", "/new_event", `{"a":1}`))
	answer(front, request("POST", "/hooks/gitlab", `{"a":1}`, "X-Gitlab-Token", "wrong"))
	answer(front, request("POST", "/nowhere", `{}`))
	list := front.Sources()
	if len(list.Sources) != 1 || list.Since.IsZero() {
		t.Fatalf("got %+v", list)
	}
	s := list.Sources[0]
	if s.Last.IsZero() || s.LastRefused.Before(s.Last) {
		t.Errorf("last accepted %s, last refused %s", s.Last, s.LastRefused)
	}
	want := SourceStatus{
		Name: "gitlab", Paths: []string{"/hooks/gitlab", "/new_event"}, Proofs: map[string]uint64{"token": 2}, Accepted: 2, Refused: 1,
		Last: s.Last, LastRefused: s.LastRefused, LastResult: "unauthorized",
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.Proofs["token"] = 99
	if n := front.Sources().Sources[0].Proofs["token"]; n != 2 {
		t.Errorf("who asks can change the counts: %d", n)
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"90m": now.Add(-90 * time.Minute), "2h": now.Add(-2 * time.Hour), "3d": now.Add(-72 * time.Hour),
		"2026-01-31T14:00:00Z":      time.Date(2026, 1, 31, 14, 0, 0, 0, time.UTC),
		"2026-01-31T14:00:00+02:00": time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		"2026-01-31 14:00":          time.Date(2026, 1, 31, 14, 0, 0, 0, time.UTC),
		"2026-01-31":                time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC),
	} {
		if got, err := ParseTime(in, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "yesterday", "-2h", "d", "99999999d", "3"} {
		if got, err := ParseTime(in, now); err == nil {
			t.Errorf("%q: %s", in, got)
		}
	}
}

// What waits for an address is moved or dropped by the relay that dispatches, page by
// page.
func TestTakeParked(t *testing.T) {
	d := newDesk(t)
	var asked []Take
	d.relay.take = func(_ context.Context, t Take) (TakenParked, error) {
		asked = append(asked, t)
		out := TakenParked{Moved: []MovedMessage{{"1-0", "4-0"}}, Kept: []KeptMessage{{"2-0", "withheld"}}}
		if t.To == "" {
			out = TakenParked{Dropped: []string{"1-0"}}
		}
		if t.After == (queue.Place{}) {
			out.Behind(queue.Place{Seq: 7, Index: -1})
		}
		return out, nil
	}
	first := read[TakenParked](d, http.StatusOK, "POST", "/api/v1/parked/move", `{"address":"mm#old","to":"mm#new"}`)
	if diff := cmp.Diff(TakenParked{Moved: []MovedMessage{{"1-0", "4-0"}}, Dropped: []string{}, Kept: []KeptMessage{{"2-0", "withheld"}}, Next: first.Next}, first); diff != "" || first.Next == "" {
		t.Errorf("moved (-want +got), next %q:\n%s", first.Next, diff)
	}
	if last := read[TakenParked](d, http.StatusOK, "POST", "/api/v1/parked/drop", fmt.Sprintf(`{"address":"mm#old","page":%q}`, first.Next)); last.Next != "" || len(last.Dropped) != 1 {
		t.Errorf("dropped: %+v", last)
	}
	want := []Take{{Address: "mm#old", To: "mm#new"}, {Address: "mm#old", After: queue.Place{Seq: 7, Index: -1}}}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	for body, says := range map[string]string{
		`{"address":"mm#old"}`:                          "to: name the address",
		`{"to":"mm#new"}`:                               "address: name the one",
		`{"address":"mm#old","to":"mm#old"}`:            "wait for mm#old already",
		`{"address":"else","to":"mm#new"}`:              `address: there is no destination`,
		`{"address":"mm#old","to":"mm#new","page":"x"}`: "page: it takes",
		`{"address":"mm#old","to":"mm#new","all":true}`: "means nothing here",
	} {
		if status, text := d.ask("POST", "/api/v1/parked/move", body); status != http.StatusBadRequest || !strings.Contains(text, says) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	d.relay.take = nil
	if status, text := d.ask("POST", "/api/v1/parked/drop", `{"address":"mm#old"}`); status != http.StatusServiceUnavailable || !strings.Contains(text, "no relay dispatches") {
		t.Errorf("without the relay that dispatches: %d %s", status, text)
	}

	d.relay.lanes = func(context.Context) (LaneList, error) {
		return LaneList{Lanes: []Lane{{Address: "mm#unrouted"}, {Address: "mm#x"}}}, nil
	}
	list := get[LaneList](d, "/api/v1/parked")
	if len(list.Lanes) != 2 || !list.Lanes[0].Unrouted || list.Lanes[1].Unrouted {
		t.Errorf("unrouted: %+v", list.Lanes)
	}
}

// Events are counted by what they have in common, the noisiest first.
func TestEventCounts(t *testing.T) {
	d := newDesk(t)
	for _, one := range []struct {
		project, actor, outcome string
		lanes                   []queue.Lane
	}{
		{"acme/api", "ada", queue.OutcomeRouted, []queue.Lane{dev, person}},
		{"acme/api", "bob", queue.OutcomeRouted, []queue.Lane{dev}},
		{"acme/web", "ada", queue.OutcomeUnrouted, nil},
	} {
		rec := &queue.Decision{ID: d.store(`{}`), Time: d.now, Received: d.now, Source: "gitlab", Event: "push", Project: one.project, Actor: one.actor, Outcome: one.outcome}
		records := []queue.Record{rec}
		for _, l := range one.lanes {
			rec.Deliveries = append(rec.Deliveries, queue.Planned{Lane: l, Route: "R"})
			if l == dev {
				records = append(records, &queue.Settled{ID: rec.ID, Lane: l, Time: d.now, Outcome: queue.OutcomeDelivered})
			}
		}
		d.write(records...)
	}
	for path, want := range map[string]EventCounts{
		"by=project":           {By: "project", Events: 3, Counts: []EventCount{{"acme/api", 2, 2, 1}, {"acme/web", 1, 0, 0}}},
		"by=actor":             {By: "actor", Events: 3, Counts: []EventCount{{"ada", 2, 1, 1}, {"bob", 1, 1, 0}}},
		"by=address":           {By: "address", Events: 3, Counts: []EventCount{{"mm#dev", 2, 2, 0}, {"mm@alice", 1, 0, 1}}},
		"by=address&actor=bob": {By: "address", Events: 1, Counts: []EventCount{{"mm#dev", 1, 1, 0}}},
		"by=actor&event=issue": {By: "actor", Counts: []EventCount{}},
	} {
		if diff := cmp.Diff(want, get[EventCounts](d, "/api/v1/events?"+path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if list := get[EventList](d, "/api/v1/events?actor=bob"); len(list.Events) != 1 || list.Events[0].Actor != "bob" {
		t.Errorf("of bob: %+v", list.Events)
	}
	if status, text := d.ask(http.MethodGet, "/api/v1/events?by=team", ""); status != http.StatusBadRequest || !strings.Contains(text, "project, actor, address") {
		t.Errorf("by team: %d %s", status, text)
	}
}
