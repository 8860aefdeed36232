package routes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gitlab-mattermost/relay/events"
)

// withKeys are in the order in which they are set.
var withKeys = []string{
	"source", "project", "visibility", "actor", "bot", "branch", "target_branch", "tag", "labels", "draft", "confidential", "environment", "paths",
}

// WithKeys are the keys that [With] and [Change] take.
func WithKeys() []string { return slices.Clone(withKeys) }

// KeysOf are the keys that an event of this kind has something for.
func KeysOf(e *events.Event) []string {
	values := map[string]any{"bot": true, "draft": true, "confidential": true, "labels": []string{}, "paths": []string{"a"}, "visibility": "public", "project": "a/b"}
	var out []string
	for _, key := range withKeys {
		v, ok := values[key]
		if !ok {
			v = "a"
		}
		if _, err := With(e.Payload, e.Kind, map[string]any{key: v}); err == nil {
			out = append(out, key)
		}
	}
	return out
}

// botUsername is the name of a bot as GitLab makes them for access tokens.
const botUsername = "project_42_bot_0123456789abcdef0123456789abcdef"

// With changes a payload to say what is asked, in the payload's own fields: what
// is decoded from it again is a webhook as GitLab could have sent it. The kind
// is the event's. Values are string, bool or []string; as text, "true" and
// "false" are bools and a list has commas between.
//
// The source is not in a payload, and whether somebody is a bot only in their
// username: see [Change] for both. What the kind of event has no field for is
// an error.
func With(payload []byte, kind string, with map[string]any) ([]byte, error) {
	var root object
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if err := d.Decode(&root); err != nil {
		return nil, fmt.Errorf("read the payload: %w", err)
	}
	if root == nil {
		return nil, errors.New("read the payload: it is no object")
	}
	p := webhook{root, kind}
	for _, key := range withKeys {
		v, ok := with[key]
		if !ok {
			continue
		}
		if err := p.set(key, v, with); err != nil {
			return nil, fmt.Errorf("set %s: %w", key, err)
		}
	}
	for key := range maps.Keys(with) {
		if !slices.Contains(withKeys, key) {
			return nil, fmt.Errorf("set %s: there is %s", key, strings.Join(withKeys, ", "))
		}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("write the payload: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Change decodes an event again with its payload changed by [With], and with
// the source and the bot that were asked for.
func Change(e *events.Event, with map[string]any) (*events.Event, error) {
	if len(with) == 0 {
		return e, nil
	}
	payload, err := With(e.Payload, e.Kind, with)
	if err != nil {
		return nil, err
	}
	in := events.Input{Source: e.Source, Header: e.Header, Instance: e.Instance, Version: e.Version, Body: payload}
	if source, ok := with["source"].(string); ok {
		in.Source = source
	}
	if v, ok := with["confidential"]; ok {
		in.Header = strings.TrimPrefix(in.Header, "Confidential ")
		if is, err := truth(v); err == nil && is && (e.Kind == events.Issue || e.Kind == events.Note) && in.Header != "" {
			in.Header = "Confidential " + in.Header
		}
	}
	out := events.Decode(in)
	if v, ok := with["bot"]; ok {
		if out.Actor.Bot, err = truth(v); err != nil {
			return nil, fmt.Errorf("set bot: %w", err)
		}
	}
	return out, nil
}

type object = map[string]any

// webhook is a payload that is being changed.
type webhook struct {
	root object
	kind string
}

func (p webhook) set(key string, v any, with map[string]any) error {
	switch key {
	case "labels", "paths":
		list, err := words(v)
		if err != nil {
			return err
		}
		if key == "labels" {
			return p.labels(list)
		}
		return p.paths(list)
	case "bot", "draft", "confidential":
		is, err := truth(v)
		if err != nil {
			return err
		}
		switch key {
		case "draft":
			return p.draft(is)
		case "confidential":
			return p.confidential(is)
		}
		if _, named := with["actor"]; is && !named {
			return p.actor(botUsername)
		}
		return nil
	}
	text, ok := v.(string)
	if !ok || text == "" {
		return errors.New("it takes a text")
	}
	switch key {
	case "project":
		return p.project(text)
	case "visibility":
		return p.visibility(text)
	case "actor":
		return p.actor(text)
	case "branch":
		return p.branch(text)
	case "target_branch":
		return p.targetBranch(text)
	case "tag":
		return p.tag(text)
	case "environment":
		return p.environment(text)
	}
	return nil // the source
}

func truth(v any) (bool, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		if is, err := strconv.ParseBool(v); err == nil {
			return is, nil
		}
	}
	return false, errors.New("it takes true or false")
}

func words(v any) ([]string, error) {
	switch v := v.(type) {
	case []string:
		return v, nil
	case string:
		var out []string
		for w := range strings.SplitSeq(v, ",") {
			if w = strings.TrimSpace(w); w != "" {
				out = append(out, w)
			}
		}
		return out, nil
	}
	return nil, errors.New("it takes a list of texts")
}

// lacks is the error of a field that the kind of event does not have.
func (p webhook) lacks(what string) error {
	return fmt.Errorf("%s has no %s", p.kind, what)
}

// in is an object of the payload; nil if there is none.
func (p webhook) in(key string) object {
	o, _ := p.root[key].(object)
	return o
}

// mergeRequest is the merge request of the event, or the one that its note or
// pipeline belongs to; nil if there is none.
func (p webhook) mergeRequest() object {
	if p.kind == events.MergeRequest {
		return p.in("object_attributes")
	}
	return p.in("merge_request")
}

// issue is likewise.
func (p webhook) issue() object {
	if p.kind == events.Issue {
		return p.in("object_attributes")
	}
	if o := p.in("issue"); o != nil {
		return o
	}
	return p.in("work_item")
}

func (p webhook) actor(to string) error {
	if o := p.in("user"); o != nil {
		o["username"], o["name"] = to, to
		return nil
	}
	flat := false
	for _, key := range []string{"user_username", "user_name", "username"} {
		if _, ok := p.root[key]; ok {
			p.root[key], flat = to, true
		}
	}
	if !flat {
		return p.lacks("actor")
	}
	if _, ok := p.root["username"]; !ok {
		p.root["user_username"] = to
	}
	return nil
}

func (p webhook) labels(titles []string) error {
	o := p.mergeRequest()
	if o == nil {
		o = p.issue()
	}
	if o == nil || p.kind == events.Pipeline {
		return p.lacks("labels")
	}
	list := make([]any, len(titles))
	for i, title := range titles {
		list[i] = object{"title": title}
	}
	o["labels"] = list
	if p.kind == events.MergeRequest || p.kind == events.Issue {
		p.root["labels"] = list
	}
	return nil
}

func (p webhook) draft(is bool) error {
	mr := p.mergeRequest()
	if mr == nil || p.kind == events.Pipeline {
		return p.lacks("draft")
	}
	mr["draft"], mr["work_in_progress"] = is, is
	return nil
}

// confidential marks the issue, or of a note the note and what it is on.
func (p webhook) confidential(is bool) error {
	word := p.kind
	switch p.kind {
	case events.Issue:
		put(p.issue(), "confidential", is)
	case events.Note:
		put(p.in("object_attributes"), "internal", is)
		switch o := p.issue(); {
		case o != nil:
			o["confidential"] = is
		case !is && p.in("merge_request") == nil:
			p.root["issue"] = object{"confidential": false} // nothing else proves it of what is not known
		}
	case events.Vulnerability:
		if is {
			return nil
		}
		return errors.New("a vulnerability always is")
	default:
		if !is {
			return nil
		}
		return fmt.Errorf("%s is never confidential", p.kind)
	}
	if is {
		word = "confidential_" + word
	}
	p.root["event_type"] = word
	return nil
}

func put(o object, key string, v any) {
	if o != nil {
		o[key] = v
	}
}

func (p webhook) environment(to string) error {
	switch p.kind {
	case events.Deployment:
		p.root["environment"] = to
	case events.Job:
		o := p.in("environment")
		if o == nil {
			o = object{}
		}
		o["name"] = to
		p.root["environment"] = o
	default:
		return p.lacks("environment")
	}
	return nil
}

// paths makes the newest commit of a push change these files, and the others
// none.
func (p webhook) paths(files []string) error {
	commits, _ := p.root["commits"].([]any)
	if len(commits) == 0 || p.kind != events.Push && p.kind != events.TagPush {
		return p.lacks("commits")
	}
	for i, c := range commits {
		o, ok := c.(object)
		if !ok {
			continue
		}
		o["added"], o["modified"], o["removed"] = []string{}, []string{}, []string{}
		if i == len(commits)-1 {
			o["modified"] = files
		}
	}
	return nil
}
