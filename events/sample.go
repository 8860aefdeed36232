package events

import (
	"bytes"
	"embed"
	"io/fs"
	"slices"
	"strings"
)

//go:embed samples/*.json
var sampleFiles embed.FS

// Sample is a built-in webhook of invented content, after the fields that
// GitLab documents.
type Sample struct {
	Name   string // the event's name, for a variant followed by "~" and a word: "note.issue~internal"
	Header string // X-Gitlab-Event as GitLab would send it
	Body   []byte // the payload; a copy of the caller's own

	Instance string // as in [Input]
	Version  string // as in [Input]
}

// Samples lists every built-in sample, sorted by name.
func Samples() []Sample {
	files, err := fs.Glob(sampleFiles, "samples/*.json")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	samples := make([]Sample, 0, len(files))
	for _, file := range files {
		sample, _ := SampleNamed(strings.TrimSuffix(strings.TrimPrefix(file, "samples/"), ".json"))
		samples = append(samples, sample)
	}
	slices.SortFunc(samples, func(a, b Sample) int { return strings.Compare(a.Name, b.Name) })
	return samples
}

// SampleNamed finds the sample of an event name ("merge_request.open"), with
// its variant if any ("merge_request.open~draft").
func SampleNamed(name string) (Sample, bool) {
	body, err := sampleFiles.ReadFile("samples/" + name + ".json")
	if err != nil {
		return Sample{}, false
	}
	return Sample{Name: name, Header: sampleHeader(name, body), Body: body, Instance: "https://gitlab.example", Version: "18.5.0-ee"}, true
}

// Input is the webhook as a source sends it.
func (s Sample) Input(source string) Input {
	return Input{Source: source, Header: s.Header, Instance: s.Instance, Version: s.Version, Body: s.Body}
}

// sampleHeader is the X-Gitlab-Event of a sample: the kind's header, in its
// confidential form when the payload's event_type says so.
func sampleHeader(name string, body []byte) string {
	kind := name
	if i := strings.IndexAny(name, ".~"); i >= 0 {
		kind = name[:i]
	}
	header := headerOf[kind]
	if bytes.Contains(body, []byte(`"event_type": "confidential_`)) {
		header = "Confidential " + header
	}
	return header
}

// headerOf is the X-Gitlab-Event that GitLab sends a kind under.
var headerOf = map[string]string{
	Push:          "Push Hook",
	TagPush:       "Tag Push Hook",
	MergeRequest:  "Merge Request Hook",
	Issue:         "Issue Hook",
	Note:          "Note Hook",
	Pipeline:      "Pipeline Hook",
	Job:           "Job Hook",
	Deployment:    "Deployment Hook",
	Release:       "Release Hook",
	WikiPage:      "Wiki Page Hook",
	Milestone:     "Milestone Hook",
	FeatureFlag:   "Feature Flag Hook",
	Emoji:         "Emoji Hook",
	Member:        "Member Hook",
	Subgroup:      "Subgroup Hook",
	ProjectKind:   "Project Hook",
	AccessToken:   "Resource Access Token Hook",
	DeployToken:   "Resource Deploy Token Hook",
	Vulnerability: "Vulnerability Hook",
	System:        "System Hook",
	Other:         "Service Hook",
}
