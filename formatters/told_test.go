package formatters

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// everyEvent are the events of all samples, and of the payloads that others have
// published, where they lie beside the checkout.
func everyEvent(t *testing.T) map[string]*events.Event {
	t.Helper()
	all := map[string]*events.Event{}
	for _, s := range events.Samples() {
		all["sample "+s.Name] = decodeSample(s)
	}
	dir := filepath.Join("..", "..", "shared", "corpus")
	f, err := os.Open(filepath.Join(dir, "manifest.tsv"))
	if err != nil {
		return all
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		body, err := os.ReadFile(filepath.Join(dir, fields[0]))
		if err == nil && len(fields) > 1 {
			all[fields[0]] = events.Decode(events.Input{Source: "gitlab", Header: fields[1], Body: body})
		}
	}
	return all
}

// TestMessagesAreTidy: no message of any event shows what only a program would
// write.
func TestMessagesAreTidy(t *testing.T) {
	standard, classic := newSet(t), team(t, Classic)
	for name, e := range everyEvent(t) {
		for layout, set := range map[string]*Set{"": standard, configs.LayoutPlain: standard, configs.LayoutCard: standard, "classic": classic} {
			look := configs.Look{Layout: layout}
			if layout == "classic" {
				look.Layout = ""
			}
			post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindMattermost, Look: look})
			if err != nil || post.Fault != "" {
				t.Errorf("%s %s: %v %s", name, layout, err, post.Fault)
			}
			for _, what := range untidy(post.Markdown, layout == "classic") {
				t.Errorf("%s %s: %s in\n%s", name, layout, what, post.Markdown)
			}
			if layout == "" && e.Kind == events.Push {
				checkCounts(t, name, post.Markdown)
			}
		}
	}
}

var (
	codeSpans = regexp.MustCompile("`+[^`\n]*`+")
	codeBlock = regexp.MustCompile("(?s)```.*?```")
)

// untidy lists what is wrong with a message. The set classic shows whole refs
// and ends a headline with a colon, as the old service did.
func untidy(markdown string, classic bool) (wrong []string) {
	text := codeBlock.ReplaceAllString(markdown, "CODE")
	for _, span := range codeSpans.FindAllString(text, -1) {
		if strings.Contains(span, `\`) || strings.Contains(span, "&#") || strings.Contains(span, joiner) {
			wrong = append(wrong, "escapes in "+span)
		}
		if strings.Contains(span, "refs/") && !classic {
			wrong = append(wrong, "a whole ref")
		}
	}
	text = codeSpans.ReplaceAllString(text, "CODE")
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimLeft(line, "> -*")
		for _, bad := range []string{"  ", "[](", "]()", "****", "“”", "()", "[redacted]", " ,", "null", "<nil>", "%!"} {
			if strings.Contains(line, bad) {
				wrong = append(wrong, strconv.Quote(bad))
			}
		}
		if strings.Contains(line, "refs/") && !classic {
			wrong = append(wrong, "a whole ref")
		}
		if i == 0 && !classic && strings.HasSuffix(line, ":") {
			wrong = append(wrong, "a colon at the end")
		}
	}
	return wrong
}

var (
	counted = regexp.MustCompile(`^(?:⚠️ )?.* pushed \[(?:(\d+)\x{a0}(?:commit|merge)s?)`)
	andMore = regexp.MustCompile(`and (\d+) more`)
)

// checkCounts finds a push whose headline counts other commits than are listed.
func checkCounts(t *testing.T, name, markdown string) {
	t.Helper()
	headline, body, _ := strings.Cut(markdown, "\n")
	listed, more := 0, 0
	for _, line := range strings.Split(body, "\n") {
		if m := andMore.FindStringSubmatch(line); m != nil {
			more, _ = strconv.Atoi(m[1])
		} else if line != "" {
			listed++
		}
	}
	if listed == 0 && more > 0 {
		t.Errorf("%s: %d more than nothing\n%s", name, more, markdown)
	}
	if m := counted.FindStringSubmatch(headline); m != nil && listed > 0 {
		if n, _ := strconv.Atoi(m[1]); n != listed+more {
			t.Errorf("%s: counts %d, lists %d and %d more\n%s", name, n, listed, more, markdown)
		}
	}
}

// TestCodeIsNeverEscaped: whatever function made a text, code shows it as it
// came.
func TestCodeIsNeverEscaped(t *testing.T) {
	for c := byte('!'); c <= '~'; c++ {
		if isAlnum(c) || c == '`' { // backticks get more of them around
			continue
		}
		raw := "a" + string(c) + "b" + string(c) + string(c) + "[x](y)_z_" + string(c)
		e := pushEvent()
		e.Title, e.Branch, e.URL, e.Labels = raw, raw, "https://gitlab.example/x", []string{raw}
		e.Actor.Name = raw
		e.Note = &events.NotePart{File: raw}
		for _, expr := range []string{
			`.Title`, `(print .Title)`, `(printf "%s" .Title)`, `(printf "%v" .Title)`, `(cut 100 .Title)`, `(short 100 .Title)`,
			`(text .Title)`, `(text (print .Title))`, `(join ", " .Labels)`, `(labels .Labels)`, `(list .Title)`, `(link .Title .URL)`,
			`(bold .Title .URL)`, `(people (slice .MergeRequest.Reviewers 0 1))`, `.Who`, `.Actor`, `(default "x" .Title)`, `(title .Title)`,
			`(print (link .Title .URL))`, `(branch .Title)`, `(get . "title")`, `(index .Labels 0)`, `(path .Title)`, `(cut 100 (print .Title))`,
		} {
			e.MergeRequest = &events.MergeRequestPart{Reviewers: []events.User{{Name: raw}}}
			e.Payload = []byte(`{"title":` + strconv.Quote(raw) + `}`)
			set, err := setOf(t, map[string]string{"push": `{{define "headline"}}{{code ` + expr + `}}{{end}}`})
			if err != nil {
				t.Fatal(err)
			}
			post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindLog})
			if err != nil || post.Fault != "" {
				t.Fatalf("%s: %v %s", expr, err, post.Fault)
			}
			want := raw
			if expr == "(path .Title)" && c == '/' {
				continue
			}
			if expr == "(title .Title)" {
				want = "A" + raw[1:]
			}
			if got := strings.Trim(post.Markdown, "` "); got != want && codeSpan(want) != post.Markdown {
				t.Errorf("code %s of %q is %s", expr, raw, post.Markdown)
			}
		}
	}
}

// TestAddressesAreNotEscaped: what print made is put into an address as it came.
func TestAddressesAreNotEscaped(t *testing.T) {
	e := pushEvent()
	e.Branch = "feature/_x_*"
	set, err := setOf(t, map[string]string{"push": `{{define "headline"}}{{link "x" (print .Project.URL "/-/tree/" .Branch)}} {{link "y" (suffix .Project.URL (print "/" .Branch))}}{{end}}`})
	if err != nil {
		t.Fatal(err)
	}
	post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindLog})
	want := "[x](https://gitlab.example/acme/api/-/tree/feature/_x_%2A) [y](https://gitlab.example/acme/api/feature/_x_%2A)"
	if err != nil || post.Markdown != want {
		t.Errorf("%v: got %s, want %s", err, post.Markdown, want)
	}
}

// TestSignaturesAreLeftOut: of tags, commits and release notes.
func TestSignaturesAreLeftOut(t *testing.T) {
	for _, kind := range []string{"PGP SIGNATURE", "PGP MESSAGE", "SSH SIGNATURE", "SIGNED MESSAGE", "PKCS7"} {
		block := "-----BEGIN " + kind + "-----\nVersion: x\n\naGVsbG8=\n=abcd\n-----END " + kind + "-----"
		for in, want := range map[string]string{
			"Release\n" + block + "\n":                   "Release\n",
			"Release\r\n" + block + "\r\n\r\nmore":       "Release\r\n\r\nmore",
			block:                                        "",
			block[:len(block)-30]:                        "",
			"a\n" + block + "\nb\n" + block:              "a\nb",
			"-----BEGIN CERTIFICATE-----\nx":             "-----BEGIN CERTIFICATE-----\nx",
			"see -----BEGIN " + kind + "----- in a line": "see -----BEGIN " + kind + "----- in a line",
		} {
			if got := withoutSignatures(in); got != want {
				t.Errorf("%q: got %q, want %q", in, got, want)
			}
		}
	}
	clear := "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nRelease 1\n-----BEGIN PGP SIGNATURE-----\nx\n-----END PGP SIGNATURE-----\n"
	if got := withoutSignatures(clear); got != "Release 1\n" {
		t.Errorf("signed in clear: %q", got)
	}
}

// TestUploads: an uploaded file has the address that its GitLab knows.
func TestUploads(t *testing.T) {
	const file = "/uploads/0123456789abcdef0123456789abcdef/trace.log"
	for version, want := range map[string]string{
		"":          "https://gitlab.example/-/project/15" + file,
		"17.0.0-ee": "https://gitlab.example/-/project/15" + file,
		"18.5.1":    "https://gitlab.example/-/project/15" + file,
		"16.11.2":   "https://gitlab.example/acme/api" + file,
	} {
		e := altered(t, "issue.open", attribute("description", "See [the log]("+file+") and <img src=\""+file+"\">"))
		e.Version = version
		post, err := newSet(t).Render(context.Background(), Request{Event: e, Kind: configs.KindLog})
		if err != nil || strings.Count(post.Markdown, "("+want+")") != 2 {
			t.Errorf("GitLab %q: %v\n%s", version, err, post.Markdown)
		}
	}
}

// TestEmojiInComments: GitLab's emoji are characters, in a sentence and in a
// quote; other words between colons are text.
func TestEmojiInComments(t *testing.T) {
	for body, want := range map[string]string{
		"LGTM :+1:":                     ": “LGTM 👍”",
		"See Vms::Camera: and :nobody:": "“See Vms:&#58;Camera: and &#58;nobody:”",
		"**Done** :white_check_mark:":   "> **Done** ✅",
		"a `:tada:` in code":            "> a `:tada:` in code",
	} {
		e := altered(t, "note.merge_request", attribute("note", body))
		post, err := newSet(t).Render(context.Background(), Request{Event: e, Kind: configs.KindMattermost})
		if err != nil || !strings.HasSuffix(post.Markdown, want) {
			t.Errorf("%q: %v: got %s, want it to end %s", body, err, post.Markdown, want)
		}
	}
}

// TestRunningHasNoDuration: what still runs does not say how long it took.
func TestRunningHasNoDuration(t *testing.T) {
	for _, name := range []string{"pipeline.running", "job.running", "job.pending", "pipeline.manual", "pipeline.canceling", "job.canceling"} {
		e := sampleEvent(t, name)
		if e.Pipeline != nil {
			e.Pipeline.Duration = 97 * time.Second
		} else {
			e.Job.Duration = 97 * time.Second
		}
		post, err := newSet(t).Render(context.Background(), Request{Event: e, Kind: configs.KindMattermost})
		if err != nil || strings.Contains(post.Markdown, "1m") {
			t.Errorf("%s: %v: %s", name, err, post.Markdown)
		}
	}
}

// TestDueYear: a date of another year than today's names it, whatever the year
// of the event.
func TestDueYear(t *testing.T) {
	e := sampleEvent(t, "issue.open") // of 2026, due in 2026
	for year, want := range map[int]string{2026: "due 1\u00a0Dec\n", 2027: "due 1\u00a0Dec\u00a02026\n"} {
		now := time.Date(year, 1, 2, 0, 0, 0, 0, time.UTC)
		post, err := newSet(t).Render(context.Background(), Request{Event: e, Kind: configs.KindMattermost, Now: now})
		if err != nil || !strings.Contains(post.Markdown, want) {
			t.Errorf("in %d: %v: %s", year, err, post.Markdown)
		}
	}
}

// TestReleaseNamesItsTag: where the release's name does not.
func TestReleaseNamesItsTag(t *testing.T) {
	for name, want := range map[string]string{
		"Spring":         " · tag [`v1.2.0`](https://gitlab.example/acme/api/-/tags/v1.2.0) · 2\u00a0assets",
		"V1.2.0, Spring": "in [acme/api](https://gitlab.example/acme/api) · 2\u00a0assets",
	} {
		e := altered(t, "release.create", func(p map[string]any) { p["name"] = name })
		post, err := newSet(t).Render(context.Background(), Request{Event: e, Kind: configs.KindMattermost})
		headline, _, _ := strings.Cut(post.Markdown, "\n")
		if err != nil || !strings.HasSuffix(headline, want) {
			t.Errorf("%v: got %s, want it to end %s", err, headline, want)
		}
	}
}

// TestPushCounts: what the headline counts is what is listed, and what comes
// after "more".
func TestPushCounts(t *testing.T) {
	set := newSet(t)
	for _, total := range []int{0, 1, 2, 3, 5, 6, 7, 8, 20, 24} {
		for _, sent := range []int{0, 1, 2, 5, 6, 7, 8, 20} {
			if sent > total {
				continue
			}
			for merges := range min(sent, 3) + 1 {
				e := altered(t, "push", func(p map[string]any) {
					p["total_commits_count"] = total
					p["commits"] = repeated(p["commits"], sent, func(i int, c map[string]any) {
						if i < merges {
							c["message"] = "Merge branch 'x' into 'main'"
						}
					})
				})
				post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindMattermost})
				if err != nil {
					t.Fatal(err)
				}
				checkCounts(t, strconv.Itoa(total), post.Markdown)
			}
		}
	}
}

// TestNamedOnce: whom the end of a headline mentions is not named before it.
func TestNamedOnce(t *testing.T) {
	call := func(name string) string { return map[string]string{"ada": "@ada.chat"}[name] }
	for _, tt := range []struct {
		sample  string
		mention []string
		call    func(string) string
		want    string
	}{
		{"pipeline.failed", nil, nil, " · Ada Lovelace · 4m\u00a012s"},
		{"pipeline.failed", []string{"@ada"}, nil, " · 4m\u00a012s · @ada"},
		{"pipeline.failed", []string{"@ada.chat"}, call, " · 4m\u00a012s · @ada.chat"},
		{"pipeline.failed", []string{"@grace"}, call, " · Ada Lovelace · 4m\u00a012s · @grace"},
		{"job.failed", []string{"@ada"}, nil, " · 2m\u00a040s · @ada"},
		{"deployment.failed", []string{"@ada"}, nil, "[acme/api](https://gitlab.example/acme/api) · @ada"},
	} {
		post, err := newSet(t).Render(context.Background(), Request{
			Event: sampleEvent(t, tt.sample), Kind: configs.KindMattermost, Mention: tt.mention, Call: tt.call,
		})
		headline, _, _ := strings.Cut(post.Markdown, "\n")
		if err != nil || !strings.HasSuffix(headline, tt.want) || strings.Count(headline, "Ada") > 1 {
			t.Errorf("%v: got %s, want it to end %s", err, headline, tt.want)
		}
	}
}
