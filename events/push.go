package events

import (
	"slices"
	"strings"
)

// readPush reads push and tag_push: GitLab's lib/gitlab/data_builder/push.rb.
func (d *decoder) readPush() {
	e := d.event
	e.Kind = Push
	if d.word == "tag_push" {
		e.Kind = TagPush
	}
	d.readProject()
	d.readFlatActor()
	if e.Actor == (User{}) {
		d.readActor()
	}
	p := &PushPart{
		Before:    d.str(d.get("before")),
		After:     d.str(d.get("after")),
		Protected: d.boolean(d.get("ref_protected")),
		Commits:   d.commits(d.get("commits")),
	}
	e.Push = p
	for i := range p.Commits {
		if c := &p.Commits[i]; c.URL == "" {
			c.URL = e.Project.CommitURL(c.SHA)
		}
	}
	checkout := d.str(d.get("checkout_sha"))
	p.orderCommits(or(checkout, p.After))
	d.readRef(d.str(d.get("ref")))

	total := d.get("total_commits_count")
	p.Total = max(int(d.integer(total)), len(p.Commits))
	p.Created, p.Deleted = isZeroID(p.Before), isZeroID(p.After)
	moved := p.Before != "" && p.After != "" && p.Before != p.After && !p.Created && !p.Deleted
	if moved {
		p.CompareURL = e.Project.CompareURL(p.Before, p.After)
	}
	p.Forced = moved && e.Kind == Push && p.Total == 0 && isNumber(total) && d.header.kind != System
	if e.Kind == TagPush { // Test on an empty repository sends one with a push
		p.TagMessage = d.str(d.get("message"))
	}
	switch {
	case p.Deleted:
		e.Action = "delete"
	case p.Created && e.Kind == Push:
		e.Action = "create"
	}
	e.Commit = d.pushedHead(checkout)
	if e.Commit != nil {
		p.MergedRef = mergedRef(e.Commit.Message)
	}
}

// orderCommits puts the oldest commit first, as most pushes have it. GitLab's Test
// button, and the first push of a branch, have the head first.
func (p *PushPart) orderCommits(head string) {
	if n := len(p.Commits); n > 1 && p.Commits[0].SHA == head && p.Commits[n-1].SHA != head {
		slices.Reverse(p.Commits)
	}
}

// readRef reads a full ref: the branch or tag, and its page if it still exists.
func (d *decoder) readRef(ref string) {
	e := d.event
	e.Ref = ref
	branch, isBranch := strings.CutPrefix(ref, "refs/heads/")
	tag, isTag := strings.CutPrefix(ref, "refs/tags/")
	if isTag || !isBranch && e.Kind == TagPush {
		e.Tag, e.Title = tag, tag
		e.URL = e.Project.TagURL(tag)
	} else {
		e.Branch, e.Title = branch, branch
		e.URL = e.Project.BranchURL(branch)
	}
	if isZeroID(e.Push.After) {
		e.URL = ""
	}
}

// commits reads the list of commits of a push.
func (d *decoder) commits(v value) []Commit {
	var commits []Commit
	d.list(v, maxObjects, func(v value) {
		if commits == nil {
			commits = make([]Commit, 0, 4)
		}
		commits = append(commits, d.commit("commits", v))
	})
	return commits
}

// pushedHead is the commit that the branch or tag is now at: checkout, which
// is not After on an annotated tag, whose After is the tag object.
func (d *decoder) pushedHead(checkout string) *Commit {
	p := d.event.Push
	if p.Deleted {
		return nil
	}
	head := or(checkout, p.After)
	for i := len(p.Commits) - 1; i >= 0; i-- {
		if p.Commits[i].SHA == head {
			return &p.Commits[i]
		}
	}
	if head == "" {
		if len(p.Commits) == 0 {
			return nil
		}
		return &p.Commits[len(p.Commits)-1]
	}
	return &Commit{SHA: head, URL: d.event.Project.CommitURL(head)}
}

// isZeroID tells whether id is the object name that Git writes for none: 40
// zeros, or 64 in a repository of SHA-256.
func isZeroID(id string) bool {
	return len(id) >= 40 && strings.Trim(id, "0") == ""
}

// mergedRef is the merge request that a commit message says it brings in, as
// the trailer of GitLab's merge commits: "See merge request acme/api!42".
func mergedRef(message string) string {
	const trailer = "See merge request "
	i := strings.LastIndex(message, trailer)
	if i < 0 || i > 0 && message[i-1] != '\n' {
		return ""
	}
	ref := firstLine(message[i+len(trailer):])
	path, iid, ok := strings.Cut(ref, "!")
	if !ok || path == "" || iid == "" || strings.Trim(iid, "0123456789") != "" || strings.ContainsAny(path, " \t") {
		return ""
	}
	return ref
}
