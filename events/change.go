package events

import (
	"cmp"
	"slices"
)

// noise are the keys of changes that nobody would tell: bookkeeping that moves
// along with something else, that GitLab computes in the background, or that
// comes with dragging a card on a board.
var noise = map[string]bool{
	"id": true, "iid": true, "author_id": true, "created_at": true,
	"source_project_id": true, "target_project_id": true,
	"updated_at": true, "updated_by_id": true, "last_edited_at": true, "last_edited_by_id": true,
	"closed_at": true, "closed_by_id": true, "merged_at": true, "merged_by_id": true, "actioned_at": true,
	"relative_position": true, "lock_version": true, "description_html": true, "title_html": true,
	"total_time_spent": true, "time_change": true, "time_estimate": true,
	"human_total_time_spent": true, "human_time_change": true, "human_time_estimate": true,
	"merge_params": true, "merge_status": true, "detailed_merge_status": true, "merge_error": true,
	"merge_user_id": true, "merge_when_pipeline_succeeds": true, "merge_commit_sha": true,
	"squash_commit_sha": true, "in_progress_merge_commit_sha": true, "rebase_commit_sha": true,
	"head_pipeline_id": true, "prepared_at": true, "last_commit": true, "latest_merge_request_diff_id": true,
	"blocking_discussions_resolved": true, "first_contribution": true, "approval_rules": true,
	"state_id": true, "work_in_progress": true,
}

// order is where a field stands among the changes. Those not listed come last,
// by name.
var order = func() map[string]int {
	ranks := map[string]int{}
	for i, field := range []string{
		"title", "description", "type", "state", "draft", "confidential", "target_branch", "source_branch",
		"assignees", "assignee", "assignee_id", "reviewers", "re_requested", "labels",
		"milestone", "milestone_id", "start_date", "due_date", "severity", "weight", "health_status",
		"discussion_locked",
	} {
		ranks[field] = i + 1
	}
	return ranks
}()

// readChanges reads what an update changed, without the noise. It returns
// "ready" or "draft" if it took the draft mark off or put it on.
func (d *decoder) readChanges() (draft string) {
	v := d.get("changes")
	var room [8]Change
	changes := room[:0]
	d.each("changes", v, func(key string, v value) {
		if noise[key] || len(changes) == maxFields {
			return
		}
		from, to := d.pair(v)
		switch key {
		case "draft":
			was, is := d.boolean(from), d.boolean(to)
			switch {
			case is && !was:
				draft = "draft"
			case was && !is:
				draft = "ready"
			default:
				return
			}
		case "reviewers":
			if again := d.reRequested(from, to); len(again) > 0 {
				changes = append(changes, Change{Field: "re_requested", Added: again})
			}
		}
		if c, ok := d.change(key, from, to); ok {
			changes = append(changes, c)
		}
	})
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(rank(a.Field), rank(b.Field)), cmp.Compare(a.Field, b.Field))
	})
	d.event.Changes = append([]Change(nil), changes...)
	return draft
}

func rank(field string) int {
	if r := order[field]; r > 0 {
		return r
	}
	return len(order) + 1
}

// pair reads both sides of a change: {"previous": …, "current": …}, or the two
// items of an array, as GitLab 19 writes reviewers.
func (d *decoder) pair(v value) (from, to value) {
	switch d.sort(v) {
	case '[':
		n := 0
		d.list(v, maxObjects, func(item value) {
			switch n++; n {
			case 1:
				from = item
			case 2:
				to = item
			}
		})
	case '{':
		d.each(d.key, v, func(key string, item value) {
			switch key {
			case "previous":
				from = item
			case "current":
				to = item
			}
		})
	default:
		d.warn("not a change")
	}
	return from, to
}

// change compares the two sides; ok is false if there is no difference to tell,
// as when only a reviewer's state moved.
func (d *decoder) change(field string, from, to value) (c Change, ok bool) {
	c.Field = field
	if d.isArray(from) || d.isArray(to) {
		before, after := d.members(from), d.members(to)
		c.Added, c.Removed = without(after, before), without(before, after)
		return c, len(c.Added)+len(c.Removed) > 0
	}
	c.From, c.To = d.side(from), d.side(to)
	return c, c.From != c.To
}

// side reads a single value of a change: of an object its title or name.
func (d *decoder) side(v value) string {
	if d.isObject(v) {
		return d.member(v).text
	}
	return d.str(v)
}

// member is an item of a list that changed: what tells it from others, and what
// to call it.
type member struct {
	id, text    string
	reRequested bool
}

func (d *decoder) members(v value) []member {
	var room [8]member
	list := room[:0]
	d.list(v, maxObjects, func(v value) { list = append(list, d.member(v)) })
	return append([]member(nil), list...)
}

func (d *decoder) member(v value) member {
	if !d.isObject(v) {
		text := d.str(v)
		return member{id: text, text: text}
	}
	var m member
	var id, username string
	d.each(d.key, v, func(key string, v value) {
		switch key {
		case "id":
			id = d.str(v)
		case "username":
			username = d.str(v)
		case "title", "name":
			m.text = d.str(v)
		case "re_requested":
			m.reRequested = d.boolean(v)
		}
	})
	m.text = or(m.text, username, id)
	m.id = or(username, m.text)
	return m
}

// without lists what is in a but not in b.
func without(a, b []member) []string {
	known := make(map[string]bool, len(b))
	for _, m := range b {
		known[m.id] = true
	}
	var rest []string
	for _, m := range a {
		if m.text != "" && !known[m.id] {
			rest = append(rest, m.text)
		}
	}
	return rest
}

// reRequested lists the reviewers who were asked for another review.
func (d *decoder) reRequested(from, to value) []string {
	asked := map[string]bool{}
	for _, m := range d.members(from) {
		asked[m.id] = m.reRequested
	}
	var again []string
	for _, m := range d.members(to) {
		if before, was := asked[m.id]; was && m.reRequested && !before {
			again = append(again, m.text)
		}
	}
	return again
}
