package configs

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew")

// testEnv is the environment of the files in testdata. All secret values hold
// the word canary, which no finding may show.
func testEnv(name string) (string, bool) {
	v, ok := map[string]string{
		"MM_URL":      "https://chat.example/hooks/canary",
		"MM_OPS":      "https://chat.example/hooks/canary-ops",
		"SLACK_URL":   "https://hooks.slack.com/services/T0/B0/canary",
		"EMPTY":       "",
		"QUOTED":      `"canary-canary-canary"`,
		"QUOTED_URL":  `"https://chat.example/hooks/canary"`,
		"SPACED":      "canary-canary-canary ",
		"ENDED":       "canary-canary-canary\n",
		"MARKED":      "\ufeffcanary-canary-canary",
		"SHORT":       "canary",
		"BARE_KEY":    "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E",
		"PAY_TEAM":    "eu",
		"TOKEN":       "canary-canary-canary",
		"RELAY_TOKEN": "canary-canary-canary",
		"SIGNING_KEY": "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E=",
	}[name]
	return v, ok
}

var freshToken = regexp.MustCompile(`[A-Z2-7]{26}`)

// text is findings as printed, with the fresh tokens of hints made equal.
func printed(t *testing.T, fs []Finding) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteText(&b, fs); err != nil {
		t.Fatal(err)
	}
	return freshToken.ReplaceAllString(b.String(), "<fresh token>")
}

// TestBad pins the exact text of every mistake.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d bad files, %v", len(files), err)
	}
	for _, secret := range []string{"empty", "mm_url", "slack_url", "token", "two_lines", "marked_token", "quoted_token"} {
		private(t, filepath.Join("testdata/bad", secret))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Chdir(filepath.Dir(file))
			name := filepath.Base(file)
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, found := LoadBytes(name, data, testEnv)
			if !HasErrors(found) {
				t.Error("no error found")
			}
			got := printed(t, found)
			if strings.Contains(got, "canary") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			golden(t, strings.TrimSuffix(name, ".yaml")+".txt", got)
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s (-want +got):\n%s", path, diff)
	}
}

// private makes the secret files of a folder readable by their owner alone,
// which a checkout does not keep.
func private(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Chmod(f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGood loads files that have nothing wrong with them.
func TestGood(t *testing.T) {
	private(t, "testdata/good/secrets/*")
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if _, found := Load(file, testEnv); len(found) > 0 {
				t.Error(printed(t, found))
			}
		})
	}
}

// TestExamples loads what is shipped, with every variable set.
func TestExamples(t *testing.T) {
	env := func(name string) (string, bool) {
		switch {
		case name == "RELAY_DESTINATION":
			return "", false
		case strings.HasPrefix(name, "SLACK"):
			return "https://hooks.slack.com/services/T0/B0/" + name, true
		case strings.HasSuffix(name, "_URL"):
			return "https://chat.example/hooks/" + name, true
		case strings.HasSuffix(name, "SIGNING_KEY"):
			return "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E=", true
		}
		return "canary-" + name, true
	}
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, file := range append(files, "relay.yaml") {
		cfg, found := Load(file, env)
		if len(found) > 0 {
			t.Errorf("%s", printed(t, found))
		}
		if len(cfg.Routes) == 0 {
			t.Errorf("%s has no routes", file)
		}
	}
}

// compare looks at values, of secrets too.
var compare = cmp.Options{
	cmp.Comparer(func(a, b Secret) bool { return a.Reveal() == b.Reveal() }),
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".texts" }, cmp.Ignore()),
	cmp.FilterPath(func(p cmp.Path) bool { return strings.HasSuffix(p.Last().String(), "Pos") }, cmp.Ignore()),
}

func TestLoad(t *testing.T) {
	private(t, "testdata/good/secrets/*")
	cfg, _ := Load("testdata/good/files.yaml", testEnv)
	canary := NewSecret("canary-canary-canary")
	want := &Config{
		Sources: []Source{{
			Name: "gitlab", Tokens: []Secret{canary, canary}, Basic: &Basic{Username: "u", Password: canary},
			Require: "any", Paths: []string{"/hooks/gitlab"},
		}},
		Destinations: []Destination{{
			Name: "mm", Kind: KindMattermost, URL: NewSecret("https://chat.example/hooks/canary"), Concurrency: 1,
			Mentions: MentionsMapped, GiveUpAfter: 72 * time.Hour, Timeout: 10 * time.Second,
		}},
		Egress:   EgressPrivate,
		Routes:   []Route{{Name: "routes[0]", To: []To{{Address: Address{Destination: "mm"}}}}},
		Unrouted: Unrouted{Mode: UnroutedDrop},
		Files: []string{
			"testdata/good/files.yaml", "testdata/good/secrets/token", "testdata/good/secrets/older", "testdata/good/secrets/url",
		},
	}
	if diff := cmp.Diff(want, cfg, compare, cmp.AllowUnexported(Config{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadAllKeys(t *testing.T) {
	cfg, _ := Load("testdata/good/all_keys.yaml", testEnv)
	a, b, c := cfg.Destination("a"), cfg.Destination("b"), cfg.Destination("c")
	want := Destination{
		Name: "a", Kind: KindMattermost, URL: NewSecret("https://chat.example/hooks/canary"), Channel: "a", Channels: []Pattern{{Text: "gl-*"}, {Text: "team-?"}},
		Look: Look{Username: "A", Icon: ":a:"}, Confidential: Confidential{All: true}, Concurrency: 64, Mentions: MentionsRoute, GiveUpAfter: 90 * time.Minute, Timeout: time.Minute,
	}
	if diff := cmp.Diff(want, *a, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b.Kind != KindSlack || c.Kind != KindSlack || !c.Allows("C012345678") || c.Allows("") || b.Allows("") {
		t.Errorf("b %+v, c %+v", b, c)
	}
	if b.Mentions != MentionsNone || b.Look != (Look{Detail: DetailTitle, Layout: LayoutCard}) || len(b.Only) != 1 || len(c.Only) != 2 || c.CAFile != "testdata/good/ca.pem" {
		t.Errorf("b %+v, c %+v", b, c)
	}
	if diff := cmp.Diff([]Rate{{}, {1, time.Second, 5}, {30, time.Minute, 5}}, []Rate{a.RateLimit, b.RateLimit, c.RateLimit}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Unrouted{Mode: UnroutedAddress, Address: Address{Destination: "c"}}, cfg.Unrouted, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if cfg.Report.Address.String() != "a#relay" || cfg.Egress != EgressPublic || cfg.Usernames != UsernamesSame || cfg.Defaults.Look.Detail != DetailBrief {
		t.Errorf("report %+v, egress %s, usernames %s, defaults %+v", cfg.Report, cfg.Egress, cfg.Usernames, cfg.Defaults)
	}
	if diff := cmp.Diff([]string{"standard", "testdata/good/secrets", "classic", "testdata/good/secrets"}, cfg.Templates); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	users := []User{
		{GitLab: "jdoe", Mattermost: "john.doe"},
		{GitLab: "Asmith", Mattermost: "anna", Slack: "U02ABCDEF", Emails: []string{"anna@acme.example", "a@acme.example"}},
		{GitLab: "bob", Mattermost: "bobby"},
	}
	if diff := cmp.Diff(users, cfg.Users, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	files := []string{
		"testdata/good/all_keys.yaml", "testdata/good/ca.pem", "testdata/good/secrets", "testdata/good/included/a.yaml",
		"testdata/good/included/b.yaml", "testdata/good/fenced/team.yaml",
	}
	if diff := cmp.Diff(files, cfg.Files); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadRoutes(t *testing.T) {
	cfg, _ := Load("testdata/good/all_keys.yaml", testEnv)
	var names []string
	for _, r := range cfg.Routes {
		names = append(names, r.Name)
	}
	want := []string{"R", "routes[1]", "routes[2]", "A", "testdata/good/included/b.yaml routes[0]", "testdata/good/fenced/team.yaml routes[0]"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r, all, fenced := cfg.Routes[0], cfg.Routes[1].When[0], cfg.Routes[5]
	if p := r.When[0].Projects.Values[0]; p.Pos.String() != "testdata/good/all_keys.yaml:12:37" || p.Text != "acme/**" {
		t.Errorf("projects %+v", p)
	}
	if r.Except.Branches == nil || len(r.When[0].Also.Values) != 4 || r.To[1].Address.String() != "a@alice" || !r.Stop || r.Fence != nil {
		t.Errorf("route %+v", r)
	}
	if r.Look != (Look{Template: "docs_push", Detail: DetailFull, Layout: LayoutAuto}) || len(r.Mention) != 8 || len(r.MentionPos) != 8 {
		t.Errorf("look %+v, mention %v", r.Look, r.Mention)
	}
	if len(all.Labels.Any.Values) != 2 || all.Labels.None.Values[0].Text != "wip" || !all.Bots.Value || all.Draft.Value || !all.Confidential.Value {
		t.Errorf("conditions %+v", all)
	}
	if e := all.If; e.Pos.String() != "testdata/good/all_keys.yaml:31:11" || !e.Plain {
		t.Errorf("if %+v", e)
	}
	if fenced.Fence == nil || len(fenced.Fence.To) != 3 || fenced.Fence.Projects.Values[0].Text != "acme/pay/**" {
		t.Errorf("fence %+v", fenced.Fence)
	}
}

func TestLoadTests(t *testing.T) {
	cfg, _ := Load("testdata/good/all_keys.yaml", testEnv)
	to := func(addresses ...string) []To {
		var out []To
		for _, s := range addresses {
			a, err := ParseAddress(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, To{Address: a})
		}
		return out
	}
	want := []Test{
		{Name: "quiet", Event: "push", At: time.Date(2026, 12, 5, 21, 30, 0, 0, time.UTC), With: map[string]any{
			"source": "a", "project": "acme/x", "actor": "jdoe", "bot": true, "branch": "x", "target_branch": "main", "labels": []string{"a"},
			"draft": true, "confidential": false, "environment": "x", "paths": []string{"docs/x.md"},
		}},
		{Name: "tests[1]", Event: absolute("testdata/good/payloads/push.json"), With: map[string]any{"labels": []string{}}, To: to("a", "a@alice")},
		{Name: "testdata/good/included/a.yaml tests[0]", Event: absolute("testdata/good/included/push.json"), To: to("a")},
	}
	if diff := cmp.Diff(want, cfg.Tests, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestValues(t *testing.T) {
	cfg, _ := Load("testdata/good/variables.yaml", testEnv)
	if got := cfg.Source("gitlab").Tokens[0].Reveal() + " " + cfg.Source("gitlab").Projects[0].Text; got != "canary-of-gitlab acme/**" {
		t.Errorf("gitlab: %s", got)
	}
	if got := cfg.Source("other").Tokens[1].Reveal(); got != "new-canary-canary-canary" {
		t.Errorf("other: %s", got)
	}
	if got := cfg.Routes[0].Name; got != "costs $5 and ${HOME}" {
		t.Errorf("name: %s", got)
	}
	cfg, _ = Load("testdata/good/quoted_traps.yaml", testEnv)
	if d := cfg.Destination("mm"); d.Channel != "dev" || !d.Allows("security") || !d.Allows("@alice") {
		t.Errorf("mm: %+v", d)
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "nowhere.yaml"), "there is no such file"},
		{dir, "the file cannot be read: is a directory"},
	} {
		cfg, found := Load(c.path, testEnv)
		if len(found) != 1 || found[0].Message != c.want || found[0].Pos.File != c.path || cfg == nil {
			t.Errorf("%s: %v", c.path, found)
		}
	}
	_, found := LoadBytes("relay.yaml", bytes.Repeat([]byte("# a\n"), maxFileBytes/4+1), testEnv)
	if len(found) != 1 || found[0].Message != "the file is larger than 1 MB" {
		t.Errorf("%v", found)
	}
}

func TestSecretFilePermissions(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"open": 0o644, "closed": 0o640} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("canary-canary-canary-"+name+"\n"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	yaml := "sources: {a: {token_file: open}, b: {token_file: closed}}\ndestinations: {mm: {kind: log}}\nroutes: [{to: mm}]\n"
	_, found := LoadBytes(filepath.Join(dir, "relay.yaml"), []byte(yaml), testEnv)
	if len(found) != 1 || found[0].Severity != Warning || found[0].Message != `everybody on this machine can read the file of token_file of source "a"` {
		t.Errorf("%v", found)
	}
}

func TestRelayDestinationBesideFile(t *testing.T) {
	env := func(name string) (string, bool) {
		if name == "RELAY_DESTINATION" {
			return "https://chat.example/hooks/canary", true
		}
		return testEnv(name)
	}
	_, found := LoadBytes("relay.yaml", []byte("destinations: {mm: \"${MM_URL}\"}\nroutes: [{to: mm}]\n"), env)
	if len(found) != 1 || found[0].Severity != Error || !strings.Contains(found[0].Message, "RELAY_DESTINATION is set beside this file") {
		t.Errorf("%v", found)
	}
}

func TestFromEnvironment(t *testing.T) {
	const key = "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E="
	for _, c := range []struct {
		name string
		env  map[string]string
		want []string // messages
		kind string
	}{
		{"token", map[string]string{"RELAY_DESTINATION": "https://chat.example/hooks/canary", "RELAY_TOKEN": "canary-canary-canary"}, nil, KindMattermost},
		{"ends", map[string]string{"RELAY_DESTINATION": "https://chat.example/hooks/canary ", "RELAY_TOKEN": "canary-canary-canary\n"}, []string{"RELAY_DESTINATION ends with a space", "RELAY_TOKEN ends with a line break"}, ""},
		{"quotes", map[string]string{"RELAY_DESTINATION": `"https://chat.example/hooks/canary"`, "RELAY_TOKEN": `"canary-canary-canary"`, "RELAY_SIGNING_KEY": "'" + key + "'"}, []string{"RELAY_DESTINATION begins with a quote", "RELAY_TOKEN begins with a quote", "RELAY_SIGNING_KEY begins with a quote"}, ""},
		{"signing key", map[string]string{"RELAY_DESTINATION": "https://hooks.slack.com/services/canary", "RELAY_SIGNING_KEY": key}, nil, KindSlack},
		{"nothing", nil, []string{
			"there is no relay.yaml, and RELAY_DESTINATION is not set",
			`there is no secret of source "gitlab": anybody could send in GitLab's name`,
		}, ""},
		{"no URL", map[string]string{"RELAY_DESTINATION": "canary", "RELAY_TOKEN": "canary-canary-canary"}, []string{"RELAY_DESTINATION must start with https:// or http://"}, ""},
		{"empty token", map[string]string{"RELAY_DESTINATION": "https://chat.example/hooks/canary", "RELAY_TOKEN": ""}, []string{`there is no secret of source "gitlab": anybody could send in GitLab's name`}, ""},
		{"no signing key", map[string]string{"RELAY_DESTINATION": "https://chat.example/hooks/canary", "RELAY_SIGNING_KEY": "canary"}, []string{"RELAY_SIGNING_KEY does not start with whsec_"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, found := FromEnvironment(func(name string) (string, bool) { v, ok := c.env[name]; return v, ok })
			var messages []string
			for _, f := range found {
				messages = append(messages, f.Message)
				if strings.Contains(f.Text(), "canary") {
					t.Errorf("a secret is shown: %s", f.Text())
				}
			}
			if diff := cmp.Diff(c.want, messages); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			if c.want != nil {
				return
			}
			d := cfg.Destination("default")
			if d.Kind != c.kind || d.URL.Reveal() != c.env["RELAY_DESTINATION"] || len(cfg.Source("gitlab").Tokens)+len(cfg.Source("gitlab").SigningKeys) != 1 {
				t.Errorf("%+v", cfg)
			}
			if len(cfg.Routes) != 1 || cfg.Routes[0].When != nil || cfg.Routes[0].To[0].Address.String() != "default" {
				t.Errorf("routes %+v", cfg.Routes)
			}
		})
	}
}

// TestFreshToken: the hint of a missing proof can be used as it is, and only
// once.
func TestFreshToken(t *testing.T) {
	hints := map[string]bool{}
	for range 3 {
		_, found := LoadBytes("relay.yaml", []byte("sources: {gitlab: {}}\ndestinations: {mm: {kind: log}}\nroutes: [{to: mm}]\n"), testEnv)
		if len(found) != 1 || len(freshToken.FindString(found[0].Hint)) != 26 {
			t.Fatalf("%v", found)
		}
		hints[found[0].Hint] = true
	}
	if len(hints) != 3 {
		t.Error("a token came twice")
	}
}

// TestInspect: what is missing is a warning, has a placeholder that differs where
// the file does, and is not shown.
func TestInspect(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "relay.yaml")
	if err := os.WriteFile(path, []byte(`
sources:
  a: {token: ["${UNSET}", "${TOKEN}"], token_file: }
  b: {signing_key: "${UNSET_KEY}", require: signature}
  c: {signing_key_file: [nowhere, else], basic: {username: u, password: "${UNSET}"}}
destinations:
  one: ${UNSET_URL}
  two: {url_file: nowhere, channel: x}
  three: {url: "https://${UNSET_HOST}/hooks/x", kind: slack, ca_file: nowhere.pem}
  four: {url: "${MM_URL}", ca_file: nowhere.pem}
routes: [{to: [one, two, three, four]}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, found := Inspect(path, testEnv)
	var wrong []string
	for _, f := range found {
		if f.Severity == Error {
			wrong = append(wrong, f.Message)
		}
		if strings.Contains(f.Text(), "missing-") || strings.Contains(f.Text(), "canary") {
			t.Errorf("shows a secret, or its placeholder: %s", f.Text())
		}
	}
	if diff := cmp.Diff([]string{`token_file of source "a" is empty`}, slices.DeleteFunc(wrong, func(s string) bool { return strings.Contains(s, "has both") })); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if want := 10; cfg.Missing != want {
		t.Errorf("%d missing, want %d", cfg.Missing, want)
	}
	urls := map[string]bool{}
	for _, d := range cfg.Destinations {
		urls[d.URL.Reveal()] = true
	}
	if len(urls) != 4 || cfg.Destination("three").Kind != KindSlack || cfg.Destination("three").KindGuessed || !cfg.Destination("one").KindGuessed || cfg.Destination("four").URL.Reveal() != "https://chat.example/hooks/canary" {
		t.Errorf("destinations %v", urls)
	}
	if keys := cfg.Source("b").SigningKeys; len(keys) != 1 || !isSigningKey(keys[0].Reveal()) {
		t.Error("the placeholder of a signing key is none")
	}
	if len(cfg.Source("a").Tokens) != 2 || cfg.Source("a").Tokens[1].Reveal() != "canary-canary-canary" || len(cfg.Source("c").SigningKeys) != 2 {
		t.Error("a proof is lost")
	}
}

func isSigningKey(token string) bool {
	_, problem := SigningKey(token)
	return problem == ""
}

// FuzzLoad looks for files that stop the loader, for findings without a place
// in the file, and for shown secrets.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml", "examples/*.yaml", "relay.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	env := func(name string) (string, bool) {
		v, ok := testEnv(name)
		return strings.ReplaceAll(v, "canary", "from-the-environment"), ok
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("_file")) || bytes.Contains(data, []byte("include")) || bytes.Contains(data, []byte("templates")) || bytes.Contains(data, []byte("from-the-environment")) {
			return // reads what the fuzzer names
		}
		cfg, found := LoadBytes("relay.yaml", data, env)
		if cfg == nil {
			t.Fatal("no configuration")
		}
		lines := newText("", data).lines
		loose, same := Reading{Env: env, Loose: true}.loadBytes("relay.yaml", data)
		if HasErrors(found) != HasErrors(same) && loose.Missing == 0 {
			t.Errorf("with secrets at hand:\n%s\nwithout:\n%s", printed(t, found), printed(t, same))
		}
		_, missing := Reading{Env: func(string) (string, bool) { return "", false }, Loose: true}.loadBytes("relay.yaml", data)
		for _, f := range slices.Concat(found, same, missing) {
			if f.Message == "" || f.Pos.Line < 0 || f.Pos.Line > len(lines) || f.Pos.Line > 0 && f.Pos.Col < 1 {
				t.Errorf("%+v", f)
			}
			if strings.Contains(f.Text(), "from-the-environment") {
				t.Errorf("a value of the environment is shown: %s", f.Text())
			}
			if f.Line != "" && (f.Caret < 1 || f.Width < 1 || f.Caret > utf8.RuneCountInString(f.Line)+1) {
				t.Errorf("caret: %+v", f)
			}
		}
	})
}
