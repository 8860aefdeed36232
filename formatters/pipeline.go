package formatters

import (
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/events"
)

// Pipeline is a pipeline.
type Pipeline struct {
	ID             int64
	IID            int64
	Name           Text // of its workflow, if it has one
	Status         Text // "failed", "success", …
	DetailedStatus Text // "passed with warnings", …
	Source         Text // "push", "schedule", "merge_request_event", …
	SHA            Text
	Duration       time.Duration
	QueuedDuration time.Duration
	Stages         []Text
	MergeRequest   *MergeRequest // the one it runs for, or nil
	Child          bool          // another pipeline started it
	ParentID       int64         // the pipeline that started it; 0 if none
	ParentProject  Text
	ParentURL      URL
	Error          Text // what is wrong with the CI configuration of one that could not start

	part *events.PipelinePart
	at   *events.Project
}

// Job is a job, alone or of a pipeline.
type Job struct {
	ID            int64
	Name          Text
	Stage         Text
	Status        Text
	FailureReason Text // "script_failure", …
	AllowFailure  bool
	Retried       bool // a later job of the same name stands in the pipeline
	Manual        bool
	Duration      time.Duration
	PipelineID    int64
	PipelineName  Text
	PipelineURL   URL
	URL           URL
	Environment   Text
	Runner        Text
}

func newPipeline(p *events.PipelinePart, in *setting) *Pipeline {
	out := &Pipeline{
		ID: p.ID, IID: p.IID, Name: Text(p.Name), Status: Text(p.Status), DetailedStatus: Text(p.DetailedStatus),
		Source: Text(p.Source), SHA: Text(p.SHA), Duration: p.Duration, QueuedDuration: p.QueuedDuration,
		Stages: texts(p.Stages), Child: p.Child(), ParentID: p.ParentID, ParentProject: Text(p.ParentProject),
		ParentURL: URL(p.ParentURL), Error: Text(p.Error), part: p, at: in.at,
	}
	if p.MergeRequest != nil {
		out.MergeRequest = newMergeRequest(p.MergeRequest, in)
	}
	return out
}

func newJob(j *events.JobPart, at *events.Project) Job {
	return Job{
		ID: j.ID, Name: Text(j.Name), Stage: Text(j.Stage), Status: Text(j.Status),
		FailureReason: Text(j.FailureReason), AllowFailure: j.AllowFailure, Retried: j.Retried, Manual: j.Manual,
		Duration: j.Duration, PipelineID: j.PipelineID, PipelineName: Text(j.PipelineName), PipelineURL: URL(at.PipelineURL(j.PipelineID)), URL: URL(j.URL),
		Environment: Text(j.Environment), Runner: Text(j.Runner),
	}
}

// Jobs are all jobs.
func (p *Pipeline) Jobs() []Job {
	out := make([]Job, len(p.part.Jobs))
	for i := range out {
		out[i] = newJob(&p.part.Jobs[i], p.at)
	}
	return out
}

// CouldNotStart tells whether the pipeline failed before it had any job.
func (p *Pipeline) CouldNotStart() bool {
	return p.Status == "failed" && (p.Error != "" || len(p.part.Jobs) == 0 && p.Duration == 0)
}

// Warned tells whether the pipeline passed although a job failed that may.
func (p *Pipeline) Warned() bool {
	if p.Status != "success" {
		return false
	}
	if strings.Contains(string(p.DetailedStatus), "warning") {
		return true
	}
	for i := range p.part.Jobs {
		if j := &p.part.Jobs[i]; j.Status == "failed" && j.AllowFailure && !j.Retried {
			return true
		}
	}
	return false
}

// StageJobs are some jobs of one stage.
type StageJobs struct {
	Stage Text
	Jobs  []Job
	More  int // jobs of this stage that are not listed
}

// What a message lists of failed jobs.
const (
	maxStageJobs = 5  // a stage
	maxJobs      = 10 // in all
)

// Failed are the jobs that made the pipeline fail, by stage: at most 5 a stage
// and 10 in all. Jobs that may fail, and those that ran again, are not among
// them.
func (p *Pipeline) Failed() []StageJobs {
	return p.byStage(func(j *events.JobPart) bool {
		return j.Status == "failed" && !j.AllowFailure && !j.Retried
	})
}

// Allowed are the jobs that failed and were allowed to, in the same manner.
func (p *Pipeline) Allowed() []StageJobs {
	return p.byStage(func(j *events.JobPart) bool {
		return j.Status == "failed" && j.AllowFailure && !j.Retried
	})
}

// byStage gathers jobs by stage, in the pipeline's order of stages; a stage
// that it does not name comes where its first job does.
func (p *Pipeline) byStage(want func(*events.JobPart) bool) []StageJobs {
	var out []StageJobs
	at := map[string]int{}
	stage := func(name string) int {
		i, ok := at[name]
		if !ok {
			i = len(out)
			at[name] = i
			out = append(out, StageJobs{Stage: Text(name)})
		}
		return i
	}
	for _, name := range p.part.Stages {
		stage(name)
	}
	counts := make([]int, 0, len(out))
	for i := range p.part.Jobs {
		j := &p.part.Jobs[i]
		if !want(j) {
			continue
		}
		n := stage(j.Stage)
		for len(counts) < len(out) {
			counts = append(counts, 0)
		}
		counts[n]++
		if len(out[n].Jobs) < maxStageJobs {
			out[n].Jobs = append(out[n].Jobs, newJob(j, p.at))
		}
	}
	return trimStages(out, counts)
}

// trimStages keeps the stages that have any of the jobs, and of these as many
// as are listed.
func trimStages(stages []StageJobs, counts []int) []StageJobs {
	out := stages[:0]
	room := maxJobs
	for i, s := range stages[:len(counts)] {
		if counts[i] == 0 {
			continue
		}
		s.Jobs = s.Jobs[:min(len(s.Jobs), room)]
		room -= len(s.Jobs)
		s.More = counts[i] - len(s.Jobs)
		out = append(out, s)
	}
	return out
}
