package events

import (
	"net/url"
	"strconv"
	"strings"
)

// BranchURL is the page of a branch's files, or empty if the project's URL is
// unknown.
func (p Project) BranchURL(branch string) string { return p.page("/-/tree/", escapePath(branch)) }

// TagURL is the page of a tag.
func (p Project) TagURL(tag string) string { return p.page("/-/tags/", escapePath(tag)) }

// CommitURL is the page of a commit.
func (p Project) CommitURL(sha string) string { return p.page("/-/commit/", escapePath(sha)) }

// CompareURL is the page of what lies between two commits, branches or tags.
func (p Project) CompareURL(from, to string) string {
	if from == "" || to == "" {
		return ""
	}
	return p.page("/-/compare/", escapePath(from)+"..."+escapePath(to))
}

// PipelineURL is the page of a pipeline.
func (p Project) PipelineURL(id int64) string { return p.page("/-/pipelines/", number(id)) }

// JobURL is the page of a job.
func (p Project) JobURL(id int64) string { return p.page("/-/jobs/", number(id)) }

// MergeRequestURL is the page of a merge request.
func (p Project) MergeRequestURL(iid int64) string { return p.page("/-/merge_requests/", number(iid)) }

// IssueURL is the page of an issue.
func (p Project) IssueURL(iid int64) string { return p.page("/-/issues/", number(iid)) }

// UserURL is a user's page on the project's GitLab, or empty if either is
// unknown.
func (p Project) UserURL(u User) string {
	base := p.Base()
	if base == "" || u.Username == "" {
		return ""
	}
	return base + "/" + escapePath(u.Username)
}

// page is a page of the project; empty if the project's URL or what is missing.
func (p Project) page(where, what string) string {
	if p.URL == "" || what == "" {
		return ""
	}
	return p.URL + where + what
}

func number(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// escapePath escapes a name for use in a path, but keeps its slashes, as GitLab
// does with branches and tags.
func escapePath(name string) string {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !isWordByte(c) && c != '/' && c != '-' && c != '.' && !('A' <= c && c <= 'Z') {
			return strings.ReplaceAll(url.PathEscape(name), "%2F", "/")
		}
	}
	return name
}

// pathOf is the path of a web address without its outer slashes and ".git".
func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.Trim(strings.TrimSuffix(u.Path, ".git"), "/")
}

// pathOfSSH is the project's path in an SSH address, in either of its forms:
// git@host:group/project.git and ssh://git@host:2222/group/project.git. Unlike
// a web address it never holds GitLab's relative URL root.
func pathOfSSH(address string) string {
	if rest, ok := strings.CutPrefix(address, "ssh://"); ok {
		_, path, _ := strings.Cut(rest, "/")
		return strings.Trim(strings.TrimSuffix(path, ".git"), "/")
	}
	if _, path, ok := strings.Cut(address, ":"); ok && strings.Contains(address, "@") {
		return strings.Trim(strings.TrimSuffix(path, ".git"), "/")
	}
	return ""
}
