package formatters

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"pgregory.net/rapid"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestBuiltinPrograms: every built-in template is run by its program, to the
// end, whatever the event, and writes what text/template does.
func TestBuiltinPrograms(t *testing.T) {
	for _, way := range hostileManners(t) {
		for _, sample := range events.Samples() {
			r := Request{Event: decodeSample(sample)}
			k := way.set.candidates(r)[0]
			parts, ok := k.actions[r.Event.Action]
			if !ok {
				parts = k.parts
			}
			for _, p := range []part{parts.headline, parts.body, parts.color} {
				if p.Template == nil {
					continue
				}
				if out := newOutput(t.Context()); !out.quick(p.program, newData(r)) {
					t.Errorf("%s: text/template has to write %s of %s", sample.Name, p.Name(), k.file.base)
				}
				comparePart(t, p, r)
			}
		}
	}
}

// comparePart compares what a part writes with its program and without.
func comparePart(t interface {
	Errorf(format string, args ...any)
}, p part, r Request,
) {
	outcome := func(p part) string {
		o := newOutput(context.Background())
		o.steps = -maxSteps // running it twice, as text/template has to, takes twice as many
		got, err := o.execute(p, newData(r))
		return address.ReplaceAllString(fmt.Sprintf("%q, %v", got, err), "0x")
	}
	want := outcome(part{Template: p.Template})
	if got := outcome(p); got != want {
		t.Errorf("%s for %s:\n%s\nwithout its program:\n%s", p.Root, r.Event.Name(), got, want)
	}
}

// address is where something is in memory, as fmt prints a pointer in a struct.
var address = regexp.MustCompile(`0x[0-9a-f]{8,}`)

// teamPart is a part as a directory may define it.
func teamPart(text string) (p part, ok bool) {
	t, err := template.New("x.md.tmpl").Option("missingkey=error").Funcs(functions).Parse(
		`{{define "inner"}}{{$x := .}}<{{.}}{{$x}}{{$}}>{{end}}{{define "headline"}}` + text + `{{end}}`)
	if err != nil || guard(t) != nil {
		return part{}, false
	}
	return newPart(t.Lookup("headline")), true
}

// teamTemplates are what teams may write, right and wrong.
var teamTemplates = []string{
	`{{.}} {{$}} {{.Who}}{{.Title}}{{.URL}}{{.Project}}`, `{{.Actor}} {{.Actor.Name}} {{(.Actor).Username}} {{$.Actor.ID}}`,
	`{{.Project.ID}} {{.Labels}} {{.Changes}} {{.Time}} {{.Draft}} {{.Confidential}}`, `{{.Push}}`, `{{.MergeRequest}}`, `{{.Commit}}`, `{{.Nope}}`, `{{.Push.Nope}}`,
	`{{.event}}`, `{{.Title.Nope}}`, `{{.Commit.Title}}`, `{{with .Commit}}{{.Title}} {{.Message}} {{.Merge}} {{.Added}}{{end}}`, `{{with .Commit}}{{template "inner" .ShortSHA}}{{end}}`,
	`{{with .Push}}{{range .Commits}}{{.ShortSHA}}{{else}}none{{end}}{{range $i, $c := .Newest}}{{$i}}{{$c.Title}}{{$.Who}}{{end}}{{.More}}{{end}}`,
	`{{range .Labels}}{{.}},{{end}}`, `{{range $l := .Labels}}{{$l}}{{end}}{{range 3}}x{{end}}`, `{{range .Title}}x{{end}}`, `{{range .Changes}}{{.Field}}: {{.From}}→{{.To}} {{join "+" .Added}}{{end}}`,
	`{{range list 1 "a" .Title nil}}{{.}}{{end}}`, `{{range list .Labels .Actor}}{{.}}{{end}}`, `{{range $k, $v := dict "a" 1}}{{$k}}{{$v}}{{end}}`, `{{range .Labels}}{{break}}{{end}}`,
	`{{$x := 1}}{{if .Title}}{{$x := 2}}{{$x}}{{$x = 3}}{{$x}}{{end}}{{$x}}{{$x = "s"}}{{$x}}`, `{{with $t := .Title}}{{$t}}{{else}}none{{end}}`, `{{if $y := .Labels}}{{len $y}}{{end}}`,
	`{{range $i, $l := .Labels}}{{if $i}}, {{end}}{{$l}}{{end}}`, `{{with .MergeRequest}}{{.IID}} {{.Description}} {{people .Reviewers}}{{range .Assignees}}{{.}}{{end}}{{else with .Issue}}{{.IID}}{{else}}-{{end}}`,
	`{{.Title | cut 10}} {{.Title | printf "%.5s" | code}} {{"a" | print | print "b"}}`, `{{printf "%d %v %q" 3 .Title .Project.ID}}`, `{{print 1 2 .Title nil}}`, `{{println .Who}}`,
	`{{cut .Title 10}}`, `{{cut 10}}`, `{{cut "10" .Title}}`, `{{cut 10 .Who}}`, `{{cut 1.5 .Title}}`, `{{cut 'a' .Title}} {{cut 0x10 .Title}} {{cut 1_0 .Title}}`, `{{plural 2 "branch" "branches"}} {{plural .Project.ID "x"}}`,
	`{{date .Time}} {{date .Time .Time}} {{ago .Time .Now}} {{date "2026-12-01" .Time}} {{date nil}}`, `{{duration .Time}}`, `{{with .Job}}{{duration .Duration}} {{.Duration}}{{end}}`,
	`{{eq .Kind "push"}} {{eq .Kind "a" "push" "b"}} {{ne .Kind "push"}} {{eq .Project.ID 1}} {{lt .Project.ID 4}} {{ge 1 1}} {{gt "a" "b"}} {{eq .Kind 1}}`, `{{eq .Labels .Labels}}`, `{{eq .Draft true}} {{not .Draft}} {{not .Nope}}`,
	`{{and .Title .Who}} {{or .Tag .Branch "x"}} {{and}}`, `{{or nil .Title}}`, `{{if and .Push .Push.Forced}}f{{end}}`, `{{.Body.Plain 3}}`, `{{with .Note}}{{.Body.Plain 80}} {{inSentence .Body}} {{target .}}{{end}}`, `{{target .Note}}`,
	`{{template "inner" dict "a" .Title}}{{template "inner" .}}{{template "inner"}}`, `{{with dict "a" .Title "b" nil}}{{.a}}{{.b}}{{.c}}{{end}}`, `{{with dict "String" "x"}}{{.String}}{{end}}`,
	`{{.Payload.object_kind}} {{.Payload.object_attributes.id}}`, `{{get . "object_attributes.iid"}} {{get . "nope"}}`, `{{index .Labels 0}}`, `{{index .Payload "object_kind"}}`, `{{slice .Labels 0 1}}`, `{{len .Labels}}`,
	`{{join ", " .Labels}} {{labels .Labels}} {{join ", " .Title}} {{list .Title .Who}}`, `{{default "none" .Tag}} {{default .Title nil}}`, `{{link .Title}}`, `{{raw .Title}} {{bold .Title .URL}} {{code .Ref}} {{suffix .URL "/x"}}`,
	`{{.Name}} {{.OnDefaultBranch}} {{.Project.Path}}`, `{{true}} {{1}} {{1.5}} {{"s"}} {{nil}}`, `{{byOther .Commit .Actor}} {{byOther .Commit .Title}} {{profile .}} {{expires . "2026-12-01"}} {{emoji "x"}} {{status .Action}}`,
	`{{with .Pipeline}}{{range .Failed}}{{.Stage}}{{range .Jobs}}{{.Name}}{{.Pipeline}}{{end}}{{end}}{{.Warned}}{{.Stages}}{{end}}`, `{{.Who.Nope}} {{.Actor.String}}`, `{{facts 1}}`, `{{facts nil}}`, `{{quote 6 500 .Title}}`,
}

// TestTeamPrograms: whatever a team writes gives the same message, or the same
// mistake, as without a program.
func TestTeamPrograms(t *testing.T) {
	for _, text := range teamTemplates {
		p, ok := teamPart(text)
		if !ok {
			t.Errorf("%s is no template", text)
			continue
		}
		for _, sample := range events.Samples() {
			comparePart(t, p, Request{Event: decodeSample(sample)})
		}
	}
}

// TestGeneratedPrograms is TestTeamPrograms with templates that nobody thought
// of.
func TestGeneratedPrograms(t *testing.T) {
	var all []*events.Event
	for _, name := range []string{"push", "note.merge_request", "issue.update", "merge_request.update", "pipeline.failed", "job.failed", "member.add"} {
		sample, _ := events.SampleNamed(name)
		all = append(all, decodeSample(sample))
	}
	var names []string
	for name := range functions {
		names = append(names, name)
	}
	names = append(names, "and", "or", "not", "eq", "ne", "lt", "gt", "len", "index")
	value := rapid.SampledFrom([]string{".", "$", "$x", ".Title", ".Who", ".URL", ".Labels", ".Actor", ".Actor.Name", ".Push", ".Push.Newest", ".Push.More", ".Note", ".Note.Body",
		".Commit", ".Commit.Title", ".MergeRequest", ".MergeRequest.Reviewers", ".MergeRequest.IID", ".Job.Duration", ".Pipeline.Failed", ".Changes", ".Time", ".Draft", ".Project",
		`"x"`, `"2026-12-01"`, `"%d %s"`, "1", "0", "300", "1.5", "true", "nil", "(list 1 .Title)", `(dict "a" .Title)`, "(.Title)", ".Name", ".Payload", ".Payload.object_attributes", ".Nope"})
	command := rapid.Custom(func(r *rapid.T) string {
		args := rapid.SliceOfN(value, 0, 4).Draw(r, "args")
		return strings.Join(append([]string{rapid.SampledFrom(names).Draw(r, "function")}, args...), " ")
	})
	pipe := rapid.Custom(func(r *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.OneOf(command, value), 1, 2).Draw(r, "pipe"), " | ")
	})
	node := rapid.Custom(func(r *rapid.T) string {
		form := rapid.SampledFrom([]string{"{{%s}}", "{{%s}}", "a{{$x := %s}}{{$x}}", "{{$x = %s}}", "{{if %s}}y{{else}}n{{end}}", "{{with %s}}{{.}}{{else}}{{.}}{{end}}",
			"{{range %s}}{{.}}{{else}}none{{end}}", "{{range $i, $e := %s}}{{$i}}{{$e}}{{$x}}{{end}}", `{{template "inner" %s}}`}).Draw(r, "form")
		return fmt.Sprintf(form, pipe.Draw(r, "pipe"))
	})
	setFlag(t, "rapid.checks", "5000")
	setFlag(t, "rapid.seed", "1")
	setFlag(t, "rapid.nofailfile", "true")
	rapid.Check(t, func(r *rapid.T) {
		nodes := rapid.SliceOfN(node, 1, 3).Draw(r, "nodes")
		if p, ok := teamPart("{{$x := 5}}" + strings.Join(nodes, " ")); ok {
			comparePart(r, p, Request{Event: rapid.SampledFrom(all).Draw(r, "event")})
		}
	})
}

// TestProgramMentions: what a program gave away before text/template had to
// begin again is not lost.
func TestProgramMentions(t *testing.T) {
	sample, _ := events.SampleNamed("note.merge_request")
	e := decodeSample(sample)
	e.Note.Body = "@alice: **look**"
	p, ok := teamPart(`{{quote 6 500 .Note.Body .URL}}{{.Changes}}`)
	if !ok {
		t.Fatal("no template")
	}
	got, err := newOutput(t.Context()).execute(p, newData(Request{
		Event: e, Kind: configs.KindMattermost, People: func(string) (string, bool) { return "@al", true },
	}))
	if err != nil || !strings.HasPrefix(got, "> @al: ") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestProgramSize: templates that call each other twice, forty deep, are
// prepared each once.
func TestProgramSize(t *testing.T) {
	text := `{{end}}{{define "t0"}}x{{end}}`
	for i := range 40 {
		text += fmt.Sprintf(`{{define "t%d"}}{{template "t%d" .}}{{template "t%d" .}}{{end}}`, i+1, i, i)
	}
	p, ok := teamPart(`{{template "t2" .}}` + strings.TrimSuffix(text, "{{end}}"))
	if !ok || p.program == nil {
		t.Fatal("no program")
	}
	comparePart(t, p, Request{Event: decodeSample(events.Samples()[0])})
	p, _ = teamPart(`{{template "t40" .}}` + strings.TrimSuffix(text, "{{end}}"))
	comparePart(t, p, Request{Event: decodeSample(events.Samples()[0])})
}
