package configs

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// timesKey reads `times` of conditions: names of the file's times.
func (r *reader) timesKey(o object) (*List, []*Times) {
	f, ok := o.fields["times"]
	if !ok {
		return nil, nil
	}
	values, _ := r.list(o, "times")
	list := &List{Key: "times", Pos: r.pos(f.key)}
	var named []*Times
	for _, v := range values {
		t := r.times[v.text]
		if t == nil {
			r.unknownTimes(o, v)
			continue
		}
		t.used = true
		list.Values = append(list.Values, Pattern{Text: v.text, Pos: r.pos(v.node), Written: v.written()})
		named = append(named, &t.Times)
	}
	if len(named) == 0 {
		return nil, nil
	}
	return list, named
}

func (r *reader) unknownTimes(o object, v value) {
	hint := `times are written times: {office: {days: mon-fri, hours: "08:00-18:00", zone: Europe/Berlin}}, at the top of the same file`
	if len(r.timesNames) > 0 {
		hint = "there is " + clip(strings.Join(r.timesNames, ", "))
	}
	bare := strings.ToLower(strings.Trim(v.text, "${}"))
	switch s := Suggest(bare, r.timesNames); {
	case v.text != v.node.Value:
		hint = "look at what the environment makes of it"
	case r.times[bare] != nil:
		hint = fmt.Sprintf("did you mean %q?", bare)
	case s != "":
		hint = fmt.Sprintf("did you mean %q?", s)
	case r.included && slices.Contains(r.mainTimes, bare):
		hint = "the main file has it; an included file sees only its own times: write it there too"
	}
	r.errorf(v.node, hint, "unknown name %q in times of %s", v.shown(), o.where)
}

// unusedTimes warns of times that the file never names.
func (r *reader) unusedTimes() {
	for _, name := range r.timesNames {
		if t := r.times[name]; !t.used {
			r.warnf(t.key, "name it in when or except of a route: times: "+name+", or remove it", "times %q is never used", harmless(name))
		}
	}
}

// ParseMoment reads a moment that says its zone: 2026-12-05T22:30:00+01:00, or
// "2026-12-05 22:30 Europe/Berlin".
func ParseMoment(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02 15:04Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04 Z07:00", "2006-01-02 15:04:05 Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	moment, zone := s, ""
	if i := strings.LastIndexByte(s, ' '); i > 0 {
		moment, zone = s[:i], s[i+1:]
	}
	if z, err := zoneNamed(zone); err == nil {
		for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
			if t, err := time.ParseInLocation(layout, moment, z); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf(`%q is no moment with a time zone, such as "2026-12-05 22:30 Europe/Berlin"`, clip(s))
}

// moment reads when the event of a test comes.
func (r *reader) moment(o object) time.Time {
	v, ok := r.scalar(o, "at")
	if !ok {
		return time.Time{}
	}
	t, err := ParseMoment(v.text)
	if err != nil {
		hint := `write "2026-12-05 22:30 Europe/Berlin", or 2026-12-05T22:30:00+01:00`
		if _, err := ParseMoment(v.text + " UTC"); err == nil {
			hint = fmt.Sprintf(`add the zone: "%s Europe/Berlin"`, v.shown())
		}
		r.errorf(v.node, hint, "%q is no moment with a time zone, in at of %s", v.shown(), o.where)
	}
	return t
}
