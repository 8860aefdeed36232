package events

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/tidwall/gjson"
)

// Input is a webhook as it came.
type Input struct {
	Source string // name of the source that sent it
	Header string // X-Gitlab-Event
	Body   []byte // the payload; the event keeps it, so do not write to it

	Instance string // X-Gitlab-Instance: the address of the GitLab, if it came
	Version  string // the GitLab's version, "17.5.1-ee", if its User-Agent has it
}

// Decode reads a webhook. It never fails: what it cannot read is left zero and
// told in Event.Warnings, and what it does not know becomes an event of kind
// [System] or [Other].
//
// The body decides what the event is: its object_kind, else its event_name. The
// header speaks where the body does not, and marks what is confidential. In
// doubt an issue, or a note on one, is confidential.
//
// A push is Forced only where the payload proves it: a branch that moved though
// no commit was added, so it went back to an older commit. GitLab does not mark
// force-pushes; one that brings new commits looks like any other push.
func Decode(in Input) *Event {
	event := &Event{
		Source:   in.Source,
		Header:   strings.ToValidUTF8(in.Header, "\uFFFD"),
		Instance: strings.ToValidUTF8(in.Instance, "\uFFFD"),
		Version:  strings.ToValidUTF8(in.Version, "\uFFFD"),
		Material: true,
		Payload:  in.Body,
	}
	d := decoder{event: event, payload: share(in.Body)}
	if !utf8.ValidString(d.payload) {
		d.payload = strings.ToValidUTF8(d.payload, "\uFFFD")
		d.warnAt("", "", "not valid UTF-8")
	}
	var room [48]field
	d.fields = room[:0]
	d.readFields(gjson.Parse(d.payload))
	d.header = headerMeaning(event.Header)
	d.word = d.str(d.get("object_kind"))
	if d.word == "" {
		d.word = d.str(d.get("event_name"))
	}
	d.readKind()
	d.finish()
	return event
}

// share is the body as a string without a copy, so that an event and all its
// strings take the payload's memory once, be it 25 MB. It is what forbids to
// write to a body that was decoded.
func share(body []byte) string { return unsafe.String(unsafe.SliceData(body), len(body)) }

// decoder is the state of one Decode.
type decoder struct {
	event   *Event
	payload string  // as [Event.Payload], in valid UTF-8
	fields  []field // of the payload itself
	header  meaning
	word    string // object_kind or event_name

	in, key string // what is being read, for warnings
	strings int    // how many were read in lists

	folder    bool // the group is known by the last folder of its path only
	suspected bool // an issue or comment in it says that it is confidential
}

// field is one key of the payload.
type field struct {
	key   string
	value value
}

func (d *decoder) readFields(root value) {
	if !root.IsObject() {
		d.warnAt("", "", "not a JSON object")
		return
	}
	d.each("", root, func(key string, v value) {
		if len(d.fields) == maxFields {
			d.warnAt("", "", "more keys than "+strconv.Itoa(maxFields))
			return
		}
		d.fields = append(d.fields, field{key, v})
	})
}

// get is a field of the payload, which warnings about it will name; null if
// there is none.
func (d *decoder) get(key string) value {
	d.in, d.key = "", key
	for i := len(d.fields) - 1; i >= 0; i-- { // of two with one name the last counts, as in encoding/json
		if d.fields[i].key == key {
			return d.fields[i].value
		}
	}
	return value{}
}

// meaning is what a header says.
type meaning struct {
	kind         string // "push", "member", "system", …; empty if unknown
	confidential bool
}

var meanings = func() map[string]meaning {
	m := map[string]meaning{
		"Confidential Issue Hook": {Issue, true},
		"Confidential Note Hook":  {Note, true},
		"Build Hook":              {Job, false},
	}
	for kind, header := range headerOf {
		m[header] = meaning{kind: kind}
	}
	return m
}()

func headerMeaning(header string) meaning {
	if m, ok := meanings[header]; ok {
		return m
	}
	for known, m := range meanings {
		if strings.EqualFold(known, strings.TrimSpace(header)) {
			return m
		}
	}
	return meaning{confidential: strings.Contains(strings.ToLower(header), "confidential")}
}

// readKind reads the event as what it is.
func (d *decoder) readKind() {
	if d.word == "" {
		d.word = d.kindByHeader()
	}
	switch d.word {
	case "push", "tag_push":
		d.readPush()
	case "merge_request":
		d.readMergeRequest()
	case "issue", "work_item":
		d.readIssue()
	case "note":
		d.readNote()
	case "pipeline":
		d.readPipeline()
	case "build", "job":
		d.readJob()
	default:
		d.readGeneric()
	}
	if says := d.header.kind; says != "" && says != System && says != Other && says != d.event.Kind {
		d.warnAt("", "", "X-Gitlab-Event says "+says+", the body "+d.event.Kind)
	}
}

// kindByHeader is the word for a payload that has none, if it holds what the
// header's kind always has: a custom template's payload holds anything.
func (d *decoder) kindByHeader() string {
	sign := "object_attributes"
	switch d.header.kind {
	case "", System, Other, Member, Subgroup, ProjectKind:
		return ""
	case Push, TagPush:
		sign = "ref"
	case Job:
		sign = "build_id"
	case Deployment:
		sign = "deployment_id"
	case Release:
		sign = "tag"
	}
	if isNull(d.get(sign)) {
		return ""
	}
	return d.header.kind
}

// finish decides what takes the whole event to decide.
func (d *decoder) finish() {
	e := d.event
	e.Confidential = d.isConfidential()
	d.completeProject()
	d.completeAddresses()
	if e.Actor.Name == "" {
		e.Actor.Name = e.Actor.Username
	}
}

// first is the first time that is not zero.
func first(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// or is the first string that is not empty.
func or(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
