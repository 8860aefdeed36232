package queue

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// Where room is short, settled history goes before its time, which is said; what
// is not settled stays.
func TestHistoryMakesRoom(t *testing.T) {
	log := &lockedBuffer{}
	q := open(t, Options{EventsSize: 1 << 20, MaxBody: 100 << 10, Log: slog.New(slog.NewTextHandler(log, nil))})
	var id ID
	for !q.Tight(t.Context()) {
		id = store(t, q, fmt.Sprintf(`{"x":%q}`, noise(90<<10)))
	}
	settled := id.Seq - 2
	if err := q.Tidy(t.Context(), Checkpoint{Cursor: settled}, 72*time.Hour); err != nil {
		t.Fatal(err)
	}
	info, err := q.events.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.State.FirstSeq != settled+1 || q.Tight(t.Context()) {
		t.Errorf("the first one kept is %d, want %d", info.State.FirstSeq, settled+1)
	}
	want := fmt.Sprintf(`msg="history went before its time for want of room" stream=RELAY_EVENTS messages=%d`, settled)
	if !strings.Contains(log.String(), want) {
		t.Errorf("not said: %s\n%s", want, log)
	}
	if err := q.Tidy(t.Context(), Checkpoint{Cursor: settled}, 72*time.Hour); err != nil || strings.Count(log.String(), "before its time") != 1 {
		t.Errorf("said again (%v):\n%s", err, log)
	}
}
