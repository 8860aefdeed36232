package configs

import (
	"testing"
	"time"
)

// TestTimes asks the times of testdata/good about moments.
func TestTimes(t *testing.T) {
	cfg, _ := Load("testdata/good/all_keys.yaml", testEnv)
	named := map[string]*Times{}
	for _, n := range append(cfg.Routes[2].When[0].Named, cfg.Routes[2].Except.Named...) {
		named[n.Name] = n
	}
	for _, c := range []struct {
		at   string
		want string // the names that it is in
	}{
		{"2026-12-07 08:00 Europe/Berlin", "office"},                  // a Monday; the end of nights is not included
		{"2026-12-07 07:59 Europe/Berlin", "nights"},                  //
		{"2026-12-07 12:00 Europe/Berlin", ""},                        // between two spans of hours
		{"2026-12-07 12:00 UTC", "office"},                            // 13:00 there
		{"2026-12-07 18:59 Europe/Berlin", "office"},                  //
		{"2026-12-07 19:00 Europe/Berlin", "nights"},                  //
		{"2026-12-05 12:30 Europe/Berlin", "weekend"},                 // a Saturday
		{"2026-12-04 18:30 UTC", "nights weekend"},                    // a Friday: the second entry
		{"2026-12-04 23:59 UTC", "nights weekend"},                    //
		{"2026-12-24 12:30 Europe/Berlin", "holidays"},                // dates are whole days, both included
		{"2027-01-01 23:59 Europe/Berlin", "nights weekend holidays"}, // a Friday
		{"2027-01-02 00:00 Europe/Berlin", "nights weekend"},          //
		{"2026-12-23 23:30 UTC", "nights holidays"},                   // half past twelve there
		{"2027-05-01 09:00 Europe/Berlin", "weekend holidays"},        // a date alone
		{"2026-07-06 17:30 UTC", "nights"},                            // 19:30 there, in summer
	} {
		at, err := ParseMoment(c.at)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, name := range []string{"office", "nights", "weekend", "holidays"} {
			if named[name].Include(at) {
				got += " " + name
			}
		}
		if got = trimmed(got); got != c.want {
			t.Errorf("%s is in %q, want %q", c.at, got, c.want)
		}
	}
}

func trimmed(s string) string {
	if s != "" {
		return s[1:]
	}
	return s
}

// TestHoursOverMidnight: they belong to the day on which they begin.
func TestHoursOverMidnight(t *testing.T) {
	friday := Times{Spans: []Span{{Days: []time.Weekday{time.Friday}, Hours: []Hours{{22 * 60, 6 * 60}}, Zone: time.UTC}}}
	for at, want := range map[string]bool{
		"2026-12-04 21:59 UTC": false, "2026-12-04 22:00 UTC": true, "2026-12-05 05:59 UTC": true, "2026-12-05 06:00 UTC": false,
		"2026-12-04 05:00 UTC": false, "2026-12-05 22:00 UTC": false,
	} {
		moment, err := ParseMoment(at)
		if err != nil || friday.Include(moment) != want {
			t.Errorf("%s: %v, want %v, %v", at, friday.Include(moment), want, err)
		}
	}
}

func TestParseMoment(t *testing.T) {
	want := time.Date(2026, 12, 5, 21, 30, 0, 0, time.UTC)
	for _, s := range []string{"2026-12-05T22:30:00+01:00", "2026-12-05 22:30 Europe/Berlin", "2026-12-05T21:30Z", "2026-12-05 22:30+01:00", "2026-12-05 22:30:00 +01:00", "2026-12-05 21:30 UTC"} {
		if got, err := ParseMoment(s); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "2026-12-05 22:30", "2026-12-05 22:30 Local", "22:30 UTC", "2026-12-05 22:30 Nowhere", "now"} {
		if got, err := ParseMoment(s); err == nil {
			t.Errorf("%q is read as %v", s, got)
		}
	}
}
