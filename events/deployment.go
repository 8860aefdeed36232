package events

import "strings"

// readDeployment reads deployment: lib/gitlab/data_builder/deployment.rb.
func (d *decoder) readDeployment() {
	e := d.event
	p := &DeploymentPart{
		ID:             d.integer(d.get("deployment_id")),
		Status:         d.str(d.get("status")),
		Environment:    d.environment(d.get("environment")),
		EnvironmentURL: d.url(d.get("environment_external_url")),
		Tier:           d.str(d.get("environment_tier")),
		SHA:            d.str(d.get("short_sha")),
		JobID:          d.integer(d.get("deployable_id")),
		JobURL:         d.url(d.get("deployable_url")),
	}
	if p.JobURL == "" {
		p.JobURL = e.Project.JobURL(p.JobID)
	}
	d.readApproval(p)
	e.Deployment = p
	e.Title = p.Environment
	e.URL = or(p.JobURL, p.EnvironmentURL)
	e.Time = first(d.time(d.get("status_changed_at")), e.Time)
	d.useRef(d.str(d.get("ref")), d.boolean(d.get("tag")))
	e.Commit = d.deployedCommit(p.SHA)
}

// deployedCommit is the commit of a deployment: its page's address ends with
// the whole SHA.
func (d *decoder) deployedCommit(short string) *Commit {
	c := Commit{
		SHA:   short,
		Title: firstLine(d.str(d.get("commit_title"))),
		URL:   d.url(d.get("commit_url")),
	}
	if sha := c.URL[strings.LastIndexByte(c.URL, '/')+1:]; short != "" && strings.HasPrefix(sha, short) {
		c.SHA = sha
	}
	if c.SHA == "" {
		return nil
	}
	if c.URL == "" {
		c.URL = d.event.Project.CommitURL(c.SHA)
	}
	return &c
}

// readApproval reads who approved or rejected a blocked deployment.
func (d *decoder) readApproval(p *DeploymentPart) {
	if v := d.get("approver"); v.IsObject() {
		p.Approver = d.user("approver", v).Name
	}
	if v := d.get("approval"); v.IsObject() {
		d.each("approval", v, func(key string, v value) {
			if key == "comment" {
				p.Comment = d.str(v)
			}
		})
	}
}
