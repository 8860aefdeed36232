package events

import "strconv"

// Limits that no payload of GitLab's reaches, so that no payload can make its
// event much larger than itself.
const (
	maxFields   = 512    // keys of the payload itself
	maxObjects  = 5_000  // objects in one list: commits, jobs, people
	maxStrings  = 50_000 // strings in all lists together: paths, labels
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
	text, end := r.stringAt(v.place())
	r.read(v, end)
	return text
}

// stringAt is the string that starts at i, without quotes and escapes, and the
// place after it.
func (r *reader) stringAt(i int) (text string, end int) {
	quote, escaped := r.closingQuote(i)
	end = min(quote+1, len(r.json))
	text = r.json[i+1 : quote]
	if escaped {
		text = unescape(text)
	}
	return text, end
}

// raw is v as it is written.
func (r *reader) raw(v value) string {
	end := r.after(v)
	r.read(v, end)
	return r.json[v.place():end]
}

// closingQuote is the place of the closing quote of the string that starts at
// i; the end of the payload if there is none.
func (r *reader) closingQuote(i int) (quote int, escaped bool) {
	json := r.json
	for i = nextQuote(json, i+1); i < len(json); i = nextQuote(json, i+2) {
		if json[i] == '"' {
			return i, escaped
		}
		escaped = true
	}
	return len(json), escaped
}

// skip is the place after the value that starts at i.
func (r *reader) skip(i int) int {
	if i >= len(r.json) {
		return i
	}
	switch r.json[i] {
	case '"':
		quote, _ := r.closingQuote(i)
		return min(quote+1, len(r.json))
	case '{', '[':
		return r.skipContainer(i)
	case '}', ']', ',', ':', ' ', '\n', '\t', '\r':
		return i + 1
	}
	return r.wordEnd(i)
}

// skipContainer is the place after the object or array that starts at i: after
// as many closing brackets as there are opening ones.
func (r *reader) skipContainer(i int) int {
	json := r.json
	depth := 0
	for i < len(json) {
		switch json[i] {
		case '"':
			i, _ = r.closingQuote(i)
			i++
		case '{', '[':
			depth++
			i++
		case '}', ']':
			i++
			if depth--; depth == 0 {
				return i
			}
		default:
			i++
		}
		i = nextMark(json, i)
	}
	return len(json)
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
	for i < len(r.json) && between[r.json[i]] {
		i++
	}
	return i
}

// between are the bytes that stand between values.
var between = [256]bool{' ': true, '\n': true, '\t': true, '\r': true, ',': true, ':': true}

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
		key, end := d.stringAt(i)
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
			d.warn("list cut at " + strconv.Itoa(n))
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
