package events

import (
	"strings"
	"time"
)

// parseTime reads every form of date that GitLab sends, to UTC:
//
//	2013-12-03T17:15:43Z        2021-02-23T02:41:37.886Z
//	2012-01-03T23:36:29+02:00   2015-05-17 18:08:09 UTC
//	2021-04-28 21:50:00 +0200   2025-06-30
//
// Spaces within are of no account: GitLab's documentation has "T21: 00:25".
func parseTime(s string) (time.Time, bool) {
	p := timeParser{text: strings.TrimSpace(s), ok: true}
	year := p.digits(4, 0, 9999)
	p.skip('-')
	month := p.digits(2, 1, 12)
	p.skip('-')
	day := p.digits(2, 1, 31)
	if p.ok && p.ended() {
		return p.date(year, month, day, 0, 0, 0, 0, 0)
	}
	if !p.take(' ') && !p.take('T') && !p.take('t') {
		return time.Time{}, false
	}
	hour := p.digits(2, 0, 24)
	p.skip(':')
	minute := p.digits(2, 0, 59)
	second, nanosecond := 0, 0
	if p.take(':') {
		second = p.digits(2, 0, 60)
		if p.take('.') {
			nanosecond = p.fraction()
		}
	}
	return p.date(year, month, day, hour, minute, second, nanosecond, p.zone())
}

// timeParser reads a date from its start. Once ok is false it stays false.
type timeParser struct {
	text string
	at   int // how much of it was read
	ok   bool
}

func (p *timeParser) ended() bool { return p.at == len(p.text) }

// spaces takes what spaces there are.
func (p *timeParser) spaces() {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
}

func (p *timeParser) take(c byte) bool {
	if c != ' ' {
		p.spaces()
	}
	if p.ended() || p.text[p.at] != c {
		return false
	}
	p.at++
	return true
}

func (p *timeParser) skip(c byte) { p.ok = p.take(c) && p.ok }

func (p *timeParser) digits(n, low, high int) int {
	p.spaces()
	if len(p.text)-p.at < n {
		p.ok = false
		return 0
	}
	value := 0
	for _, c := range []byte(p.text[p.at : p.at+n]) {
		if !isDigit(c) {
			p.ok = false
			return 0
		}
		value = value*10 + int(c-'0')
	}
	p.at += n
	p.ok = p.ok && low <= value && value <= high
	return value
}

// fraction reads the digits after the point, to nanoseconds.
func (p *timeParser) fraction() int {
	value, unit := 0, int(time.Second)
	for ; !p.ended() && isDigit(p.text[p.at]); p.at++ {
		unit /= 10
		value += int(p.text[p.at]-'0') * unit
	}
	return value
}

// zone reads what follows the time, as seconds east of UTC. Nothing is UTC.
func (p *timeParser) zone() int {
	sign := 1
	switch {
	case p.take('Z'), p.take('z'):
		return 0
	case p.take('+'):
	case p.take('-'):
		sign = -1
	default:
		p.spaces()
		if strings.HasPrefix(p.text[p.at:], "UTC") {
			p.at += len("UTC")
		}
		return 0
	}
	hours := p.digits(2, 0, 23)
	minutes := 0
	if p.take(':') || !p.ended() {
		minutes = p.digits(2, 0, 59)
	}
	return sign * (hours*3600 + minutes*60)
}

func (p *timeParser) date(year, month, day, hour, minute, second, nanosecond, offset int) (time.Time, bool) {
	p.spaces()
	if !p.ok || !p.ended() {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanosecond, time.UTC)
	if t.Day() != day && hour < 24 { // 30 February
		return time.Time{}, false
	}
	return t.Add(-time.Duration(offset) * time.Second), true
}
