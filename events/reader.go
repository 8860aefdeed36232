package events

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// Limits that no payload of GitLab's reaches, so that no payload can make its
// event much larger than itself.
const (
	maxFields   = 512    // keys of the payload itself
	maxObjects  = 5_000  // objects in one list: commits, jobs, people
	maxStrings  = 50_000 // strings in one list: paths, labels
	maxWarnings = 20
)

// value is a JSON value, by the place where it starts in the payload, counted
// from 1.
type value int

// absent is the value of a key that is not there; it reads as null.
const absent value = 0

func at(i int) value       { return value(i + 1) }
func (v value) place() int { return int(v) - 1 }

// reader walks a payload in place, each level once: what a caller reads of a
// value need not be skipped again. It takes no care to find mistakes (that is
// [CheckObject]'s), but makes do with any text: where a payload breaks off,
// reading ends.
type reader struct {
	json string
	last value // the value read last
	end  int   // where it ends
}

// sort tells what v is by one byte: '{', '[', '"', 't', 'f', 'n' for null, and
// '0' for a number or what passes for one.
func (r *reader) sort(v value) byte {
	if v == absent || v.place() >= len(r.json) {
		return 'n'
	}
	switch c := r.json[v.place()]; c {
	case '{', '[', '"', 't', 'f', 'n':
		return c
	}
	return '0'
}

func (r *reader) isNull(v value) bool   { return r.sort(v) == 'n' }
func (r *reader) isObject(v value) bool { return r.sort(v) == '{' }
func (r *reader) isArray(v value) bool  { return r.sort(v) == '[' }
func (r *reader) isNumber(v value) bool { return r.sort(v) == '0' }

// read notes that v was read, up to end.
func (r *reader) read(v value, end int) { r.last, r.end = v, end }

// after is the place after v: known if v was read, else found by skipping it.
func (r *reader) after(v value) int {
	if r.last == v {
		return r.end
	}
	return r.skip(v.place())
}

// text is the string v, without quotes and escapes.
func (r *reader) text(v value) string {
	end, escaped := r.stringEnd(v.place())
	r.read(v, end)
	return r.unquote(v.place(), end, escaped)
}

func (r *reader) unquote(start, end int, escaped bool) string {
	if escaped {
		return gjson.Parse(r.json[start:end]).Str
	}
	return strings.TrimSuffix(r.json[start+1:end], `"`)
}

// raw is v as it is written.
func (r *reader) raw(v value) string {
	end := r.after(v)
	r.read(v, end)
	return r.json[v.place():end]
}

// stringEnd is the place after the closing quote of the string that starts at
// i; the end of the payload if there is none.
func (r *reader) stringEnd(i int) (end int, escaped bool) {
	json := r.json
	for i++; i < len(json); i++ {
		switch json[i] {
		case '"':
			return i + 1, escaped
		case '\\':
			escaped = true
			i++
		}
	}
	return len(json), escaped
}

// skip is the place after the value that starts at i.
func (r *reader) skip(i int) int {
	depth := 0
	for i < len(r.json) {
		switch r.json[i] {
		case '"':
			i, _ = r.stringEnd(i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\n', '\t', '\r':
			i++
		default:
			i = r.wordEnd(i)
		}
		if depth <= 0 {
			return i
		}
	}
	return i
}

// wordEnd is the place after the number or literal that starts at i; after i at
// least.
func (r *reader) wordEnd(i int) int {
	for i++; i < len(r.json); i++ {
		switch r.json[i] {
		case ',', ':', ' ', '\n', '\t', '\r', '}', ']', '{', '[', '"':
			return i
		}
	}
	return i
}

// space is the first place from i that is no space, comma or colon.
func (r *reader) space(i int) int {
	for i < len(r.json) {
		switch r.json[i] {
		case ' ', '\n', '\t', '\r', ',', ':':
			i++
		default:
			return i
		}
	}
	return i
}

// each calls read with every key of the object v, which name names in
// warnings. What is neither an object nor null is a warning.
func (d *decoder) each(name string, v value, read func(key string, v value)) {
	if d.sort(v) != '{' {
		if !d.isNull(v) {
			d.warnAt(name, "", "not an object")
		}
		return
	}
	outerIn, outerKey := d.in, d.key
	d.in = name
	i := d.space(v.place() + 1)
	for i < len(d.json) && d.json[i] == '"' {
		end, escaped := d.stringEnd(i)
		key := d.unquote(i, end, escaped)
		i = d.space(end)
		if i == len(d.json) {
			break
		}
		d.key = key
		item := at(i)
		read(key, item)
		i = d.space(d.after(item))
	}
	d.in, d.key = outerIn, outerKey
	d.read(v, d.closed(i, '}'))
}

// list calls read with at most limit items of the array v.
func (d *decoder) list(v value, limit int, read func(v value)) {
	if !d.isArray(v) {
		if !d.isNull(v) {
			d.warn("not a list")
		}
		return
	}
	i := d.space(v.place() + 1)
	for n := 0; i < len(d.json) && d.json[i] != ']'; n++ {
		if n == limit {
			d.warn("list cut at " + strconv.Itoa(limit))
			return
		}
		item := at(i)
		read(item)
		i = d.space(d.after(item))
	}
	d.read(v, d.closed(i, ']'))
}

// closed is the place after the bracket at i; the end of the payload if it is
// not there.
func (d *decoder) closed(i int, bracket byte) int {
	if i < len(d.json) && d.json[i] == bracket {
		return i + 1
	}
	return len(d.json)
}
