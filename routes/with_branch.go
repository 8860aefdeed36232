package routes

import (
	"net/url"
	"strings"

	"github.com/gitlab-mattermost/relay/events"
)

func (p webhook) branch(to string) error {
	switch p.kind {
	case events.Push:
		p.root["ref"] = "refs/heads/" + to
		return nil
	case events.Job, events.Deployment:
		p.root["ref"] = to
		if _, ok := p.root["tag"].(bool); ok {
			p.root["tag"] = false
		}
		return nil
	case events.Pipeline:
		o := p.in("object_attributes")
		if o == nil {
			return p.lacks("branch")
		}
		o["ref"], o["tag"] = to, false
		if mr := p.mergeRequest(); mr != nil {
			mr["source_branch"] = to
		}
		return nil
	}
	mr := p.mergeRequest()
	if mr == nil {
		return p.lacks("branch")
	}
	mr["source_branch"] = to
	return nil
}

func (p webhook) targetBranch(to string) error {
	mr := p.mergeRequest()
	if mr == nil {
		return p.lacks("target branch")
	}
	mr["target_branch"] = to
	return nil
}

// tag makes the event one of another tag; a pipeline or job one that runs on it.
func (p webhook) tag(to string) error {
	switch p.kind {
	case events.TagPush:
		p.root["ref"] = "refs/tags/" + to
		return nil
	case events.Release:
		from, _ := p.root["tag"].(string)
		p.root["tag"] = to
		if page, ok := p.root["url"].(string); ok && from != "" {
			if base, ok := strings.CutSuffix(page, "/"+from); ok {
				p.root["url"] = base + "/" + url.PathEscape(to)
			}
		}
		return nil
	case events.Pipeline:
		o := p.in("object_attributes")
		if o == nil || p.mergeRequest() != nil {
			return p.lacks("tag")
		}
		o["ref"], o["tag"] = to, true
		return nil
	case events.Job:
		p.root["ref"], p.root["tag"] = to, true
		return nil
	}
	return p.lacks("tag")
}
