package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a bare host need not have the zones

	"go.yaml.in/yaml/v4"
)

// Times is a named part of time, such as office: any of its spans.
type Times struct {
	Name  string
	Pos   Pos
	Spans []Span
}

// Span is one entry of times: each of Days, Hours and Dates that is there must fit. It goes
// by the clock on the wall of its zone.
type Span struct {
	Days  []time.Weekday // none: every day
	Hours []Hours        // none: the whole day
	Dates []Dates        // none: every date
	Zone  *time.Location
}

// Hours are minutes of a day, the last one not included. If From is the greater, they go
// on after midnight, and belong to the day on which they begin.
type Hours struct{ From, To int }

// Dates are whole days, both included, as "2006-01-02".
type Dates struct{ From, To string }

// Include tells whether a moment is in the times.
func (t *Times) Include(at time.Time) bool {
	return slices.ContainsFunc(t.Spans, func(s Span) bool { return s.include(at) })
}

func (s *Span) include(at time.Time) bool {
	at = at.In(s.Zone)
	today := s.day(at)
	if len(s.Hours) == 0 {
		return today
	}
	minute := at.Hour()*60 + at.Minute()
	for _, h := range s.Hours {
		switch {
		case h.From < h.To:
			if today && h.From <= minute && minute < h.To {
				return true
			}
		case today && h.From <= minute, minute < h.To && s.day(at.AddDate(0, 0, -1)):
			return true
		}
	}
	return false
}

// day tells whether a day fits, whatever the hour.
func (s *Span) day(at time.Time) bool {
	date := at.Format(time.DateOnly)
	return (len(s.Days) == 0 || slices.Contains(s.Days, at.Weekday())) &&
		(len(s.Dates) == 0 || slices.ContainsFunc(s.Dates, func(d Dates) bool { return d.From <= date && date <= d.To }))
}

const maxSpans = 100 // of one name, and days, hours or dates of one span

var spanKeys = keyTable{
	{"days", anyTexts, "mon-fri, or a list; default: every day"},
	{"hours", anyTexts, "\"08:00-18:00\", or a list; over midnight they belong to the day they begin on; default: the whole day"},
	{"dates", anyTexts, "2026-12-24 or 2026-12-24..2027-01-01, or a list; both days included"},
	{"zone", anyText, "the time zone, as Europe/Berlin"},
}

// readTimes reads `times`, which are the file's own as its lists are.
func (r *reader) readTimes(top object) {
	f, ok := top.fields["times"]
	if !ok {
		return
	}
	o, ok := r.entries(f.value, "times")
	if !ok {
		return
	}
	r.nothing(f, "times")
	r.times = map[string]*namedTimes{}
	for _, name := range o.order {
		entry := o.fields[name]
		if !r.name("part of time", entry.key) {
			continue
		}
		where := fmt.Sprintf("times %q", name)
		named := &namedTimes{Times: Times{Name: name, Pos: r.pos(entry.key)}, key: entry.key}
		wrong := len(r.found)
		entries := []*yaml.Node{entry.value}
		if entry.value.Kind == yaml.SequenceNode {
			entries = entry.value.Content
		}
		if len(entries) == 0 || len(entries) > maxSpans {
			r.errorf(entry.key, "write {days: mon-fri, hours: \"08:00-18:00\", zone: Europe/Berlin}", "%s has no entry, or more than %d", where, maxSpans)
		}
		for _, n := range entries {
			if s, ok := r.span(n, where); ok {
				named.Spans = append(named.Spans, s)
			}
		}
		if len(r.found) > wrong {
			named.used = true
		} else if named.always() {
			named.used = true
			r.errorf(entry.key, "leave some time out, or leave the condition out", "%s is all the time", where)
		}
		r.times[name] = named
		r.timesNames = append(r.timesNames, name)
	}
}

// namedTimes is an entry of `times`.
type namedTimes struct {
	Times
	key  *yaml.Node
	used bool
}

func (r *reader) span(n *yaml.Node, where string) (Span, bool) {
	var s Span
	o, ok := r.object(n, where, spanKeys)
	if !ok {
		return s, false
	}
	wrong := len(r.found)
	for _, v := range r.few(o, "days") {
		s.Days = append(s.Days, r.days(v, where)...)
	}
	for _, v := range r.few(o, "hours") {
		if h, ok := r.hours(v, where); ok {
			s.Hours = append(s.Hours, h)
		}
	}
	for _, v := range r.few(o, "dates") {
		if d, ok := r.dates(v, where); ok {
			s.Dates = append(s.Dates, d)
		}
	}
	if v, ok := r.scalar(o, "zone"); ok {
		s.Zone = r.zone(v, where)
	} else if !o.has("zone") && !o.meant["zone"] {
		r.errorf(n, "add zone: Europe/Berlin, or whatever your clocks show", "%s does not say in which time zone it is", where)
	}
	return s, len(r.found) == wrong
}

// few reads a list of no more than maxSpans values.
func (r *reader) few(o object, key string) []value {
	values, _ := r.list(o, key)
	return r.atMost(values, maxSpans, o, key)
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // in the order of time.Weekday

// weekday is the day that a word means; not ok if it does not say so as the file does.
func weekday(word string) (day time.Weekday, meant, ok bool) {
	low := strings.ToLower(strings.TrimSpace(word))
	for i, name := range weekdays {
		full := strings.ToLower(time.Weekday(i).String())
		if len(low) >= 3 && (strings.HasPrefix(full, low) || low == name+"s" || low == full+"s") {
			return time.Weekday(i), true, word == name
		}
	}
	return 0, false, false
}

var betweenDays = regexp.MustCompile(`\s*(?:-|–|:|\.\.|\bto\b)\s*`)

// days reads "sat", or "mon-fri" from the one to the other.
func (r *reader) days(v value, where string) []time.Weekday {
	words := betweenDays.Split(strings.TrimSpace(v.text), 3)
	var list []time.Weekday
	plain := true
	for _, w := range words {
		day, meant, ok := weekday(w)
		if !meant {
			list = nil
			break
		}
		list, plain = append(list, day), plain && ok
	}
	better := map[string]string{"weekday": "mon-fri", "weekdays": "mon-fri", "workdays": "mon-fri", "weekend": "sat-sun", "weekends": "sat-sun"}[strings.ToLower(v.text)]
	if list != nil && len(list) <= 2 {
		better = weekdays[list[0]]
		if len(list) == 2 {
			better += "-" + weekdays[list[1]]
		}
	}
	if better == v.text && plain {
		return daysFrom(list)
	}
	hint := "it takes " + strings.Join(weekdays[1:], ", ") + ", sun, or mon-fri"
	if better != "" && v.text == v.node.Value {
		hint = fmt.Sprintf("did you mean %q?", better)
	}
	r.errorf(v.node, hint, "%q is no day, in days of %s", v.shown(), where)
	return nil
}

func daysFrom(list []time.Weekday) []time.Weekday {
	if len(list) < 2 {
		return list
	}
	out := []time.Weekday{list[0]}
	for d := list[0]; d != list[1]; {
		d = (d + 1) % 7
		out = append(out, d)
	}
	return out
}

var (
	hoursPattern = regexp.MustCompile(`^(\d\d):(\d\d)-(\d\d):(\d\d)$`)
	looseHours   = regexp.MustCompile(`^(\d{1,2})(?:[:.h](\d\d))?\s*(?:-|–|\.\.|to)\s*(\d{1,2})(?:[:.h](\d\d))?$`)
)

const minutesOfDay = 24 * 60

// hours reads "08:00-18:00".
func (r *reader) hours(v value, where string) (Hours, bool) {
	m := hoursPattern.FindStringSubmatch(v.text)
	if m == nil {
		hint := `write "08:00-18:00"`
		if loose := looseHours.FindStringSubmatch(strings.TrimSpace(v.text)); loose != nil && v.text == v.node.Value {
			hint = fmt.Sprintf("did you mean %q?", fmt.Sprintf("%02s:%02s-%02s:%02s", loose[1], zeros(loose[2]), loose[3], zeros(loose[4])))
		}
		r.errorf(v.node, hint, "%q is no span of hours, in hours of %s", v.shown(), where)
		return Hours{}, false
	}
	h := Hours{minutes(m[1], m[2]), minutes(m[3], m[4])}
	switch {
	case h.From < 0 || h.To < 0 || h.From == minutesOfDay:
		r.errorf(v.node, `a day is "00:00-24:00"`, "%q is no span of hours, in hours of %s", v.shown(), where)
	case h.From == h.To || h.From == 0 && h.To == 0:
		r.errorf(v.node, `leave hours out for the whole day`, "%q is no time at all: its end is not included, in hours of %s", v.shown(), where)
	default:
		return h, true
	}
	return h, false
}

func zeros(minutes string) string {
	if minutes == "" {
		return "00"
	}
	return minutes
}

// minutes is a time of day; -1 if there is none such.
func minutes(hour, minute string) int {
	h, _ := strconv.Atoi(hour) // two digits
	m, _ := strconv.Atoi(minute)
	if all := h*60 + m; m < 60 && all <= minutesOfDay {
		return all
	}
	return -1
}

var otherDate = regexp.MustCompile(`^(\d{1,2})[./-](\d{1,2})[./-](\d{4})$`)

// dates reads "2026-12-24", or "2026-12-24..2027-01-01".
func (r *reader) dates(v value, where string) (Dates, bool) {
	from, to, two := strings.Cut(v.text, "..")
	if !two {
		to = from
	}
	first, wrong := time.Parse(time.DateOnly, from)
	last, also := time.Parse(time.DateOnly, to)
	hint := "write 2026-12-24, or 2026-12-24..2027-01-01"
	switch loose := strings.NewReplacer(" - ", "..", " to ", "..", " ", "", "–", "..", "/", "..", ":", "..").Replace(v.text); {
	case wrong == nil && also == nil && !last.Before(first):
		return Dates{from, to}, true
	case wrong == nil && also == nil:
		r.errorf(v.node, fmt.Sprintf("did you mean \"%s..%s\"?", to, from), "%q ends before it begins, in dates of %s", v.shown(), where)
		return Dates{}, false
	case v.text != v.node.Value:
	case otherDate.MatchString(v.text):
		m := otherDate.FindStringSubmatch(v.text)
		hint = fmt.Sprintf("write the year first: %s-%02s-%02s, if that is meant", m[3], m[2], m[1])
	case isDates(loose):
		hint = fmt.Sprintf("did you mean %q?", loose)
	}
	r.errorf(v.node, hint, "%q is no date, in dates of %s", v.shown(), where)
	return Dates{}, false
}

func isDates(s string) bool {
	for d := range strings.SplitSeq(s, "..") {
		if _, err := time.Parse(time.DateOnly, d); err != nil {
			return false
		}
	}
	return true
}

// zone reads the name of a time zone.
func (r *reader) zone(v value, where string) *time.Location {
	if z, err := zoneNamed(v.text); err == nil {
		return z
	}
	hint := "it is a name such as Europe/Berlin, or UTC"
	if city := titled(v.text); v.text == v.node.Value {
		for _, name := range []string{city, "Europe/" + city, "America/" + city, "Asia/" + city, "Africa/" + city, "Australia/" + city, "Pacific/" + city, strings.ToUpper(v.text)} {
			if _, err := zoneNamed(name); err == nil {
				hint = fmt.Sprintf("did you mean %q?", name)
				break
			}
		}
	}
	r.errorf(v.node, hint, "%q is no time zone, in zone of %s", v.shown(), where)
	return nil
}

// zoneNamed finds a zone; the machine's own has no name that means the same elsewhere.
func zoneNamed(name string) (*time.Location, error) {
	if name == "" || name == "Local" || strings.Contains(name, "//") {
		return nil, fmt.Errorf("%q is no time zone", name)
	}
	return time.LoadLocation(name)
}

// titled is "Europe/Berlin" for "europe/berlin", and "New_York" for "new york".
func titled(s string) string {
	out := []byte(strings.ToLower(strings.ReplaceAll(s, " ", "_")))
	for i, c := range out {
		if (i == 0 || out[i-1] == '/' || out[i-1] == '_') && 'a' <= c && c <= 'z' {
			out[i] = c - 'a' + 'A'
		}
	}
	return string(out)
}

// always tells whether no moment of the week is left out.
func (t *Times) always() bool {
	var week [7][minutesOfDay]bool
	for _, s := range t.Spans {
		hours := s.Hours
		if len(hours) == 0 {
			hours = []Hours{{0, minutesOfDay}}
		}
		for d := range time.Weekday(7) {
			if len(s.Dates) > 0 || len(s.Days) > 0 && !slices.Contains(s.Days, d) {
				continue
			}
			for _, h := range hours {
				end := h.To
				if h.From >= h.To {
					end += minutesOfDay
				}
				for m := h.From; m < end; m++ {
					week[(int(d)+m/minutesOfDay)%7][m%minutesOfDay] = true
				}
			}
		}
	}
	for d := range week {
		if slices.Contains(week[d][:], false) {
			return false
		}
	}
	return len(t.Spans) > 0
}
