package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// keyTable is the keys that a map of the file may have, in the order in which
// sentences name them. The reader and the schema go by the same tables.
type keyTable []key

type key struct {
	name  string
	shape shape  // of its value
	about string // for editors
}

func (t keyTable) names() []string {
	out := make([]string, len(t))
	for i, k := range t {
		out[i] = k.name
	}
	return out
}

func (t keyTable) has(name string) bool {
	return slices.ContainsFunc(t, func(k key) bool { return k.name == name })
}

// without is the table but for one key.
func (t keyTable) without(name string) keyTable {
	return slices.DeleteFunc(slices.Clone(t), func(k key) bool { return k.name == name })
}

var topKeys = keyTable{
	{"sources", mapOf(sourceKeys.shape().orNull()), "the GitLabs that may send; each has the path /hooks/<name>"},
	{"defaults", defaultKeys.shape().atLeastOne(), "how messages look where destinations say nothing"},
	{"destinations", mapOf(anyText.or(destinationKeys.shape())), "incoming webhooks: a URL alone, or keys"},
	{"users", userMap, "GitLab usernames and who they are in the chat, where the two differ"},
	{"lists", mapOf(anyTexts), "values that several conditions share: lists: {contractors: [ann, bob]}, and then actors: $contractors"},
	{"times", mapOf(oneOrMore(spanKeys.shape().required("zone"))), "parts of time that conditions name: times: {office: {days: mon-fri, hours: \"08:00-18:00\", zone: Europe/Berlin}}"},
	{"ignore", ref("ignore"), "an except for every route; yields to a route that names the bot or project in when"},
	{"bots", botKeys.shape().atLeastOne(), "who counts as a bot, beside the built-in list"},
	{"egress", word(EgressPrivate, EgressPublic), "whether the relay may connect to loopback and private networks (private, the default) or not (public)"},
	{"templates", anyTexts, "what message templates are read from, later ones winning: standard, classic, folders"},
	{"include", oneOrMore(anyText.or(includeKeys.shape().required("files"))), "other files with routes, tests, users, lists and times: globs, or {files, projects, to, env}"},
	{"routes", listOf(routeKeys.shape().required("to")), "who gets what"},
	{"unrouted", anyText, "what becomes of the standard events that no route took: drop (default), log, or an address"},
	{"report", anyText, "an address for the relay's own troubles"},
	{"tests", listOf(testKeys.shape().required("event", "expect")), "what must go where; run by relay test"},
}

// includedKeys are the keys of an included file.
var includedKeys = slices.DeleteFunc(slices.Clone(topKeys), func(k key) bool {
	return !slices.Contains([]string{"users", "lists", "times", "routes", "tests"}, k.name)
})

var sourceKeys = keyTable{
	{"token", anyTexts, "the webhook's secret token (X-Gitlab-Token); a list while rotating"},
	{"token_file", anyTexts, "file that holds the secret token"},
	{"signing_key", anyTexts, "the webhook's signing token, whsec_…"},
	{"signing_key_file", anyTexts, "file that holds the signing token"},
	{"basic", basicKeys.shape().required("username"), "HTTP Basic: user name and password in the webhook's URL"},
	{"require", word("any", "signature"), "what authenticates the sender: any (default) or signature"},
	{"insecure", anyTruth, "accepts requests without authentication"},
	{"path", anyTexts, "path or paths of the source; default: /hooks/<name>"},
	{"projects", anyTexts, "the projects that it may speak for; default: all"},
	{"api", apiKeys.shape().required("url", "token_file"), "how the relay asks this GitLab itself"},
	{"insecure_api", anyTruth, "api.url may be http: the access token travels in clear"},
	{"hooks", hooksKeys.shape().required("url"), "the webhooks that relay hooks apply gives this GitLab"},
}

var basicKeys = keyTable{
	{"username", anyText, "user name"},
	{"password", anyText, "password"},
	{"password_file", anyText, "file that holds the password"},
}

var (
	detailShape   = word(DetailFull, DetailBrief, DetailTitle)
	layoutShape   = word(LayoutAuto, LayoutPlain, LayoutCard)
	mentionsShape = word(MentionsNone, MentionsRoute, MentionsMapped)
)

var defaultKeys = keyTable{
	{"username", anyText, "name that messages are posted under"},
	{"icon", anyText, "\":emoji:\" or the URL of an image"},
	{"usernames", word(UsernamesSame), "same: GitLab's usernames are the chat's"},
	{"detail", detailShape, "how much a message says: full (default), brief or title"},
	{"layout", layoutShape, "auto (default), plain or card"},
	{"mentions", mentionsShape, "none, route or mapped (default)"},
}

var destinationKeys = keyTable{
	{"url", anyText, "the incoming webhook's URL"},
	{"url_file", anyText, "file that holds the URL"},
	{"kind", word(KindMattermost, KindSlack, KindLog), "mattermost, slack or log; by default recognised by the URL"},
	{"channel", anyText, "default channel, in place of the webhook's own"},
	{"username", anyText, "name that messages are posted under"},
	{"icon", anyText, "\":emoji:\" or the URL of an image"},
	{"detail", detailShape, "the most a message says here: full (default), brief or title"},
	{"layout", layoutShape, "auto (default), plain or card"},
	{"mentions", mentionsShape, "none, route (only what routes add) or mapped (default: also people that somebody wrote to)"},
	{"channels", anyTexts, "globs over the channels that events may name: to: \"mm#gl-{project.path}\""},
	{"confidential", anyTruth.or(anyTexts), "channels that may get confidential events, globs too, or true for all"},
	{"only", conditionsShape("only"), "what may go here at all, whatever routes say"},
	{"rate_limit", rateShape, "30/m, 1/s; default: none for Mattermost, 1/s for Slack"},
	{"concurrency", whole(1, maxConcurrency), "deliveries in flight; more than 1 gives up the order"},
	{"ca_file", anyText, "certificates of the chat server, in place of the system's"},
	{"give_up_after", durationShape, "age at which a delivery becomes a dead letter; default: 72h"},
	{"timeout", durationShape, "how long an attempt may take, at most 60s; default: 10s"},
}

var routeKeys = keyTable{
	{"name", anyText, "what logs and explain call the route"},
	{"when", conditionsShape("when"), "what it takes: every key must match; a list: any entry"},
	{"except", ref("except"), "what it leaves out: any key"},
	{"to", anyTexts, "addresses: name, name#channel, name@user, \"name#gl-{project.path}\""},
	{"stop", anyTruth, "an event that this route takes is not read on"},
	{"template", anyText, "name of the template to use"},
	{"detail", detailShape, "full, brief or title"},
	{"layout", layoutShape, "auto, plain or card"},
	{"mention", anyTexts, "who is mentioned: author, actor, assignees, reviewers, here, channel, \"@name\""},
}

// whenKeys are the keys of conditions; also is a route's alone.
var whenKeys = keyTable{
	{"events", ref("events"), "names, kinds, kind.*, /…/, standard, classic, all; default: standard"},
	{"sources", anyTexts, "names of sources"},
	{"projects", anyTexts, "globs over paths: acme/** also matches acme"},
	{"visibility", oneOrMore(word(visibilityWords...).or(listName)), "of the project: private, internal, public"},
	{"branches", anyTexts, "branch of a push, source of a merge request, ref of a pipeline; * crosses slashes; $default, $protected"},
	{"target_branches", anyTexts, "target of a merge request, and of a note on one"},
	{"labels", anyTexts.or(labelKeys.shape()), "of the merge request or issue: any of a list, or {any: […], none: […]}"},
	{"actors", anyTexts, "usernames of who did it"},
	{"bots", anyTruth, "whether a bot did it"},
	{"paths", anyTexts, "globs over the files of a push"},
	{"environments", anyTexts, "globs over the environment of a deployment or job"},
	{"draft", anyTruth, "whether the merge request is a draft"},
	{"confidential", anyTruth, "whether the event is confidential"},
	{"if", anyText, "an expression: pipeline.duration > 1800"},
	{"times", anyTexts, "names of times in one of which the webhook came"},
	{"also", oneOrMore(word(alsoWords...).or(listName)), "posts what is otherwise never posted: edited_notes, child_pipelines, system_notes, immaterial_updates"},
}

// exceptKeys are those of a route's except, ignoreKeys of conditions that are no route's:
// only is asked again before each post, whatever the time.
var (
	exceptKeys = whenKeys.without("also")
	ignoreKeys = exceptKeys.without("times")
)

var includeKeys = keyTable{
	{"files", anyTexts, "globs"},
	{"projects", anyTexts, "the only projects that these files may route"},
	{"to", anyTexts, "the only addresses that these files may route to: mm#pay-*"},
	{"env", anyTexts, "the environment variables that these files may read: PAY_*"},
}

var userKeys = keyTable{
	{"mattermost", anyText, "username in Mattermost"},
	{"slack", anyText, "member id in Slack, U02ABCDEF"},
	{"email", anyTexts, "addresses that commits are made under"},
}

var userMap = mapOf(anyText.or(userKeys.shape().atLeastOne()))

var botKeys = keyTable{
	{"add", anyTexts, "usernames of bots"},
	{"remove", anyTexts, "usernames of people that the built-in list takes for bots"},
}

var testKeys = keyTable{
	{"name", anyText, "what a failure calls the test"},
	{"event", anyText, "a built-in sample (merge_request.open), or a payload file"},
	{"at", anyText, "when its webhook comes, with a zone: 2026-12-05 22:30 Europe/Berlin; without it times are not asked"},
	{"with", withKeys.shape().atLeastOne(), "what the payload is changed to say"},
	{"expect", expectKeys.shape().required("to"), "what must come of it"},
}

var expectKeys = keyTable{
	{"to", anyTexts.orEmpty(), "the addresses that must get it, in any order; []: none"},
}

var withKeys = keyTable{
	{"source", anyText, "name of the source"},
	{"project", anyText, "path of the project"},
	{"visibility", word(visibilityWords...), "of the project: private, internal, public"},
	{"actor", anyText, "username of who did it"},
	{"bot", anyTruth, "whether that is a bot"},
	{"branch", anyText, "branch, or source of the merge request"},
	{"target_branch", anyText, "target of the merge request"},
	{"tag", anyText, "name of the tag, without refs/tags/; of a pipeline or job: the one that it runs on"},
	{"labels", anyTexts.orEmpty(), "labels of the merge request or issue"},
	{"draft", anyTruth, "whether the merge request is a draft"},
	{"confidential", anyTruth, "whether the issue or note is confidential"},
	{"environment", anyText, "environment of the deployment or job"},
	{"paths", anyTexts, "files of the push"},
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// name checks the name of a source, destination or template.
func (r *reader) name(kind string, key *yaml.Node) bool {
	return r.nameOf(kind, value{text: key.Value, node: key})
}

func (r *reader) nameOf(kind string, v value) bool {
	if namePattern.MatchString(v.text) {
		return true
	}
	hint := "names are 1 to 63 lower-case letters, digits, - and _, and start with a letter or digit"
	if better := strings.Trim(notName.ReplaceAllString(strings.ToLower(v.text), "-"), "-_"); namePattern.MatchString(better) && v.text == v.node.Value {
		hint = fmt.Sprintf("did you mean %q? %s", better, hint)
	}
	r.errorf(v.node, hint, "%q cannot be the name of a %s", v.shown(), kind)
	return false
}

var notName = regexp.MustCompile(`[^a-z0-9_-]+`)

// synonyms are other words for keys, from neighbouring tools. Of several the
// first that may stand there counts.
var synonyms = map[string]string{
	"webhook": "url", "webhook_url": "url", "hook": "url", "uri": "url",
	"secret": "token", "secret_token": "token", "key": "signing_key", "signing_token": "signing_key",
	"match": "when", "filter": "when", "on": "when", "not": "except", "exclude": "except", "unless": "except",
	"receiver": "to", "receivers": "to", "destination": "to", "channels": "channel",
	"user": "username actor", "author": "actor", "people": "users", "members": "users", "icon_url": "icon", "icon_emoji": "icon", "emoji": "icon",
	"repo": "project", "repository": "project", "repos": "projects", "repositories": "projects", "groups": "projects", "refs": "branches", "ref": "branches",
	"target": "to target_branch target_branches", "target_branch": "target_branches", "source_branches": "branches", "files": "paths", "environment": "environments", "env": "environment environments", "wip": "draft",
	"condition": "if", "expression": "if", "includes": "include", "bot": "bots",
	"emails": "email", "mattermost_username": "mattermost", "slack_id": "slack", "id": "slack", "mentioned": "mention", "ping": "mention",
	"rate": "rate_limit", "limit": "rate_limit", "ca": "ca_file", "cafile": "ca_file", "deadline": "timeout", "expected": "expect",
	"continue": "stop", "set": "with", "payload": "event",
	"location": "zone", "timezone": "zone", "time_zone": "zone", "tz": "zone", "weekdays": "days", "times": "hours", "time": "hours", "date": "dates",
	"time_intervals": "times", "mute_time_intervals": "times", "active_time_intervals": "times", "schedule": "times",
	"receive": "destinations", "default": "defaults", "hooks": "sources", "fallback": "unrouted", "type": "kind",
}

// SuggestWith is the key of a test's `with` that a mistyped one most likely
// meant; empty when there is none.
func SuggestWith(key string) string { return suggestKey(key, withKeys) }

// suggestKey is the same of any table.
func suggestKey(key string, allowed keyTable) string {
	low := strings.ToLower(strings.ReplaceAll(key, "-", "_"))
	if allowed.has(low) {
		return low
	}
	if s := Suggest(low, allowed.names()); s != "" {
		return s
	}
	for s := range strings.FieldsSeq(synonyms[low]) {
		if allowed.has(s) {
			return s
		}
	}
	return ""
}

// sentences answer keys that people look for and that there cannot be.
var sentences = map[string]string{
	"author":  "GitLab does not say who wrote a merge request, only an id; actors is who did it",
	"authors": "GitLab does not say who wrote a merge request, only an id; actors is who did it",
	"actions": "the action belongs in the event's name: events: issue.open",
	"action":  "the action belongs in the event's name: events: issue.open",
	"all":     `labels that must all be there are written as if: "'a' in labels && 'b' in labels"`,
	"regex":   "a pattern between slashes is a regular expression, in every list: /^release-/",
	"not":     "write what to leave out in except",
}

// sentence answers such a key in conditions, or in labels.
func sentence(key string, allowed keyTable) string {
	if allowed.has("if") || allowed.has("none") {
		return sentences[key]
	}
	return ""
}

// elsewhere tells where a key belongs that stands at the wrong place.
func elsewhere(key string, allowed keyTable) string {
	switch {
	case key == "times" && (allowed.has("if") || allowed.has("to")):
		return "times belongs in when or except of a route"
	case key == "also" && allowed.has("if"):
		return "also belongs in when of a route"
	case allowed.has("routes") && topKeys.has(key): // an included file's
		return fmt.Sprintf("%s belongs in the main file: one that is included has only %s", key, strings.Join(includedKeys.names(), ", "))
	case topKeys.has(key):
		return fmt.Sprintf("%s belongs at the top of the file", key)
	case whenKeys.has(key):
		return fmt.Sprintf("%s belongs in when or except of a route", key)
	case routeKeys.has(key):
		return fmt.Sprintf("%s belongs in a route", key)
	case destinationKeys.has(key):
		return fmt.Sprintf("%s belongs in a destination", key)
	case sourceKeys.has(key):
		return fmt.Sprintf("%s belongs in a source", key)
	}
	return ""
}
