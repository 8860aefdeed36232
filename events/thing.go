package events

// things are what GitLab lets people comment on or react to, by its word for the
// type (noteable_type, awardable_type), as they stand in a sentence. Of most of
// them GitLab sends nothing but the type.
var things = map[string]string{
	"AlertManagement::Alert":   "an alert",
	"Commit":                   "a commit",
	"DesignManagement::Design": "a design",
	"Epic":                     "an epic",
	"Issue":                    "an issue",
	"MergeRequest":             "a merge request",
	"PersonalSnippet":          "a snippet",
	"ProjectSnippet":           "a snippet",
	"Snippet":                  "a snippet",
	"Vulnerability":            "a vulnerability",
	"WikiPage::Meta":           "a wiki page",
	"WorkItem":                 "a work item",
}

// Thing names the type of what people comment on or react to, with its article:
// "a design"; "something" for a type that is not known.
func Thing(gitlabType string) string { return or(things[gitlabType], "something") }
