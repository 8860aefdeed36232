package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/events"
)

func TestFresh(t *testing.T) {
	now := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	in := `{"a":"2026-11-20 10:00:00 UTC","b":"2026-11-20T11:00:30Z","c":"2026-11-20T10:00:00.250Z","d":"2026-11-20 12:00:00 +0200","e":"2026-11-20T12:00:00+02:00","due":"2026-12-01","t":"at 2026-11-20 10:00:00 UTC we met"}`
	want := `{"a":"2031-05-06 06:07:39 UTC","b":"2031-05-06T07:08:09Z","c":"2031-05-06T06:07:39.250Z","d":"2031-05-06 08:07:39 +0200","e":"2031-05-06T08:07:39+02:00","due":"2026-12-01","t":"at 2026-11-20 10:00:00 UTC we met"}`
	if got := fresh([]byte(in), now); string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := fresh([]byte(`{}`), now); string(got) != `{}` {
		t.Errorf("without times: %s", got)
	}
}

// No sample has a time in a form that fresh does not know.
func TestFreshKnowsEverySample(t *testing.T) {
	now := time.Now()
	for _, s := range events.Samples() {
		for _, text := range timestamp.FindAll(s.Body, -1) {
			if _, _, ok := parseTimestamp(text); !ok {
				t.Errorf("%s: %s is in no known form", s.Name, text)
			}
		}
		if timestamp.Match(s.Body) && bytes.Equal(fresh(s.Body, now), s.Body) {
			t.Errorf("%s: its times were not moved", s.Name)
		}
		e := events.Decode(events.Input{Header: s.Header, Body: fresh(s.Body, now)})
		if late := now.Sub(e.Time); !e.Time.IsZero() && late > 8*time.Minute {
			t.Errorf("%s: its event is %s old", s.Name, late)
		}
	}
}
