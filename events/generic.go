package events

import (
	"slices"
	"strings"
	"time"
)

// readGeneric reads every other event: what they have in common first, then
// what the kind has of its own.
func (d *decoder) readGeneric() {
	e := d.event
	d.classify()
	d.readProject()
	d.readActor()
	d.readCommon()
	switch e.Kind {
	case Deployment:
		d.readDeployment()
	case Release:
		d.readRelease()
	case WikiPage:
		d.readWikiPage()
	case Milestone:
		d.readMilestone()
	case FeatureFlag:
		d.readFeatureFlag()
	case Emoji:
		d.readEmoji()
	case Vulnerability:
		d.readVulnerability()
	case AccessToken, DeployToken:
		d.readToken()
	case Member, Subgroup, ProjectKind, System:
		d.readNamed()
		d.readMember()
	}
	if e.endsObject() {
		e.Time = time.Time{}
	}
}

// endsObject tells whether the event is the end of something: GitLab then sends
// when that was made and last changed, not when it ended.
func (e *Event) endsObject() bool {
	if e.Kind == System {
		return strings.HasSuffix(e.Action, "_destroy") || strings.Contains(e.Action, "_remove_from_") ||
			strings.Contains(e.Action, "_revoked_") || e.Action == "user_failed_login"
	}
	return slices.Contains([]string{"delete", "destroy", "remove", "revoke", "access_request_denied"}, e.Action)
}

// classify gives the event its kind and, where the word tells it, its action.
func (d *decoder) classify() {
	e, under := d.event, d.header.kind
	switch word := d.word; {
	case slices.Contains(plainKinds, word):
		e.Kind = word
	case word == AccessToken, word == DeployToken:
		e.Kind, e.Action = word, expiring(d.str(d.get("event_name")))
	case under == Member && strings.HasPrefix(word, "user_"):
		e.Kind, e.Action = Member, memberAction(word)
	case under == Subgroup && strings.HasPrefix(word, "subgroup_"):
		e.Kind, e.Action = Subgroup, safeWord(strings.TrimPrefix(word, "subgroup_"))
	case under == ProjectKind && strings.HasPrefix(word, "project_"):
		e.Kind, e.Action = ProjectKind, safeWord(strings.TrimPrefix(word, "project_"))
	case under == System, slices.Contains(systemEvents, word):
		e.Kind, e.Action = System, safeWord(word)
	default:
		e.Kind, e.Action = Other, safeWord(word)
		if word == "" {
			d.warnAt("", "", "neither object_kind nor event_name")
		}
	}
}

// plainKinds are the kinds whose object_kind is their name, beside those that
// have a reader of their own.
var plainKinds = []string{Deployment, Release, WikiPage, Milestone, FeatureFlag, Emoji, Vulnerability}

// expiring is the action of a token's event_name: expiring_access_token.
func expiring(name string) string {
	if name == "" || strings.HasPrefix(name, "expiring") {
		return "expiring"
	}
	return safeWord(name)
}

// memberAction is the action of a member event's event_name:
// user_access_request_to_group is access_request.
func memberAction(word string) string {
	action := strings.TrimSuffix(strings.TrimPrefix(word, "user_"), "_group")
	for _, preposition := range []string{"_to", "_for", "_from"} {
		action = strings.TrimSuffix(action, preposition)
	}
	return safeWord(action)
}

// readCommon reads what generic events say in the same words.
func (d *decoder) readCommon() {
	e := d.event
	var title, name, url, action, state string
	var made times
	if v := d.get("object_attributes"); v.IsObject() {
		d.each("object_attributes", v, func(key string, v value) {
			switch key {
			case "title":
				title = d.str(v)
			case "name":
				name = d.str(v)
			case "url":
				url = d.url(v)
			case "action":
				action = d.str(v)
			case "state":
				state = d.str(v)
			case "status":
				state = or(state, d.str(v))
			case "created_at":
				made.created = d.time(v)
			case "updated_at":
				made.updated = d.time(v)
			case "confidential", "internal":
				d.suspect(v)
			}
		})
	}
	e.Title = or(title, name, d.str(d.get("name")))
	e.URL = or(url, d.url(d.get("url")))
	e.Time = first(made.updated, made.created, d.time(d.get("updated_at")), d.time(d.get("created_at")))
	if e.Action == "" && e.Kind != Other && e.Kind != System {
		e.Action = safeWord(or(action, d.str(d.get("action")), state, d.str(d.get("status"))))
	}
}

// readFeatureFlag reads feature_flag, whose action is whether it is on.
func (d *decoder) readFeatureFlag() {
	e := d.event
	d.each("object_attributes", d.get("object_attributes"), func(key string, v value) {
		if key == "active" {
			e.Action = "inactive"
			if d.boolean(v) {
				e.Action = "active"
			}
		}
	})
	if e.URL == "" {
		e.URL = e.Project.page("/-/", "feature_flags")
	}
}

// snippet is the snippet of a note or a reaction.
func (d *decoder) snippet() value {
	if v := d.get("snippet"); v.IsObject() {
		return v
	}
	return d.get("project_snippet")
}

// readToken reads access_token and deploy_token. The times in them are the
// token's, not the event's.
func (d *decoder) readToken() {
	e := d.event
	e.Time = time.Time{}
	p := &TokenPart{Name: e.Title}
	d.each("object_attributes", d.get("object_attributes"), func(key string, v value) {
		if key == "expires_at" {
			p.ExpiresOn = d.date(v)
		}
	})
	e.Token = p
}

// readMember reads what a member event, by whatever hook, has beside the person
// and the group or project.
func (d *decoder) readMember() {
	p := MemberPart{
		Access:    or(d.str(d.get("group_access")), d.str(d.get("access_level"))),
		ExpiresOn: d.date(d.get("expires_at")),
	}
	if d.event.Kind == Member || p.Access != "" {
		d.event.Member = &p
	}
}

// readNamed reads the events that have an event_name and flat keys: members,
// groups, projects, keys and users. GitLab does not say who did it; the actor is
// the person concerned.
func (d *decoder) readNamed() {
	e := d.event
	p := &e.Project
	p.Path = or(p.Path, d.str(d.get("path_with_namespace")), d.str(d.get("project_path_with_namespace")))
	p.Name = or(p.Name, d.str(d.get("project_name")))
	if p.Visibility == "" {
		p.Visibility = visibilityWord(d.str(d.get("project_visibility")))
	}
	if p.Path == "" {
		p.Group = or(p.Group, d.str(d.get("full_path")))
		if p.Group == "" {
			p.Group, d.folder = d.str(d.get("group_path")), true
		}
		if p.Group == "" && strings.HasPrefix(e.Action, "group_") {
			p.Group = d.str(d.get("path"))
		}
	}
	if e.Actor == (User{}) {
		d.readFlatActor()
	}
	e.Actor.Username = or(e.Actor.Username, d.str(d.get("username")))
	e.Actor.Email = or(e.Actor.Email, address(d.str(d.get("email"))))
	if strings.HasPrefix(e.Action, "user_") {
		e.Actor.Name = or(e.Actor.Name, e.Title)
	}
	e.Actor.Bot = isBot(e.Actor.Username)
	if e.Kind == ProjectKind || strings.HasPrefix(e.Action, "project_") {
		p.Name = or(p.Name, e.Title)
	}
	if e.Title == "" && (e.Kind == Member || strings.HasPrefix(e.Action, "user_")) {
		e.Title = e.Actor.Name
	}
	e.Title = or(e.Title, p.Name, d.str(d.get("group_name")), e.Actor.Name, e.Actor.Username)
}

// visibilityWord reads project_visibility: "private", or "visibilitylevel|private"
// as GitLab's documentation of system hooks has it.
func visibilityWord(s string) string {
	return s[strings.LastIndexByte(s, '|')+1:]
}
