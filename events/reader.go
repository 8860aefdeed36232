package events

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// Limits that no payload of GitLab's reaches, so that no payload can make its
// event much larger than itself.
const (
	maxFields   = 512    // keys of the payload itself
	maxObjects  = 5_000  // objects in one list: commits, jobs, people
	maxStrings  = 50_000 // strings in all lists together: paths, labels
	maxWarnings = 20
)

// value is a JSON value of the payload. The zero value is null, and what a key
// says that is not there.
type value = gjson.Result

func isNull(v value) bool   { return v.Type == gjson.Null }
func isNumber(v value) bool { return v.Type == gjson.Number }

// each calls read with every key of the object v, which name names in
// warnings. What is neither an object nor null is a warning.
func (d *decoder) each(name string, v value, read func(key string, v value)) {
	if !v.IsObject() {
		if !isNull(v) {
			d.warnAt(name, "", "not an object")
		}
		return
	}
	outerIn, outerKey := d.in, d.key
	d.in = name
	v.ForEach(func(key, item value) bool {
		d.key = key.Str
		read(key.Str, item)
		return true
	})
	d.in, d.key = outerIn, outerKey
}

// list calls read with at most limit items of the array v.
func (d *decoder) list(v value, limit int, read func(v value)) {
	if !v.IsArray() {
		if !isNull(v) {
			d.warn("not a list")
		}
		return
	}
	n := 0
	v.ForEach(func(_, item value) bool {
		if n == limit {
			d.warn("list cut at " + strconv.Itoa(n))
			return false
		}
		n++
		read(item)
		return true
	})
}
