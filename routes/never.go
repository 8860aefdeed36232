package routes

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// never tells why a key can never match events of a name; empty when it may.
// What events have follows GitLab's "Webhook events" documentation.
func never(key, name string) string {
	kind, action, _ := strings.Cut(name, ".")
	onMergeRequest := kind == events.MergeRequest || name == "note.merge_request" || kind == events.Emoji
	if kind == events.Other || kind == events.System && key != keyBranches {
		return "" // whatever GitLab says
	}
	switch key {
	case keyBranches:
		if branchless(kind, action) {
			return "which has no branch"
		}
	case keyTargetBranches:
		if !onMergeRequest && kind != events.Pipeline {
			return "which has no target branch"
		}
	case keyLabels:
		if kind == events.Pipeline || kind == events.Job {
			return "with which GitLab sends no labels"
		}
		if !onMergeRequest && kind != events.Issue && name != "note.issue" {
			return "which has no labels"
		}
	case keyDraft:
		if kind == events.Pipeline {
			return "of whose merge request GitLab does not say whether it is a draft"
		}
		if !onMergeRequest {
			return "which is no merge request"
		}
	case keyPaths:
		if kind == events.MergeRequest {
			return "with which GitLab sends no files"
		}
		if kind != events.Push && kind != events.TagPush || action == "delete" {
			return "which has no files"
		}
	case keyEnvironments:
		if kind != events.Deployment && kind != events.Job {
			return "which has no environment"
		}
	case keyActors, keyBots:
		if slices.Contains(nobodys, kind) {
			return "of which GitLab does not say who did it"
		}
	case keyVisibility:
		if kind == events.Member || kind == events.Subgroup || kind == events.Vulnerability {
			return "of which GitLab does not say the visibility"
		}
	}
	return ""
}

// untold tells whether people may think that events of a name have what a key
// asks for: a tag is a ref, a pipeline runs for a merge request.
func untold(key, name string) bool {
	kind, _, _ := strings.Cut(name, ".")
	switch key {
	case keyBranches:
		return kind == events.TagPush
	case keyLabels, keyDraft:
		return kind == events.Pipeline
	case keyPaths:
		return kind == events.MergeRequest
	}
	return false
}

// nobodys are the kinds with which GitLab sends no user.
var nobodys = []string{
	events.AccessToken, events.DeployToken, events.Milestone, events.Release, events.ProjectKind, events.Subgroup, events.Vulnerability,
}

// mayBeConfidential are the kinds that can be.
var mayBeConfidential = []string{events.Issue, events.Note, events.Emoji, events.Vulnerability, events.Other, events.System}

// branchless are the events that never have a branch.
func branchless(kind, action string) bool {
	switch kind {
	case events.Note:
		return action != events.MergeRequest
	case events.TagPush, events.Issue, events.Release, events.WikiPage, events.Milestone, events.FeatureFlag, events.Member,
		events.Subgroup, events.ProjectKind, events.AccessToken, events.DeployToken, events.Vulnerability, events.System:
		return true
	}
	return false
}

// place is a key of conditions with what never says of it.
type place struct {
	key string
	pos configs.Pos
}

// places are the keys that some events lack.
func (w *checkedConditions) places() []place {
	var out []place
	for _, l := range []*configs.List{w.Visibility, w.Branches, w.TargetBranches, w.Actors, w.Paths, w.Environments} {
		if l != nil {
			out = append(out, place{l.Key, l.Pos})
		}
	}
	for _, f := range []*configs.Flag{w.Bots, w.Draft} {
		if f != nil {
			out = append(out, place{f.Key, f.Pos})
		}
	}
	if w.Labels != nil && w.Labels.Any != nil {
		out = append(out, place{keyLabels, w.Labels.Pos})
	}
	return out
}

// checkKeys names every event written in w that one of its keys can never match.
// Sets are left out: who writes one means those of it that fit.
func (c *compiler) checkKeys(w checkedConditions, part string) {
	c.checkMixedProtected(w)
	for _, e := range w.events {
		names := e.names(c.vocabulary)
		if e.set != "" || len(names) == 0 {
			continue
		}
		for _, p := range w.places() {
			hint := fmt.Sprintf("remove %s, or give %s an entry of %s of its own", p.key, e.Text, part)
			if len(w.events) == 1 {
				hint = fmt.Sprintf("remove %s, or name events that have it", p.key)
			}
			c.checkKey(p, e, names, hint)
		}
		c.checkSource(w, e)
		c.checkProtected(w.Branches, e)
		c.checkConfidential(w.Confidential, e, names)
	}
}

// checkKey finds a key that no event of a pattern has anything for.
func (c *compiler) checkKey(p place, e writtenEvent, names []string, hint string) {
	if slices.ContainsFunc(names, func(n string) bool { return never(p.key, n) == "" }) {
		return
	}
	switch {
	case p.key == keyTargetBranches && !slices.ContainsFunc(names, func(n string) bool { return never(keyBranches, n) != "" }):
		hint = "did you mean branches?"
	case p.key == keyPaths && e.kind == events.MergeRequest:
		hint = "labels can replace them"
	}
	c.report(configs.Error, p.pos, len(p.key), fmt.Sprintf("%s never matches %s, %s", p.key, e.Text, never(p.key, names[0])), hint)
}

// checkSource finds `branches: main` on merge requests, whose branch is the
// source. Who says what target_branches are knows the difference.
func (c *compiler) checkSource(w checkedConditions, e writtenEvent) {
	onMergeRequest := e.kind == events.MergeRequest || e.kind == events.Note && e.action == events.MergeRequest
	if w.Branches == nil || w.TargetBranches != nil || !onMergeRequest {
		return
	}
	for _, v := range w.Branches.Values {
		if v.Text != "main" && v.Text != "master" && v.Text != wordDefault {
			return
		}
	}
	c.report(configs.Error, w.Branches.Pos, len(keyBranches),
		fmt.Sprintf("branches: %s never matches %s, whose branch is the source", strings.Join(texts(w.Branches), ", "), e.Text), "did you mean target_branches?")
}

// checkProtected finds $protected alone on what GitLab does not tell it of.
func (c *compiler) checkProtected(branches *configs.List, e writtenEvent) {
	if branches == nil || e.kind == "" || e.kind == events.Push || branchless(e.kind, e.action) {
		return
	}
	if !slices.ContainsFunc(branches.Values, func(v configs.Pattern) bool { return v.Text != wordProtected }) {
		c.report(configs.Error, branches.Pos, len(keyBranches), fmt.Sprintf("$protected never matches %s: GitLab tells it of pushes alone", e.Text), "name the branches, or write $default")
	}
}

// checkMixedProtected warns of $protected beside other branches where none of
// the events named is a push.
func (c *compiler) checkMixedProtected(w checkedConditions) {
	if v, ok := mixedProtected(w.Branches); ok && c.untoldOf(w.events) {
		c.report(configs.Warning, v.Pos, len(wordProtected), fmt.Sprintf("$protected never matches %s: GitLab tells it of pushes alone", inWords(w.events)),
			"name the protected branches, or remove it")
	}
}

// mixedProtected is $protected in a list that has more than that.
func mixedProtected(branches *configs.List) (configs.Pattern, bool) {
	if branches == nil {
		return configs.Pattern{}, false
	}
	i := slices.IndexFunc(branches.Values, func(v configs.Pattern) bool { return v.Text == wordProtected })
	if i < 0 || !slices.ContainsFunc(branches.Values, func(v configs.Pattern) bool { return v.Text != wordProtected }) {
		return configs.Pattern{}, false
	}
	return branches.Values[i], true
}

// untoldOf tells whether GitLab says of none of these events that its branch is
// protected, although one of them has a branch.
func (c *compiler) untoldOf(all []writtenEvent) bool {
	withBranch := false
	for _, e := range all {
		names := e.names(c.vocabulary)
		if e.set == setStandard || e.set == setAll || len(names) == 0 {
			return false
		}
		for _, n := range names {
			kind, action, _ := strings.Cut(n, ".")
			if kind == events.Push {
				return false
			}
			withBranch = withBranch || !branchless(kind, action)
		}
	}
	return withBranch
}

// inWords are events in a sentence: the first three.
func inWords(all []writtenEvent) string {
	var list []string
	for i, e := range all {
		if i == 3 {
			list = append(list, "…")
			break
		}
		list = append(list, e.Text)
	}
	return strings.Join(list, ", ")
}

func (c *compiler) checkConfidential(f *configs.Flag, e writtenEvent, names []string) {
	if f == nil {
		return
	}
	because := ""
	switch {
	case f.Value && !slices.ContainsFunc(names, func(n string) bool {
		kind, _, _ := strings.Cut(n, ".")
		return slices.Contains(mayBeConfidential, kind)
	}):
		because = "which is never confidential"
	case !f.Value && e.kind == events.Vulnerability:
		because = "which always is"
	default:
		return
	}
	c.report(configs.Error, f.Pos, len(keyConfidential), fmt.Sprintf("confidential: %v never matches %s, %s", f.Value, e.Text, because), "remove one of them, or write two entries of when")
}

// checkAlso finds words of also without any event that needs them.
func (c *compiler) checkAlso(w checkedConditions) {
	if w.Also == nil {
		return
	}
	var names []string
	for _, e := range w.events {
		names = append(names, e.names(c.vocabulary)...)
	}
	for _, v := range w.Also.Values {
		needs, lacking := func(string) bool { return true }, ""
		switch v.Text {
		case configs.AlsoEditedNotes, configs.AlsoSystemNotes:
			needs, lacking = func(n string) bool { return strings.HasPrefix(n, events.Note+".") }, "a note"
		case configs.AlsoChildPipelines:
			needs, lacking = func(n string) bool { return strings.HasPrefix(n, events.Pipeline+".") }, "a pipeline"
		case configs.AlsoImmaterialUpdates:
			needs, lacking = func(n string) bool { return slices.Contains(immaterial, n) }, "merge_request.update or issue.update"
		}
		if len(w.events) > 0 && !slices.ContainsFunc(names, needs) {
			c.report(configs.Error, v.Pos, utf8.RuneCountInString(v.Text), fmt.Sprintf("%s never applies: none of the events is %s", v.Text, lacking), "remove it, or add such events")
		}
	}
}

// checkExcept finds keys of except that can never match what when asks for, or
// an event of it; and routes of which except leaves nothing.
func (c *compiler) checkExcept(r checkedRoute) {
	var all []writtenEvent
	for _, w := range r.when {
		all = append(all, w.events...)
	}
	if v, ok := mixedProtected(r.except.Branches); ok && c.untoldOf(all) {
		c.report(configs.Warning, v.Pos, len(wordProtected), fmt.Sprintf("$protected leaves no %s out: GitLab tells it of pushes alone", inWords(all)),
			"name the protected branches, or remove it")
	}
	for _, p := range r.except.places() {
		if slices.ContainsFunc(all, func(e writtenEvent) bool {
			names := e.names(c.vocabulary)
			return e.set != "" || len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return never(p.key, n) == "" })
		}) {
			c.checkLeftIn(p, all)
			continue
		}
		for _, e := range all {
			c.checkKey(p, e, e.names(c.vocabulary), fmt.Sprintf("remove %s from except: it leaves nothing out", p.key))
		}
	}
	if !slices.ContainsFunc(r.when, func(w checkedConditions) bool { return !c.swallowed(w, r.except) }) {
		c.report(configs.Warning, r.except.Pos, 1, r.named()+" never takes an event: its except excludes all that its when asks for", "remove one of them")
	}
}

// checkLeftIn warns of a key of except that leaves out some events of the route
// and, of others, none that its writer may think it does.
func (c *compiler) checkLeftIn(p place, all []writtenEvent) {
	for _, e := range all {
		names := e.names(c.vocabulary)
		if e.set != "" || len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return !untold(p.key, n) }) {
			continue
		}
		hint := fmt.Sprintf("if that is meant, give %s a route of its own", e.Text)
		if p.key == keyBranches {
			hint += "; the name of a tag is asked for by if: tag startsWith \"v\""
		}
		c.report(configs.Warning, p.pos, len(p.key), fmt.Sprintf("%s leaves no %s out, %s", p.key, e.Text, never(p.key, names[0])), hint)
	}
}

// checkFence tells of projects that the file may not route, and once of what is
// wrong with the include's own patterns.
func (c *compiler) checkFence(w checkedConditions, f *configs.Fence) {
	if f == nil || f.Projects == nil {
		return
	}
	if c.fences == nil {
		c.fences = map[*configs.Fence]bool{}
	}
	if !c.fences[f] {
		c.fences[f] = true
		compiled(c, f.Projects, compileProject)
	}
	if w.Projects == nil {
		return
	}
	for _, v := range w.Projects.Values {
		if outside(v.Text, f.Projects) {
			c.report(configs.Error, v.Pos, utf8.RuneCountInString(cmp.Or(v.Written, v.Text)), fmt.Sprintf("%q never matches: this file may not route it", cmp.Or(v.Written, v.Text)),
				fmt.Sprintf("%s lets it route %s", f.Pos, strings.Join(texts(f.Projects), ", ")))
		}
	}
}

// outside tells whether a project, or a tree of them, is certainly none that a
// fence has.
func outside(text string, fence *configs.List) bool {
	tree, isTree := strings.CutSuffix(strings.ToLower(text), "/**")
	if !literal(tree) {
		return false
	}
	return !slices.ContainsFunc(fence.Values, func(v configs.Pattern) bool {
		p, wrong := compileProject(v.Text)
		switch {
		case wrong != nil && wrong.severity == configs.Error:
			return true
		case p.matches(tree, &meter{}):
			return true
		case !isTree:
			return false
		}
		// A tree may reach into what the fence has below it.
		return p.re != nil || !p.exact && p.prefix == "" || strings.HasPrefix(p.text, tree+"/")
	})
}
