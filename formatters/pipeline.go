package formatters

import (
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/events"
)

// Pipeline is a pipeline.
type Pipeline struct {
	ID             int64         // the number in #1287
	IID            int64         // number in the project
	Name           Text          // name of its workflow; empty if it has none
	Status         Text          // "failed", "success", …
	DetailedStatus Text          // "passed with warnings", …
	Source         Text          // "push", "schedule", "merge_request_event", …: why it was started
	SHA            Text          // of the commit that it runs for
	Duration       time.Duration // how long it ran
	QueuedDuration time.Duration // how long it waited
	Stages         []Text        // names of the stages, in their order
	MergeRequest   *MergeRequest // the merge request that it runs for
	Child          bool          // true if another pipeline started it
	ParentID       int64         // number of the pipeline that started it; 0 if none did
	ParentProject  Text          // path of the project of that pipeline
	ParentURL      URL           // page of that pipeline
	Error          Text          // the mistake in the CI configuration, if it could not start

	part *events.PipelinePart
	at   *events.Project
}

// Job is a job, alone or of a pipeline.
type Job struct {
	ID            int64         // GitLab's number of the job
	Name          Text          // "rspec 2/3"
	Stage         Text          // "test"
	Status        Text          // "failed", "success", …
	FailureReason Text          // "script_failure", …; empty if it did not fail
	AllowFailure  bool          // true if its failure does not fail the pipeline
	Retried       bool          // true if the pipeline has a later job of the same name
	Manual        bool          // true if a person has to start it, or did
	Duration      time.Duration // how long it ran
	PipelineID    int64         // number of its pipeline
	PipelineName  Text          // name of its pipeline
	PipelineURL   URL           // page of its pipeline
	URL           URL           // page of the job
	Environment   Text          // where it deploys to; empty if it does not deploy
	Runner        Text          // description of the runner
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

// Warned tells whether the pipeline passed although a job failed.
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
	Stage Text  // name of the stage
	Jobs  []Job // the jobs that are listed
	More  int   // number of jobs that are not listed
}

// What a message lists of failed jobs.
const (
	maxStageJobs = 5  // a stage
	maxJobs      = 10 // in all
)

// Failed are the jobs that made the pipeline fail, by stage, without allowed and
// repeated ones: at most 5 a stage, 10 in all.
func (p *Pipeline) Failed() []StageJobs {
	return p.byStage(func(j *events.JobPart) bool {
		return j.Status == "failed" && !j.AllowFailure && !j.Retried
	})
}

// Allowed are the jobs that failed and are allowed to, by stage.
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
