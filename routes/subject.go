package routes

import (
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// subject is an event with what several routes ask of it.
type subject struct {
	event    *events.Event
	project  string // path in lower case; the group's for group-level events
	actor    string // username in lower case
	bot      bool   // the actor counts as a bot
	standard string // why it is not in the standard set
	at       int64  // when its webhook came, in Unix nanoseconds; 0: times do not matter
	gate     string // word of `also` that it needs, or empty
	ignored  uint32 // the keys of ignore that match, by their number
	bots     *bots
	asked    *environment
	extents  map[string]extent // of what the asked holds, by its path
	meter                      // what is being decided, of the present file
	gates    meter             // of the destinations' gates
}

func (t *Table) subject(e *events.Event) *subject {
	s := &subject{event: e, bots: &t.bots, gate: gate(e), actor: strings.ToLower(e.Actor.Username)}
	s.project = strings.ToLower(s.path())
	s.bot = t.bots.has(&e.Actor)
	s.standard = notStandard(s)
	for i := range t.ignore {
		if t.ignore[i].match(s) {
			s.ignored |= 1 << i
		}
	}
	return s
}

// path is the project's or group's path as GitLab writes it.
func (s *subject) path() string {
	if s.event.Project.Path != "" {
		return s.event.Project.Path
	}
	return s.event.Project.Group
}

func (s *subject) folded() string   { return s.project }
func (s *subject) who() string      { return s.actor }
func (s *subject) username() string { return s.event.Actor.Username }

// branch is the event's branch; nothing on tags.
func (s *subject) branch() string {
	if s.event.Tag != "" {
		return ""
	}
	return s.event.Branch
}

func (s *subject) target() string { return s.event.TargetBranch }

// draft tells whether the merge request is a draft, where GitLab says so: not
// of those that pipelines, jobs and deployments run for.
func (s *subject) draft() (is, applies bool) {
	e := s.event
	runs := e.Kind == events.Pipeline || e.Kind == events.Job || e.Kind == events.Deployment
	return e.Draft, e.MergeRequest != nil && !runs
}

// environmentName is that of a deployment, or of a job that has one.
func (s *subject) environmentName() string {
	switch e := s.event; {
	case e.Deployment != nil:
		return e.Deployment.Environment
	case e.Job != nil:
		return e.Job.Environment
	}
	return ""
}

// eachFile calls f with each file of a push's commits until it says no. A file
// of several commits comes several times.
func (s *subject) eachFile(f func(name string) bool) {
	if s.event.Push == nil {
		return
	}
	s.event.Push.EachPath(f)
}

// files are the files of a push, each once, in GitLab's order.
func (s *subject) files() []string {
	if s.event.Push == nil {
		return nil
	}
	return s.event.Push.Paths()
}

// environment is what an `if` sees, made when the first one asks.
func (s *subject) environment() *environment {
	if s.asked == nil {
		s.asked = newEnvironment(s.event, s.bots)
	}
	return s.asked
}

// gate is the word of `also` without which an event is never posted.
func gate(e *events.Event) string {
	switch {
	case e.Kind == events.Note && e.Note != nil && e.Note.System:
		return configs.AlsoSystemNotes
	case e.Kind == events.Note && e.Note != nil && e.Note.Edited:
		return configs.AlsoEditedNotes
	case e.Kind == events.Pipeline && e.Pipeline != nil && e.Pipeline.Child():
		return configs.AlsoChildPipelines
	case e.Action == "update" && !e.Material:
		return configs.AlsoImmaterialUpdates
	}
	return ""
}
