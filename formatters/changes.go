package formatters

import "strings"

// changes tells what an update changed, as one line; nothing if that is one
// thing only, which [onlyChange] says in the sentence.
func changes(d *Data) Markdown {
	n := len(d.Changes)
	pushed := d.MergeRequest != nil && d.MergeRequest.OldRev != ""
	if n == 0 || n == 1 && !pushed {
		return ""
	}
	var l line
	for i := range d.Changes {
		l.add(change(&d.Changes[i], d, false))
	}
	if pushed {
		l.add("new commits")
	}
	return Markdown(l.String())
}

// onlyChange tells the one thing that an update changed, as part of a sentence;
// nothing if there are several.
func onlyChange(d *Data) Markdown {
	pushed := d.MergeRequest != nil && d.MergeRequest.OldRev != ""
	switch {
	case len(d.Changes) == 0 && pushed:
		return "new commits"
	case len(d.Changes) == 1 && !pushed:
		return Markdown(change(&d.Changes[0], d, true))
	}
	return ""
}

// change tells one change: as a fact on a line of them, or in a sentence.
func change(c *Change, d *Data, sentence bool) string {
	switch c.Field {
	case "title":
		return wasIs("title", quotedTitle(c.From), quotedTitle(c.To))
	case "description":
		return "description"
	case "labels":
		return listed(c, sentence, "labels", "added label", "removed label")
	case "assignees":
		return listed(c, sentence, "assignees", "assigned", "unassigned")
	case "reviewers":
		return listed(c, sentence, "reviewers", "asked for a review by", "no longer asked for a review by")
	case "re_requested":
		return "asked again for a review by " + some(c.Added)
	case "reviewed":
		return "reviewed by " + some(c.Added)
	case "changes_requested":
		return "changes requested by " + some(c.Added)
	case "target_branch":
		return wasIs("target", codeSpan(cutMiddle(c.From.plain(), maxBranch)), codeSpan(cutMiddle(c.To.plain(), maxBranch)))
	case "source_branch":
		return wasIs("source", codeSpan(cutMiddle(c.From.plain(), maxBranch)), codeSpan(cutMiddle(c.To.plain(), maxBranch)))
	case "due_date", "start_date":
		from, _ := date(c.From, d.Today)
		to, _ := date(c.To, d.Today)
		return wasIs(map[Text]string{"due_date": "due", "start_date": "start"}[c.Field], string(from), string(to))
	case "draft":
		return choose(c.To == "true", "marked as draft", "marked ready")
	case "confidential":
		return choose(c.To == "true", "made confidential", "no longer confidential")
	case "discussion_locked":
		return choose(c.To == "true", "discussion locked", "discussion unlocked")
	case "milestone_id":
		return setOrRemoved(c, "milestone", milestone(d))
	case "assignee_id", "iteration_id", "sprint_id", "epic_id", "parent_id":
		return setOrRemoved(c, strings.TrimSuffix(string(c.Field), "_id"), "")
	case "health_status", "severity", "state", "status", "type":
		return wasIs(plainWords(c.Field).String(), plainWords(c.From).String(), plainWords(c.To).String())
	}
	if s := went[c.Field]; s != "" && c.To != "" {
		return s
	}
	if len(c.Added)+len(c.Removed) > 0 {
		return listed(c, false, plainWords(c.Field).String(), "", "")
	}
	return wasIs(plainWords(c.Field).String(), value(c.From), value(c.To))
}

// went tells where an issue went, of which GitLab sends a number that says
// nothing to people.
var went = map[Text]string{
	"moved_to_id":         "moved to another project",
	"duplicated_to_id":    "marked as a duplicate",
	"promoted_to_epic_id": "promoted to an epic",
}

// setOrRemoved tells the change of something of which GitLab sends numbers only;
// name is the name of what it is now, if that is known.
func setOrRemoved(c *Change, what, name string) string {
	switch {
	case c.To == "":
		return "removed the " + what
	case c.From == "":
		return "set " + joinWords(what, name)
	case name == "":
		return "changed the " + what
	}
	return "changed the " + what + " to " + name
}

// milestone is the title of the milestone that the event's object has now.
func milestone(d *Data) string {
	switch {
	case d.MergeRequest != nil:
		return value(d.MergeRequest.Milestone)
	case d.Issue != nil:
		return value(d.Issue.Milestone)
	}
	return ""
}

func choose(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// wasIs tells a single value's change.
func wasIs(what, from, to string) string {
	switch {
	case from == "" && to == "":
		return what
	case from == "":
		return what + " " + to
	case to == "":
		return what + " " + from + " → none"
	}
	return what + " " + from + " → " + to
}

func quotedTitle(t Text) string {
	if blank(string(t)) {
		return ""
	}
	return "“" + Text(cutEnd(t.plain(), maxName)).String() + "”"
}

func value(t Text) string { return Text(cutEnd(t.plain(), maxName)).String() }

// listed tells what came to a list and what went: "labels +P1, −P2", or in a
// sentence, if it is one or the other, "added label P1".
func listed(c *Change, sentence bool, what, added, removed string) string {
	if sentence {
		switch {
		case len(c.Removed) == 0:
			return listedOne(added, c.Added)
		case len(c.Added) == 0:
			return listedOne(removed, c.Removed)
		}
	}
	return what + " " + strings.Join(append(signed("+", c.Added), signed("−", c.Removed)...), ", ")
}

func listedOne(words string, items []Text) string {
	if len(items) != 1 && strings.HasSuffix(words, "label") {
		words += "s"
	}
	return words + " " + some(items)
}

// maxListed is how many items of a change are named.
const maxListed = 5

func some(items []Text) string { return strings.Join(signed("", items), ", ") }

func signed(sign string, items []Text) []string {
	out := make([]string, 0, min(len(items), maxListed)+1)
	for _, t := range items[:min(len(items), maxListed)] {
		out = append(out, sign+value(t))
	}
	if more := len(items) - maxListed; more > 0 {
		out = append(out, string(plural(more, "more", "more")))
	}
	return out
}
