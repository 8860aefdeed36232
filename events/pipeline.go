package events

import (
	"strconv"
	"strings"
	"time"
)

// readPipeline reads pipeline: lib/gitlab/data_builder/pipeline.rb.
func (d *decoder) readPipeline() {
	e := d.event
	e.Kind = Pipeline
	d.readProject()
	d.readActor()
	p, ref := d.pipeline(d.get("object_attributes"))
	e.Pipeline = p
	e.Action = safeWord(p.Status)
	if v := d.get("merge_request"); v.IsObject() {
		p.MergeRequest, _ = d.mergeRequest("merge_request", v)
		d.useMergeRequest(p.MergeRequest)
	}
	d.useRef(ref.name, ref.tag)
	e.Title = or(p.Name, reference("#", p.ID))
	e.URL = or(ref.url, e.Project.PipelineURL(p.ID))
	e.Time = ref.cameTo(p.Status)
	e.Commit = d.headCommit(d.get("commit"), p.SHA)
	d.readSourcePipeline(d.get("source_pipeline"))
	p.Jobs = d.jobs(d.get("builds"))
	for i := range p.Jobs {
		job := &p.Jobs[i]
		job.PipelineID, job.PipelineName = p.ID, p.Name
		job.URL = e.Project.JobURL(job.ID)
	}
	markRetried(p.Jobs)
}

// ran is what a pipeline ran for and when.
type ran struct {
	name, url         string
	tag               bool
	created, finished time.Time
}

// cameTo is when a pipeline came to its status; zero if GitLab does not tell: one
// that runs again still has its old finished_at.
func (r ran) cameTo(status string) time.Time {
	switch status {
	case "created":
		return r.created
	case "success", "failed", "canceled", "skipped":
		return r.finished
	}
	return time.Time{}
}

// pipeline reads a pipeline's attributes; never nil. GitLab's webhooks do not
// say why a pipeline could not be created; yaml_errors, the name of that text in
// GitLab's API, is read should they come to.
func (d *decoder) pipeline(v value) (*PipelinePart, ran) {
	p := &PipelinePart{}
	var of ran
	d.each("object_attributes", v, func(key string, v value) {
		switch key {
		case "id":
			p.ID = d.integer(v)
		case "iid":
			p.IID = d.integer(v)
		case "name":
			p.Name = d.str(v)
		case "ref":
			of.name = d.str(v)
		case "tag":
			of.tag = d.boolean(v)
		case "sha":
			p.SHA = d.str(v)
		case "source":
			p.Source = d.str(v)
		case "status":
			p.Status = d.str(v)
		case "detailed_status":
			p.DetailedStatus = d.str(v)
		case "stages":
			p.Stages = d.texts(v)
		case "created_at":
			of.created = d.time(v)
		case "finished_at":
			of.finished = d.time(v)
		case "duration":
			p.Duration = d.seconds(v)
		case "queued_duration":
			p.QueuedDuration = d.seconds(v)
		case "url":
			of.url = d.url(v)
		case "yaml_errors":
			p.Error = d.str(v)
		}
	})
	return p, of
}

// useRef sets branch or tag from the ref of a pipeline, job or deployment. What
// runs for a merge request has the request's branches already, or a ref that
// holds no more than the request's number.
func (d *decoder) useRef(ref string, tag bool) {
	e := d.event
	if e.MergeRequest != nil && e.MergeRequest.SourceBranch != "" {
		return
	}
	if iid := mergeRequestRef(ref); iid != 0 && e.MergeRequest == nil {
		e.MergeRequest = &MergeRequestPart{IID: iid, URL: e.Project.MergeRequestURL(iid)}
	}
	ref = strings.TrimPrefix(ref, "refs/heads/")
	if short, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		ref, tag = short, true
	}
	e.Ref = ref
	switch {
	case tag:
		e.Tag = ref
	case !strings.HasPrefix(ref, "refs/"):
		e.Branch = ref
	}
}

// mergeRequestRef is the number of the merge request of a ref that GitLab makes
// for one ("refs/merge-requests/42/head", or …/merge, …/train), or 0.
func mergeRequestRef(ref string) int64 {
	number, ok := strings.CutPrefix(ref, "refs/merge-requests/")
	if !ok {
		return 0
	}
	number, _, _ = strings.Cut(number, "/")
	iid, err := strconv.ParseInt(number, 10, 64)
	if err != nil || iid < 0 {
		return 0
	}
	return iid
}

// readSourcePipeline reads the pipeline that started this one.
func (d *decoder) readSourcePipeline(v value) {
	if isNull(v) {
		return
	}
	p := d.event.Pipeline
	var parent Project
	d.each("source_pipeline", v, func(key string, v value) {
		switch key {
		case "pipeline_id":
			p.ParentID = d.integer(v)
		case "project":
			parent = d.project(v)
		}
	})
	p.ParentProject = parent.Path
	p.ParentURL = parent.PipelineURL(p.ParentID)
}

// jobs reads the list of jobs of a pipeline.
func (d *decoder) jobs(v value) []JobPart {
	var jobs []JobPart
	d.list(v, maxObjects, func(v value) {
		if jobs == nil {
			jobs = make([]JobPart, 0, 8)
		}
		jobs = append(jobs, d.pipelineJob(v))
	})
	return jobs
}

func (d *decoder) pipelineJob(v value) JobPart {
	var job JobPart
	var reason string
	d.each("builds", v, func(key string, v value) {
		switch key {
		case "id":
			job.ID = d.integer(v)
		case "name":
			job.Name = d.str(v)
		case "stage":
			job.Stage = d.str(v)
		case "status":
			job.Status = d.str(v)
		case "failure_reason":
			reason = d.str(v)
		case "allow_failure":
			job.AllowFailure = d.boolean(v)
		case "manual":
			job.Manual = d.boolean(v)
		case "duration":
			job.Duration = d.seconds(v)
		case "environment":
			job.Environment = d.environment(v)
		case "runner":
			job.Runner = d.runner(v)
		}
	})
	job.fail(reason)
	return job
}

// fail keeps the reason of a failure if there was one: GitLab sends
// unknown_failure with jobs that did not fail.
func (j *JobPart) fail(reason string) {
	if j.Status == "failed" {
		j.FailureReason = reason
	}
}

// markRetried marks the jobs that a later one of the same name and stage
// replaced. Ids grow.
func markRetried(jobs []JobPart) {
	type place struct{ stage, name string }
	last := make(map[place]int64, len(jobs))
	for _, j := range jobs {
		at := place{j.Stage, j.Name}
		last[at] = max(last[at], j.ID)
	}
	for i := range jobs {
		j := &jobs[i]
		j.Retried = j.ID < last[place{j.Stage, j.Name}]
	}
}

func (d *decoder) runner(v value) (description string) {
	if isNull(v) {
		return ""
	}
	d.each("runner", v, func(key string, v value) {
		if key == "description" {
			description = d.str(v)
		}
	})
	return description
}

// readJob reads build: lib/gitlab/data_builder/build.rb. Its commit object is
// the pipeline with some of its commit.
func (d *decoder) readJob() {
	e := d.event
	e.Kind = Job
	d.readProject()
	d.readActor()
	job := &JobPart{
		ID:           d.integer(d.get("build_id")),
		Name:         d.str(d.get("build_name")),
		Stage:        d.str(d.get("build_stage")),
		Status:       d.str(d.get("build_status")),
		AllowFailure: d.boolean(d.get("build_allow_failure")),
		Duration:     d.seconds(d.get("build_duration")),
		PipelineID:   d.integer(d.get("pipeline_id")),
		Environment:  d.environment(d.get("environment")),
		Runner:       d.runner(d.get("runner")),
	}
	job.fail(d.str(d.get("build_failure_reason")))
	job.Manual = job.Status == "manual"
	job.URL = e.Project.JobURL(job.ID)
	e.Job = job
	e.Action = safeWord(job.Status)
	d.useRef(d.str(d.get("ref")), d.boolean(d.get("tag")))
	e.Title, e.URL = job.Name, job.URL
	e.Time = d.jobTime(job.Status)
	d.readJobCommit(d.get("commit"), d.str(d.get("sha")))
}

// finishedKeys are the keys of the time at which a job ended.
var finishedKeys = [2]string{"build_finished_at", "build_finished_at_iso"}

// jobTimes are the keys of the time at which a job came to its status, for the
// statuses that GitLab tells the time of; GitLab 18 repeats it in a more usual
// form.
var jobTimes = map[string][2]string{
	"created":  {"build_created_at", "build_created_at_iso"},
	"running":  {"build_started_at", "build_started_at_iso"},
	"success":  finishedKeys,
	"failed":   finishedKeys,
	"canceled": finishedKeys,
	"skipped":  finishedKeys,
}

// jobTime is when a job came to its status; zero if GitLab does not tell.
func (d *decoder) jobTime(status string) time.Time {
	keys, ok := jobTimes[status]
	if !ok {
		return time.Time{}
	}
	if t := d.time(d.get(keys[0])); !t.IsZero() {
		return t
	}
	return d.time(d.get(keys[1]))
}

// readJobCommit reads a job's commit object: the pipeline, with some of its
// commit.
func (d *decoder) readJobCommit(v value, sha string) {
	e, job := d.event, d.event.Job
	c := Commit{SHA: sha}
	if v.IsObject() {
		d.each("commit", v, func(key string, v value) {
			switch key {
			case "id":
				if job.PipelineID == 0 {
					job.PipelineID = d.integer(v)
				}
			case "name":
				job.PipelineName = d.str(v)
			case "sha":
				c.SHA = or(sha, d.str(v))
			case "message":
				c.Message = d.str(v)
			case "author_name":
				c.AuthorName = d.str(v)
			case "author_email":
				c.AuthorEmail = address(d.str(v))
			}
		})
	}
	if c.SHA == "" {
		return
	}
	c.Title = firstLine(c.Message)
	c.URL = e.Project.CommitURL(c.SHA)
	e.Commit = &c
}
