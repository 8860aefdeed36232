package events

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// str reads a string. Numbers and booleans are taken as written.
func (d *decoder) str(v value) string {
	switch v.Type {
	case gjson.String:
		return v.Str
	case gjson.Number, gjson.True, gjson.False:
		return v.Raw
	case gjson.JSON:
		d.warn("not a string")
	}
	return ""
}

// url reads a web address. Anything else than http and https is none.
func (d *decoder) url(v value) string {
	s := d.str(v)
	if s == "" || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") {
		return s
	}
	d.warn("not a web address")
	return ""
}

// plainText is what a string or number holds, without outer spaces.
func plainText(v value) string {
	if v.Type == gjson.String {
		return strings.TrimSpace(v.Str)
	}
	return v.Raw
}

// integer reads a whole number, also from a string or a float.
func (d *decoder) integer(v value) int64 {
	switch v.Type {
	case gjson.Null:
		return 0
	case gjson.Number, gjson.String:
		text := plainText(v)
		if text == "" {
			return 0
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(f) < 1<<62 {
			return int64(f)
		}
	}
	d.warn("not a number")
	return 0
}

// boolean reads true or false, also from a number or a string.
func (d *decoder) boolean(v value) bool {
	b, ok := d.truth(v)
	if !ok {
		d.warn("neither true nor false")
	}
	return b
}

// truth reads v as a boolean; null is false. ok is false for what cannot be
// read as one.
func (d *decoder) truth(v value) (b, ok bool) {
	switch v.Type {
	case gjson.True:
		return true, true
	case gjson.False, gjson.Null:
		return false, true
	case gjson.Number, gjson.String:
		switch strings.ToLower(plainText(v)) {
		case "true", "t", "yes", "1":
			return true, true
		case "false", "f", "no", "0", "":
			return false, true
		}
	}
	return false, false
}

// seconds reads a duration in seconds.
func (d *decoder) seconds(v value) time.Duration {
	const longest = 1 << 33 // seconds; what a Duration can hold
	switch v.Type {
	case gjson.Null:
		return 0
	case gjson.Number, gjson.String:
		text := plainText(v)
		if text == "" {
			return 0
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil && f >= 0 && f < longest {
			return time.Duration(f * float64(time.Second))
		}
	}
	d.warn("not a number of seconds")
	return 0
}

// time reads a point in time; what cannot be read is zero, with a warning.
func (d *decoder) time(v value) time.Time {
	switch v.Type {
	case gjson.Null:
		return time.Time{}
	case gjson.String:
		text := v.Str
		if text == "" {
			return time.Time{}
		}
		if t, ok := parseTime(text); ok {
			return t
		}
	case gjson.Number:
		const last = 253402300799 // 9999-12-31T23:59:59Z
		if f, err := strconv.ParseFloat(v.Raw, 64); err == nil && f > 0 && f <= last {
			return time.Unix(int64(f), 0).UTC()
		}
	}
	d.warn("not a date")
	return time.Time{}
}

// date reads a day, as YYYY-MM-DD: as written, whatever its zone.
func (d *decoder) date(v value) string {
	t := d.time(v)
	if t.IsZero() {
		return ""
	}
	const day = "2006-01-02"
	if s := d.str(v); len(s) == len(day) || len(s) > len(day) && (s[len(day)] == 'T' || s[len(day)] == ' ') {
		return s[:len(day)]
	}
	return t.Format(day)
}

// warn notes that the value being read could not be.
func (d *decoder) warn(problem string) { d.warnAt(d.in, d.key, problem) }

func (d *decoder) warnAt(in, key, problem string) {
	if len(d.event.Warnings) >= maxWarnings {
		return
	}
	place := in
	if place != "" && key != "" {
		place += "."
	}
	place += key
	const longest = 80
	if len(place) > longest {
		place = strings.ToValidUTF8(place[:longest], "") + "…"
	}
	if place != "" {
		problem = place + ": " + problem
	}
	d.event.Warnings = append(d.event.Warnings, problem)
}
