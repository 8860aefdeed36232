package formatters

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestTeams compiles every directory of testdata/teams over the standard set,
// and compares what is found with findings.golden in it.
func TestTeams(t *testing.T) {
	dirs, err := os.ReadDir("testdata/teams")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		t.Run(d.Name(), func(t *testing.T) {
			dir := filepath.Join("testdata/teams", d.Name())
			_, found := Compile(&configs.Config{Templates: []string{Standard, dir}})
			var out bytes.Buffer
			if err := configs.WriteText(&out, found); err != nil {
				t.Fatal(err)
			}
			compareGolden(t, filepath.Join(dir, "findings.golden"), out.String())
		})
	}
}

func team(t *testing.T, sets ...string) *Set {
	t.Helper()
	set, found := Compile(&configs.Config{Templates: sets})
	if len(found) > 0 {
		t.Fatal(found)
	}
	return set
}

func sampleEvent(t testing.TB, name string) *events.Event {
	t.Helper()
	sample, ok := events.SampleNamed(name)
	if !ok {
		t.Fatalf("no sample %s", name)
	}
	return decodeSample(sample)
}

func renderSample(t *testing.T, set *Set, name string, look configs.Look) Post {
	t.Helper()
	post, err := set.Render(context.Background(), Request{Event: sampleEvent(t, name), Kind: configs.KindLog, Look: look})
	if err != nil {
		t.Fatal(err)
	}
	return post
}

// plain is a message without its addresses.
func plain(p Post) string {
	return strings.ReplaceAll(plainLinks.ReplaceAllString(p.Markdown, "$1"), nbsp, " ")
}

func TestTeamTemplates(t *testing.T) {
	set := team(t, Standard, "testdata/teams/good")
	for _, tt := range []struct{ sample, template, want string }{
		{"push", "docs_push", "📝 Ada Lovelace changed the documents in acme/api\n" +
			"`1a2b3c4d` Fix overflow in the length parser (Ada Lovelace)\n`9c0d1e2f` Bump go to 1.26 (Ada Lovelace)\n" +
			"`5e6f7a8b` Add tests for empty input (Grace Hopper)"},
		{"push", "", "Ada Lovelace pushed 3 commits to `main` in acme/api\n" + // the standard one, with the team's partial
			"`1a2b3c4d` Fix overflow in the length parser (Ada Lovelace)\n`9c0d1e2f` Bump go to 1.26 (Ada Lovelace)\n" +
			"`5e6f7a8b` Add tests for empty input (Grace Hopper)"},
		{"issue.close", "", "Grace Hopper ⇒ **#7 Crash on empty input**"},
		{"tag_push", "issue", "Ada Lovelace ⇒ **v1.2.0**"}, // a kind's template, named
		{"tag_push", "", "Ada Lovelace pushed tag `v1.2.0` to acme/api\n> Release 1.2.0"},
	} {
		post := renderSample(t, set, tt.sample, configs.Look{Template: tt.template})
		if post.Fault != "" {
			t.Errorf("%s by %q: %s", tt.sample, tt.template, post.Fault)
		}
		if diff := cmp.Diff(tt.want, plain(post)); diff != "" {
			t.Errorf("%s by %q (-want +got)\n%s", tt.sample, tt.template, diff)
		}
	}
}

// TestLaterWins: of two sets the later one's file is used.
func TestLaterWins(t *testing.T) {
	const good = "testdata/teams/good"
	for _, tt := range []struct {
		sets []string
		want string
	}{
		{nil, "Grace Hopper closed issue"},
		{[]string{Classic}, "#### Crash"},
		{[]string{good}, "Grace Hopper ⇒"},
		{[]string{Standard, Classic, good}, "Grace Hopper ⇒"},
		{[]string{good, Classic}, "#### Crash"},
		{[]string{Classic, Standard}, "Grace Hopper closed issue"},
	} {
		post := renderSample(t, team(t, tt.sets...), "issue.close", configs.Look{})
		if !strings.HasPrefix(plain(post), tt.want) {
			t.Errorf("%v: %q, want it to start with %q", tt.sets, plain(post), tt.want)
		}
	}
}

// TestFallback: a template that fails when it is used yields to the built-in one
// of its kind, and that to the generic one.
func TestFallback(t *testing.T) {
	set := team(t, "testdata/teams/good")
	for _, tt := range []struct{ sample, template, headline, last, fault string }{
		{"push.delete", "first_commit", "Ada Lovelace deleted branch `feature/rate-limit` in acme/api",
			"(template first_commit failed: first_commit.md.tmpl:1: index: reflect: slice index out of range)",
			"template first_commit.md.tmpl:1: index: reflect: slice index out of range"},
		{"merge_request.open", "docs_push", "Ada Lovelace opened **!42 Limit requests per client** in acme/api",
			"(template docs_push failed: docs_push.md.tmpl:5: merge_request.open has no Push; put what needs it between {{with .Push}} and {{end}})",
			"template docs_push.md.tmpl:5: merge_request.open has no Push; put what needs it between {{with .Push}} and {{end}}"},
		{"issue.close", "gone", "Grace Hopper closed issue **#7 Crash on empty input** in acme/api",
			"(template gone failed: gone.md.tmpl: there is no such template)", "template gone.md.tmpl: there is no such template"},
	} {
		if tt.template == "gone" {
			set = team(t)
		}
		post := renderSample(t, set, tt.sample, configs.Look{Template: tt.template})
		text := strings.ReplaceAll(plain(post), `\_`, "_")
		headline, _, _ := strings.Cut(text, "\n")
		last := text[strings.LastIndexByte(text, '\n')+1:]
		if strings.Contains(text, "\n> ") && !strings.Contains(text, "\n\n(template") {
			t.Errorf("the quote swallows the line: %q", text)
		}
		if headline != tt.headline || last != tt.last || post.Fault != tt.fault {
			t.Errorf("%s by %s:\n got %q\n     %q\n     %q\nwant %q\n     %q\n     %q",
				tt.sample, tt.template, headline, last, post.Fault, tt.headline, tt.last, tt.fault)
		}
	}
}

// TestTitleTellsFault: also who wants headlines only is told.
func TestTitleTellsFault(t *testing.T) {
	post := renderSample(t, newSet(t), "issue.open", configs.Look{Template: "gone", Detail: configs.DetailTitle})
	want := "Ada Lovelace opened issue **#7 Crash on empty input** in acme/api\n" +
		"(template gone failed: gone.md.tmpl: there is no such template)"
	if plain(post) != want {
		t.Errorf("got %q, want %q", plain(post), want)
	}
}

func TestNames(t *testing.T) {
	set := team(t, "testdata/teams/good")
	names := set.Names()
	for _, name := range []string{"push", "other", "docs_push", "first_commit"} {
		if !slices.Contains(names, name) || !set.Has(name) {
			t.Errorf("%s is missing", name)
		}
	}
	if slices.Contains(names, "_commit") || set.Has("_commit") || set.Has("nothing") || newSet(t).Has("docs_push") {
		t.Error("there is more than there should be")
	}
	broken, found := Compile(&configs.Config{Templates: []string{"testdata/teams/parse"}})
	if !configs.HasErrors(found) || !broken.Has("push") {
		t.Error("a template with mistakes is not known")
	}
	for _, tt := range []struct {
		template, event string
		ok              bool
	}{
		{"docs_push", "push", true}, {"docs_push", "push.delete", true}, {"docs_push", "issue.open", false},
		{"docs_push", "tag_push", true}, {"first_commit", "push", true}, {"first_commit", "push.delete", false},
		{"issue", "issue.open", true}, {"nothing", "push", true}, {"docs_push", "push.sprouted", true},
	} {
		if why, ok := set.Fits(tt.template, tt.event); ok != tt.ok || ok == (why != "") {
			t.Errorf("Fits(%s, %s) = %q, %v", tt.template, tt.event, why, ok)
		}
	}
}

func TestMissingDirectory(t *testing.T) {
	pos := configs.Pos{File: "relay.yaml", Line: 3, Col: 13}
	_, found := Compile(&configs.Config{Templates: []string{"./nowhere"}, TemplatesPos: []configs.Pos{pos}})
	want := []configs.Finding{{Pos: pos, Message: "the templates in ./nowhere cannot be read: no such file or directory"}}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLargeFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "push.md.tmpl"), make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "issue.md.tmpl"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, found := Compile(&configs.Config{Templates: []string{dir}})
	if len(found) != 2 || found[0].Message != "this is no file" || found[1].Message != "the file is larger than 256 KiB" {
		t.Errorf("found %v", found)
	}
}

// TestRunaway: a template that never ends fails alone, names itself, and leaves
// nothing behind.
func TestRunaway(t *testing.T) {
	before := goleak.IgnoreCurrent()
	set, found := Compile(&configs.Config{Templates: []string{"testdata/teams/runaway"}})
	if len(found) != 2 {
		t.Errorf("found %v", found)
	}
	start := time.Now()
	post := renderSample(t, set, "push", configs.Look{})
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	if post.Fault != "template push.md.tmpl: it took more than 250,000 steps" {
		t.Errorf("fault %q", post.Fault)
	}
	if !strings.HasPrefix(plain(post), "Ada Lovelace pushed 3 commits") {
		t.Errorf("the message is %q", plain(post))
	}
	if other := renderSample(t, set, "note.issue", configs.Look{}); other.Fault != "" {
		t.Errorf("another template fails: %s", other.Fault)
	}
	goleak.VerifyNone(t, before)
}

// TestClassicIsNeverLate: the old service did not know, and what comes from the
// standard set still says it.
func TestClassicIsNeverLate(t *testing.T) {
	set := team(t, Classic)
	for sample, late := range map[string]bool{
		"push": false, "tag_push": false, "issue.open": false, "note.issue": false, "merge_request.open": false, "job.failed": false,
		"pipeline.failed": true,
	} {
		e := sampleEvent(t, sample)
		post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindLog, Now: e.Time.Add(3 * time.Hour), Received: e.Time})
		if err != nil || post.Fault != "" {
			t.Errorf("%s: %v %s", sample, err, post.Fault)
		}
		if got := strings.Contains(post.Markdown, "late"); got != late {
			t.Errorf("%s: says late: %v", sample, got)
		}
	}
}

// TestClassicIsSafe: what comes from GitLab is escaped there too.
func TestClassicIsSafe(t *testing.T) {
	set := team(t, Classic)
	for _, sample := range []string{"push", "tag_push", "issue.open", "note.issue", "merge_request.open", "job.failed"} {
		for i, s := range hostile {
			if len(s) > 1000 {
				continue
			}
			e := sampleEvent(t, sample)
			e.Title, e.Actor.Name, e.Actor.Username = s, s, s
			if e.MergeRequest != nil {
				e.MergeRequest.Title, e.MergeRequest.Description = s, s
			}
			if e.Issue != nil {
				e.Issue.Title, e.Issue.Description = s, s
			}
			if e.Note != nil {
				e.Note.OnTitle, e.Note.Body = s, s
			}
			if e.Job != nil {
				e.Job.Name, e.Job.Stage = s, s
			}
			if e.Push != nil && len(e.Push.Commits) > 0 {
				e.Push.Commits[0].Title = s
			}
			post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindMattermost})
			if err != nil || post.Fault != "" {
				t.Fatalf("%s with string %d: %v %s", sample, i, err, post.Fault)
			}
			if found := look(post.Markdown).faults; len(found) > 0 {
				t.Errorf("%s with %q: %v\n%s", sample, s, found, post.Markdown)
			}
		}
	}
}

var plainLinks = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
