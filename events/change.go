package events

import (
	"cmp"
	"slices"
	"strconv"
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
		"assignees", "assignee", "assignee_id", actionChangesRequested, actionReviewed, "reviewers", "re_requested", "labels",
		"milestone", "milestone_id", "start_date", "due_date", "severity", "weight", "health_status",
		"discussion_locked",
	} {
		ranks[field] = i + 1
	}
	return ranks
}()

// foundChanges is what readChanges finds beside the list of changes.
type foundChanges struct {
	draft              string // "ready" or "draft", if changes has a draft that changed
	wip                string // the same, of what draft was called before GitLab 14
	titleFrom, titleTo string
	stateTo            int64  // GitLab's number of the new state: 1 opened, 2 closed; 0 if that did not change
	reviewed           []User // whose review was submitted
	requested          []User // whose review asks for changes
}

// readChanges reads what an update changed, without the noise.
func (d *decoder) readChanges() (found foundChanges) {
	v := d.get("changes")
	var room [8]Change
	changes := room[:0]
	d.each("changes", v, func(key string, v value) {
		switch key {
		case "work_in_progress":
			from, to := d.pair(v)
			found.wip = draftAction(d.boolean(from), d.boolean(to))
		case "state_id":
			_, to := d.pair(v)
			found.stateTo = d.integer(to)
		}
		if noise[key] || len(changes) == maxFields {
			return
		}
		from, to := d.pair(v)
		switch key {
		case "draft":
			if found.draft = draftAction(d.boolean(from), d.boolean(to)); found.draft == "" {
				return
			}
		case "title":
			found.titleFrom, found.titleTo = d.str(from), d.str(to)
		case "reviewers":
			changes = append(changes, d.reviewerChanges(&found, from, to)...)
		}
		if c, ok := d.change(key, from, to); ok {
			changes = append(changes, c)
		}
	})
	sortChanges(changes)
	d.event.Changes = append([]Change(nil), changes...)
	return found
}

// addChange adds a change in its place.
func (d *decoder) addChange(c Change) {
	d.event.Changes = append(d.event.Changes, c)
	sortChanges(d.event.Changes)
}

func sortChanges(changes []Change) {
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(rank(a.Field), rank(b.Field)), cmp.Compare(a.Field, b.Field))
	})
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
	switch {
	case v.IsArray():
		n := 0
		d.list(v, maxObjects, func(item value) {
			switch n++; n {
			case 1:
				from = item
			case 2:
				to = item
			}
		})
	case v.IsObject():
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
	if from.IsArray() || to.IsArray() {
		before, after := d.members(from), d.members(to)
		c.Added, c.Removed = without(after, before), without(before, after)
		return c, len(c.Added)+len(c.Removed) > 0
	}
	c.From, c.To = d.side(from), d.side(to)
	return c, c.From != c.To
}

// side reads a single value of a change: of an object its title or name.
func (d *decoder) side(v value) string {
	if v.IsObject() {
		return d.member(v).text
	}
	return d.str(v)
}

// member is an item of a list that changed: what tells it from others, and what
// to call it.
type member struct {
	id, text    string
	reRequested bool   // of a reviewer: another review was asked for
	state       string // of a reviewer: how far the review is
	user        User   // of a person
}

func (d *decoder) members(v value) []member {
	var room [8]member
	list := room[:0]
	d.list(v, maxObjects, func(v value) { list = append(list, d.member(v)) })
	return append([]member(nil), list...)
}

func (d *decoder) member(v value) member {
	if !v.IsObject() {
		text := d.str(v)
		return member{id: text, text: text}
	}
	var m member
	var id string
	d.each(d.key, v, func(key string, v value) {
		switch key {
		case "id":
			id = d.str(v)
		case "username":
			m.user.Username = d.str(v)
		case "title", "name":
			m.text = d.str(v)
		case "re_requested":
			m.reRequested = d.boolean(v)
		case "state":
			m.state = d.str(v)
		}
	})
	m.text = or(m.text, m.user.Username, id)
	m.id = or(m.user.Username, m.text)
	m.user.ID, _ = strconv.ParseInt(id, 10, 64) // of a label it need not be a number
	m.user.Name, m.user.Bot = m.text, isBot(m.user.Username)
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

// reviewerChanges lists what changed about reviewers who stay: who submitted a
// review, and who was asked for another one.
func (d *decoder) reviewerChanges(found *foundChanges, from, to value) []Change {
	before := map[string]member{}
	for _, m := range d.members(from) {
		before[m.id] = m
	}
	reviewed, requested, again := Change{Field: actionReviewed}, Change{Field: actionChangesRequested}, Change{Field: "re_requested"}
	for _, m := range d.members(to) {
		was, known := before[m.id]
		if known && m.reRequested && !was.reRequested {
			again.Added = append(again.Added, m.text)
		}
		switch { // GitLab's app/models/merge_request_reviewer.rb
		case m.state == was.state:
		case m.state == "reviewed":
			reviewed.Added = append(reviewed.Added, m.text)
			found.reviewed = append(found.reviewed, m.user)
		case m.state == "requested_changes":
			requested.Added = append(requested.Added, m.text)
			found.requested = append(found.requested, m.user)
		}
	}
	return slices.DeleteFunc([]Change{requested, reviewed, again}, func(c Change) bool { return len(c.Added) == 0 })
}
