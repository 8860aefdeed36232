package test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/routes"
)

var update = flag.Bool("update", false, "write what the commands print, and the tables of keys, into docs/routing.md")

const routingPage = "docs/routing.md"

func routing(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, routingPage))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// step is a block of the page that does something: a file, or commands.
type step struct {
	block
	file string // its name; empty for commands
}

// chapter is the blocks below a heading: they share a directory. A heading
// that begins with a number goes on with the directory of the one before.
type chapter struct {
	title string
	steps []step
}

var (
	heading  = regexp.MustCompile(`^#{2,3} (.+)$`)
	numbered = regexp.MustCompile(`^([2-9]|\d\d)\. `)
	fileName = regexp.MustCompile("`([\\w./-]+\\.ya?ml)`(?:, [\\w ]+)?:$") // ends the line before a file's block
)

// chapters reads the page. A YAML block is relay.yaml unless the line before it
// names it.
func chapters(page string) []chapter {
	var steps []step
	for _, language := range []string{"yaml", "console"} {
		for _, b := range fences(page, language) {
			steps = append(steps, step{block: b})
			if language == "yaml" {
				steps[len(steps)-1].file = "relay.yaml"
			}
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return a.line - b.line })
	var all []chapter
	var said string // the last line of text
	inside := false // of a fence
	for i, line := range strings.Split(page, "\n") {
		for len(steps) > 0 && steps[0].line == i+1 {
			s := steps[0]
			if m := fileName.FindStringSubmatch(said); m != nil && s.file != "" {
				s.file = m[1]
			}
			all[len(all)-1].steps = append(all[len(all)-1].steps, s)
			steps = steps[1:]
		}
		if strings.HasPrefix(strings.TrimLeft(line, " "), "```") {
			inside = !inside
			continue
		}
		if inside || strings.TrimSpace(line) == "" {
			continue
		}
		said = strings.TrimSpace(line)
		if m := heading.FindStringSubmatch(line); m != nil && !numbered.MatchString(m[1]) {
			all = append(all, chapter{title: m[1]})
		}
	}
	return slices.DeleteFunc(all, func(c chapter) bool { return len(c.steps) == 0 })
}

func TestChapters(t *testing.T) {
	page := strings.Join([]string{
		"## One", "```yaml", "a: 1", "```", "The team's own, `teams/x.yaml`:", "", "```yaml", "# Two", "```",
		"### 1. First", "```sh", "## Three", "```", "```console", "$ x", "```", "### 2. Second", "```yaml", "c: 1", "```",
	}, "\n")
	want := []chapter{
		{"One", []step{{block{3, "a: 1\n"}, "relay.yaml"}, {block{8, "# Two\n"}, "teams/x.yaml"}}},
		{"1. First", []step{{block{15, "$ x\n"}, ""}, {block{19, "c: 1\n"}, "relay.yaml"}}},
	}
	if diff := cmp.Diff(want, chapters(page), cmp.AllowUnexported(chapter{}, step{}, block{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRoutingPage loads every YAML block of the page and runs its tests, and
// runs every command of its console blocks and compares what it prints.
func TestRoutingPage(t *testing.T) {
	if !*update { // which has TestRoutingReference write the same page
		t.Parallel()
	}
	page := routing(t)
	all := chapters(page)
	files, commands := 0, 0
	printed := map[int]string{} // by the line of the console block
	fails := map[int]bool{}
	for i, line := range strings.Split(page, "\n") {
		fails[i+2] = strings.TrimSpace(line) == "```console exit=1"
	}
	for _, c := range all {
		t.Run(c.title, func(t *testing.T) {
			d := &desk{t: t, dir: t.TempDir(), env: deskEnvironment(t, c), fails: fails, loaded: map[string]bool{}}
			for _, s := range c.steps {
				if s.file != "" {
					files++
					d.write(s)
					continue
				}
				text, n := d.console(s.block)
				printed[s.line] = text
				commands += n
			}
			d.settle()
			if line, ok := d.written[".gitlab-ci.yml"]; ok {
				d.pipeline(line)
			}
			for file := range d.written {
				if !d.loaded[file] {
					t.Errorf("%s:%d: nothing loads %s", routingPage, d.written[file], file)
				}
			}
		})
	}
	if files < 20 || commands < 20 {
		t.Errorf("%s has %d YAML blocks and %d commands", routingPage, files, commands)
	}
	if *update {
		writePage(t, replaceConsoles(page, all, printed))
	}
}

// desk is where the reader of a chapter works.
type desk struct {
	t       *testing.T
	dir     string
	env     []string
	fails   map[int]bool    // console blocks that show a mistake, by line
	written map[string]int  // files, and the lines of their blocks
	loaded  map[string]bool // files that a good relay.yaml read, or that a command showed to be wrong
	dirty   bool            // there is something new to load
}

// deskEnvironment sets the variables that a chapter's files name.
func deskEnvironment(t *testing.T, c chapter) []string {
	env := map[string]string{"RELAY_TOKEN": gitlabToken}
	for _, s := range c.steps {
		for _, m := range variable.FindAllStringSubmatch(s.text, -1) {
			switch name := m[1]; {
			case strings.Contains(name, "SIGNING_KEY"):
				env[name] = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
			case strings.Contains(name, "TOKEN"):
				env[name] = gitlabToken + "-" + strings.ToLower(name)
			default:
				env[name] = "https://chat.example/hooks/" + strings.ToLower(name)
			}
		}
	}
	list := []string{"PATH=" + filepath.Dir(relayBinary(t)) + ":" + os.Getenv("PATH")}
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return list
}

// write puts a file on the desk. What it replaces must have been good.
func (d *desk) write(s step) {
	d.t.Helper()
	if _, again := d.written[s.file]; again {
		d.settle()
	}
	path := filepath.Join(d.dir, s.file)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(s.text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if d.written == nil {
		d.written = map[string]int{}
	}
	d.written[s.file], d.dirty = s.line, true
	delete(d.loaded, s.file)
}

// settle checks and tests what is on the desk. It must be without a warning.
func (d *desk) settle() {
	d.t.Helper()
	if !d.dirty {
		return
	}
	d.dirty = false
	if _, ok := d.written["relay.yaml"]; !ok {
		return
	}
	for _, command := range []string{"relay check", "relay test"} {
		out, code := d.run(command)
		if code != 0 || command == "relay check" && out != "relay.yaml: ok\n" {
			d.t.Errorf("%s:%d: %s: exit %d\n%s", routingPage, d.written["relay.yaml"], command, code, out)
		}
	}
	cfg, _ := configs.Load(filepath.Join(d.dir, "relay.yaml"), func(name string) (string, bool) {
		for _, v := range d.env {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value, true
			}
		}
		return "", false
	})
	for _, file := range cfg.Files {
		if name, err := filepath.Rel(d.dir, file); err == nil {
			d.loaded[name] = true
		}
	}
}

// pipeline runs the script of each job of a GitLab CI file, with no other
// variables than the job's. It must leave the reports that the job names, and
// end as the tests do.
func (d *desk) pipeline(line int) {
	d.t.Helper()
	data, err := os.ReadFile(filepath.Join(d.dir, ".gitlab-ci.yml"))
	if err != nil {
		d.t.Fatal(err)
	}
	var jobs map[string]struct {
		Variables map[string]string
		Script    []string
		Artifacts struct{ Reports map[string]string }
	}
	if err := yaml.Unmarshal(data, &jobs); err != nil || len(jobs) == 0 {
		d.t.Errorf("%s:%d: %d jobs, %v", routingPage, line, len(jobs), err)
	}
	_, want := d.run("relay test")
	for name, job := range jobs {
		own := *d
		own.env = slices.DeleteFunc(slices.Clone(d.env), func(v string) bool { return !strings.HasPrefix(v, "PATH=") })
		for key, value := range job.Variables {
			own.env = append(own.env, key+"="+value)
		}
		if out, got := own.run("set -e\n" + strings.Join(job.Script, "\n")); got != want {
			d.t.Errorf("%s:%d: job %s: exit %d, want %d\n%s", routingPage, line, name, got, want, out)
		}
		for _, report := range job.Artifacts.Reports {
			if info, err := os.Stat(filepath.Join(d.dir, report)); err != nil || info.Size() == 0 {
				d.t.Errorf("%s:%d: job %s leaves no %s", routingPage, line, name, report)
			}
		}
	}
	d.loaded[".gitlab-ci.yml"] = len(jobs) > 0
}

// console runs the commands of a block, and says what the block should be. All
// must succeed, but for the last of a block that begins with
//
//	```console exit=1
//
// which shows what is wrong with the files of the desk.
func (d *desk) console(b block) (text string, commands int) {
	d.t.Helper()
	var out strings.Builder
	parts := strings.Split("\n"+b.text, "\n$ ")[1:]
	for i, part := range parts {
		command, _, _ := strings.Cut(part, "\n")
		got, code := d.run(command)
		fmt.Fprintf(&out, "$ %s\n%s", command, got)
		want := 0
		if i == len(parts)-1 && d.fails[b.line] {
			want, d.dirty = 1, false
			for name := range d.written {
				d.loaded[name] = true
			}
		}
		if code != want {
			d.t.Errorf("%s:%d: %s: exit %d, want %d\n%s", routingPage, b.line, command, code, want, got)
		}
	}
	if diff := cmp.Diff(b.text, out.String()); diff != "" && !*update {
		d.t.Errorf("%s:%d: (-page +printed):\n%s", routingPage, b.line, diff)
	}
	return out.String(), len(parts)
}

func (d *desk) run(command string) (out string, code int) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir, cmd.Env = d.dir, d.env
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		d.t.Fatalf("%s: %v", command, err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// replaceConsoles puts what was printed in place of the console blocks, with
// the indent of the page.
func replaceConsoles(page string, all []chapter, printed map[int]string) string {
	lines := strings.SplitAfter(page, "\n")
	for _, c := range all {
		for _, s := range c.steps {
			text, ok := printed[s.line]
			if !ok {
				continue
			}
			first := s.line - 1
			fence := lines[first-1]
			indent := fence[:len(fence)-len(strings.TrimLeft(fence, " "))]
			for i := range strings.Count(s.text, "\n") {
				lines[first+i] = ""
			}
			var out strings.Builder
			for line := range strings.Lines(text) {
				out.WriteString(strings.TrimRight(indent+line, " \n") + "\n")
			}
			lines[first] = out.String()
		}
	}
	return strings.Join(lines, "")
}

func writePage(t *testing.T, page string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, routingPage), []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRoutingReference compares the tables between the page's markers with
// what the schema and the routes say. A key without a text fails it.
func TestRoutingReference(t *testing.T) {
	page := routing(t)
	schema := newSchema(t)
	for _, table := range keyTables {
		page = between(t, page, "<!-- keys: "+table.name+" -->", "<!-- end of keys -->", schema.table(t, table))
	}
	page = between(t, page, "<!-- sets -->", "<!-- end of sets -->", setTable(t))
	if *update {
		writePage(t, page)
	}
	if diff := cmp.Diff(page, routing(t)); diff != "" {
		t.Errorf("%s: write it with -update (-want +page):\n%s", routingPage, diff)
	}
}

// between puts a text between two marker comments.
func between(t *testing.T, page, begin, end, text string) string {
	t.Helper()
	before, rest, ok := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no %s … %s", routingPage, begin, end)
	}
	return before + begin + "\n" + text + end + after
}

var (
	anyHeading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	unanchored = regexp.MustCompile(`[^\p{L}\p{N} _-]`) // what GitHub leaves out of a heading's anchor
)

// keyText is what the schema does not say of a key.
type keyText struct {
	name, missing, example string // missing: what holds without it
}

// keyTable is the keys of one map, in the order of the page.
type keyTable struct {
	name, pointer string // pointer: into the schema
	keys          []keyText
}

var keyTables = []keyTable{
	{"file", "", []keyText{
		{"sources", "`gitlab`, from the environment", `sources: {gitlab: {token: "${GITLAB_TOKEN}"}}`},
		{"destinations", "there must be one", `destinations: {mm: "${MM_URL}"}`},
		{"defaults", "", `defaults: {username: GitLab, detail: brief}`},
		{"users", "nobody is known", `users: {jdoe: john.doe}`},
		{"bots", "the built-in list", `bots: {add: jenkins-ci}`},
		{"lists", "none", `lists: {contractors: [ann, bob]}`},
		{"times", "none", `times: {office: {days: mon-fri, hours: "08:00-18:00", zone: Europe/Berlin}}`},
		{"ignore", "nothing", `ignore: {actors: intern-bot}`},
		{"egress", "`private`", `egress: public`},
		{"templates", "`standard`", `templates: [standard, ./templates]`},
		{"include", "none", `include: routes.d/*.yaml`},
		{"routes", "there must be one", `routes: [{to: mm}]`},
		{"unrouted", "`drop`", `unrouted: mm#gitlab`},
		{"report", "nowhere", `report: mm#relay`},
		{"tests", "none", `tests: [{event: push, expect: {to: mm}}]`},
	}},
	{"source", "/properties/sources/additionalProperties/anyOf/0", []keyText{
		{"token", "", `token: ${GITLAB_TOKEN}`},
		{"token_file", "", `token_file: /run/secrets/gitlab`},
		{"signing_key", "", `signing_key: ${GITLAB_SIGNING_KEY}`},
		{"signing_key_file", "", `signing_key_file: /run/secrets/gitlab-signing`},
		{"basic", "", `basic: {username: gitlab, password: "${PASSWORD}"}`},
		{"require", "`any`", `require: signature`},
		{"insecure", "false", `insecure: true`},
		{"path", "`/hooks/NAME`", `path: [/hooks/gitlab, /new_event]`},
		{"projects", "all", `projects: acme/**`},
		{"api", "GitLab is not asked", `api: {url: https://gitlab.example, token_file: secrets/api}`},
		{"insecure_api", "false", `insecure_api: true`},
		{"hooks", "set by hand", `hooks: {url: https://relay.example/hooks/gitlab, projects: acme/**}`},
	}},
	{"api", "/properties/sources/additionalProperties/anyOf/0/properties/api", []keyText{
		{"url", "must be there", `url: https://gitlab.example`},
		{"token_file", "must be there", `token_file: /run/secrets/gitlab-api`},
		{"ca_file", "the system's", `ca_file: /etc/ssl/gitlab.pem`},
	}},
	{"hooks", "/properties/sources/additionalProperties/anyOf/0/properties/hooks", []keyText{
		{"url", "must be there", `url: https://relay.example/hooks/gitlab`},
		{"groups", "it or `projects`", `groups: [acme]`},
		{"projects", "it or `groups`", `projects: [partner/**, lab/tools]`},
		{"except", "none", `except: partner/archive/**`},
		{"events", "`routed`", `events: [routed, push_events]`},
	}},
	{"basic", "/properties/sources/additionalProperties/anyOf/0/properties/basic", []keyText{
		{"username", "must be there", `username: gitlab`},
		{"password", "it or the file", `password: ${PASSWORD}`},
		{"password_file", "", `password_file: /run/secrets/password`},
	}},
	{"destination", "/properties/destinations/additionalProperties/anyOf/1", []keyText{
		{"url", "it or the file", `url: ${MM_URL}`},
		{"url_file", "", `url_file: /run/secrets/mm`},
		{"kind", "`slack` for hooks.slack.com, else `mattermost`", `kind: log`},
		{"channel", "the webhook's own", `channel: ops-alerts`},
		{"username", "`defaults`, or the webhook's own", `username: CI`},
		{"icon", "`defaults`, or the webhook's own", `icon: ":rotating_light:"`},
		{"detail", "`defaults`, or `full`", `detail: title`},
		{"layout", "`defaults`, or `auto`", `layout: card`},
		{"mentions", "`defaults`, or `mapped`", `mentions: route`},
		{"channels", "any, after a prefix", `channels: ["gl-*"]`},
		{"confidential", "none", `confidential: [security]`},
		{"only", "everything", `only: {visibility: public}`},
		{"rate_limit", "none; Slack: `1/s`", `rate_limit: 30/m`},
		{"concurrency", "1", `concurrency: 4`},
		{"ca_file", "the system's", `ca_file: /etc/ssl/chat.pem`},
		{"give_up_after", "72h", `give_up_after: 24h`},
		{"timeout", "10s", `timeout: 30s`},
	}},
	{"defaults", "/properties/defaults", []keyText{
		{"username", "the webhook's own", `username: GitLab`},
		{"icon", "the webhook's own", `icon: ":fox_face:"`},
		{"usernames", "only those in `users` are known", `usernames: same`},
		{"detail", "`full`", `detail: brief`},
		{"layout", "`auto`", `layout: plain`},
		{"mentions", "`mapped`", `mentions: none`},
	}},
	{"user", "/properties/users/additionalProperties/anyOf/1", []keyText{
		{"mattermost", "", `mattermost: anna`},
		{"slack", "", `slack: U02ABCDEF`},
		{"email", "", `email: [anna@acme.example]`},
	}},
	{"bots", "/properties/bots", []keyText{
		{"add", "", `add: [jenkins-ci, sonar*]`},
		{"remove", "", `remove: ada-bot`},
	}},
	{"include", "/properties/include/anyOf/1", []keyText{
		{"files", "must be there", `files: pay/relay.yaml`},
		{"projects", "all", `projects: acme/pay/**`},
		{"to", "all", `to: [mm#pay, "mm#pay-*"]`},
		{"env", "none", `env: [PAY_*]`},
	}},
	{"route", "/properties/routes/items", []keyText{
		{"name", "`routes[0]`, by its place", `name: Main is broken`},
		{"when", "the `standard` events", `when: {events: pipeline.failed, branches: $default}`},
		{"except", "nothing", `except: {bots: true}`},
		{"to", "must be there", `to: [ops, mm#reviews, mm@alice]`},
		{"stop", "false", `stop: true`},
		{"template", "that of the event's kind", `template: docs_push`},
		{"detail", "the destination's", `detail: brief`},
		{"layout", "the destination's", `layout: plain`},
		{"mention", "nobody", `mention: [reviewers, "@oncall"]`},
	}},
	{"conditions", "/definitions/when", []keyText{
		{"events", "`standard`; in `except`, `ignore` and `only`: any", `events: [merge_request, pipeline.failed]`},
		{"sources", "any", `sources: gitlab`},
		{"projects", "any", `projects: [acme/backend/**, acme/libs/*]`},
		{"visibility", "any", `visibility: [public, internal]`},
		{"branches", "any", `branches: [$default, release/*]`},
		{"target_branches", "any", `target_branches: main`},
		{"labels", "any", `labels: [backend, "team::core"]`},
		{"actors", "any", `actors: [jdoe, /^ext-/]`},
		{"bots", "either", `bots: true`},
		{"paths", "any", `paths: [docs/**, "**/*.md"]`},
		{"environments", "any", `environments: [production, review/*]`},
		{"draft", "either", `draft: false`},
		{"confidential", "either", `confidential: true`},
		{"if", "any", `if: pipeline.duration > 1800`},
		{"times", "any; in a route's `when` and `except` only", `times: [office, weekend]`},
		{"also", "none; in a route's `when` only", `also: edited_notes`},
	}},
	{"times", "/properties/times/additionalProperties/anyOf/0", []keyText{
		{"days", "every day", `days: [mon-thu, sun]`},
		{"hours", "the whole day", `hours: ["08:00-12:00", "13:00-18:00"]`},
		{"dates", "every date", `dates: 2026-12-24..2027-01-01`},
		{"zone", "must be there", `zone: Europe/Berlin`},
	}},
	{"labels", "/definitions/when/properties/labels/anyOf/2", []keyText{
		{"any", "", `any: [backend, api]`},
		{"none", "", `none: wip`},
	}},
	{"test", "/properties/tests/items", []keyText{
		{"name", "`tests[0]`, by its place", `name: bots are quiet`},
		{"event", "must be there", `event: merge_request.open~draft`},
		{"at", "times do not matter", `at: 2026-12-05 22:30 Europe/Berlin`},
		{"with", "the sample as it is", `with: {project: acme/api, branch: main}`},
		{"expect", "must be there", `expect: {to: [mm#reviews]}`},
	}},
	{"expect", "/properties/tests/items/properties/expect", []keyText{
		{"to", "must be there", `to: [ops, mm#reviews]`},
	}},
	{"with", "/properties/tests/items/properties/with", []keyText{
		{"source", "the first one", `source: partner`},
		{"project", "the sample's", `project: acme/api`},
		{"visibility", "the sample's", `visibility: public`},
		{"actor", "the sample's", `actor: jdoe`},
		{"bot", "by the username", `bot: true`},
		{"branch", "the sample's", `branch: release/2.0`},
		{"target_branch", "the sample's", `target_branch: main`},
		{"tag", "the sample's", `tag: nightly`},
		{"labels", "the sample's", `labels: [backend]`},
		{"draft", "the sample's", `draft: true`},
		{"confidential", "the sample's", `confidential: true`},
		{"environment", "the sample's", `environment: production`},
		{"paths", "the sample's", `paths: [docs/index.md]`},
	}},
}

// schemaText is the schema of relay.yaml as JSON.
type schemaText struct {
	root     map[string]any
	compiler *jsonschema.Compiler
}

func newSchema(t *testing.T) schemaText {
	t.Helper()
	data, err := configs.Schema(events.Names())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	s := schemaText{compiler: jsonschema.NewCompiler()}
	if err := s.compiler.AddResource("relay.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

// at is the part of the schema that a JSON pointer names.
func (s schemaText) at(t *testing.T, pointer string) map[string]any {
	t.Helper()
	var v any = s.root
	for _, name := range strings.Split(strings.Trim(pointer, "/"), "/") {
		if name == "" {
			continue
		}
		switch in := v.(type) {
		case map[string]any:
			v = in[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(in) {
				t.Fatalf("the schema has no %s", pointer)
			}
			v = in[i]
		}
	}
	m, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("the schema has no %s", pointer)
	}
	return m
}

// table is the keys of a map as Markdown.
func (s schemaText) table(t *testing.T, table keyTable) string {
	t.Helper()
	properties := s.at(t, table.pointer+"/properties")
	left := maps.Clone(properties)
	var out strings.Builder
	out.WriteString("| key | takes | default | meaning | example |\n|---|---|---|---|---|\n")
	for _, k := range table.keys {
		p, ok := properties[k.name].(map[string]any)
		if !ok {
			t.Errorf("%s has no key %s", table.name, k.name)
			continue
		}
		delete(left, k.name)
		about, _ := p["description"].(string)
		s.example(t, table, k)
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | `%s` |\n", k.name, s.takes(t, p), k.missing, cell(about), strings.ReplaceAll(k.example, "|", `\|`))
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		t.Errorf("%s: there is no text for the key %s", table.name, name)
	}
	return out.String()
}

// cell keeps Markdown from seeing signs in a plain text.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;", "_", `\_`).Replace(text)
}

// example checks that an example has the shape of its key.
func (s schemaText) example(t *testing.T, table keyTable, k keyText) {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal([]byte(k.example), &v); err != nil || len(v) != 1 {
		t.Errorf("%s: %s: the example is no key with a value: %v", table.name, k.name, err)
		return
	}
	pointer := "relay.schema.json#" + table.pointer + "/properties/" + k.name
	compiled, err := s.compiler.Compile(pointer)
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(v[k.name]); err != nil {
		t.Errorf("%s: the example of %s: %v", table.name, k.name, err)
	}
}

// takes says what a part of the schema allows, in words, each once.
func (s schemaText) takes(t *testing.T, part map[string]any) string {
	t.Helper()
	var words []string
	for _, w := range s.kinds(t, part) {
		if w != "" && !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	if i := slices.Index(words, "list"); i >= 0 && len(words) > 1 { // last
		words = append(slices.Delete(words, i, i+1), "a list")
	}
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// scalars are the patterns of texts that have a form.
var scalars = map[string]string{
	`\$\{`:                          "", // a variable, which may stand everywhere
	`^[0-9]+$`:                      "", // a number that was quoted
	`^/.+/$`:                        "`/…/`",
	`^\$[a-z0-9][a-z0-9_-]*$`:       "", // the name of a list, which may stand for every value of a condition
	`^[a-z][a-z0-9_]*\.[a-z0-9_]+$`: "",
	`^[1-9][0-9]{0,4}/[smh]$`:       "rate",
	`^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`: "duration",
}

func (s schemaText) kinds(t *testing.T, part map[string]any) []string {
	t.Helper()
	for _, join := range []string{"anyOf", "allOf"} {
		if parts, ok := part[join].([]any); ok {
			var all []string
			for _, p := range parts {
				all = append(all, s.kinds(t, p.(map[string]any))...)
			}
			return all
		}
	}
	if name, ok := part["$ref"].(string); ok {
		if strings.HasSuffix(name, "/events") {
			return s.kinds(t, s.at(t, strings.TrimPrefix(name, "#")))
		}
		return []string{"[conditions](#when-except-ignore-only)"}
	}
	if words, ok := part["enum"].([]any); ok {
		return enumerated(words)
	}
	if pattern, ok := part["pattern"].(string); ok {
		word, known := scalars[pattern]
		if !known {
			t.Errorf("what form is %s?", pattern)
		}
		return []string{word}
	}
	switch kind := part["type"].(type) {
	case string:
		return map[string][]string{"boolean": {"true or false"}, "integer": {"whole number"}, "object": {"map"}, "array": {"list"}, "null": nil, "string": {"text"}}[kind]
	case []any:
		return []string{"text"}
	}
	t.Errorf("what is %v?", part)
	return nil
}

func enumerated(words []any) []string {
	const few = 6
	if len(words) > few {
		return []string{"event"}
	}
	var all []string
	for _, w := range words {
		if w != "true" && w != "false" { // a truth that was quoted
			all = append(all, fmt.Sprintf("`%v`", w))
		}
	}
	return all
}

// setTable lists what each set of events takes of each kind, as the routes say
// of the samples.
func setTable(t *testing.T) string {
	t.Helper()
	sets := []string{"standard", "classic"}
	takes := map[string]map[string][]string{} // by set and kind: actions
	for _, set := range sets {
		takes[set] = map[string][]string{}
		table := tableOf(t, set)
		for _, name := range events.Names() {
			sample, ok := events.SampleNamed(name)
			if !ok {
				continue
			}
			e := events.Decode(events.Input{Source: "gitlab", Header: sample.Header, Body: sample.Body})
			if len(table.Match(e).Deliveries) > 0 && !slices.Contains(takes[set][e.Kind], e.Action) {
				takes[set][e.Kind] = append(takes[set][e.Kind], e.Action)
			}
		}
	}
	var out strings.Builder
	out.WriteString("| kind | `standard` | `classic` |\n|---|---|---|\n")
	for _, kind := range events.Kinds() {
		row := "| `" + kind + "` "
		for _, set := range sets {
			row += "| " + actions(kind, takes[set][kind]) + " "
		}
		if len(takes["standard"][kind])+len(takes["classic"][kind]) > 0 {
			out.WriteString(row + "|\n")
		}
	}
	return out.String()
}

func actions(kind string, taken []string) string {
	known := 0
	for _, name := range events.Names() {
		if in, _, _ := strings.Cut(name, "."); in == kind {
			if _, ok := events.SampleNamed(name); ok {
				known++
			}
		}
	}
	if len(taken) == known && known > 0 {
		return "all"
	}
	words := make([]string, len(taken))
	for i, action := range taken {
		if words[i] = "`" + action + "`"; action == "" {
			words[i] = "`" + kind + "` alone"
		}
	}
	return strings.Join(words, ", ")
}

// tableOf is routes that take a set of events.
func tableOf(t *testing.T, set string) *routes.Table {
	t.Helper()
	text := fmt.Sprintf("sources: {gitlab: {insecure: true}}\ndestinations: {all: {kind: log, confidential: true}}\nroutes: [{when: {events: %s}, to: all}]\n", set)
	cfg, findings := configs.LoadBytes("relay.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if configs.HasErrors(findings) {
		t.Fatal(findings)
	}
	table, findings := routes.Compile(cfg, routes.Vocabulary{Kinds: events.Kinds(), Actions: events.Actions})
	if configs.HasErrors(findings) {
		t.Fatal(findings)
	}
	return table
}
