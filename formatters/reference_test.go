package formatters

import (
	"strings"
	"testing"

	"github.com/gitlab-mattermost/relay/events"
)

// found are all references in s, as "text → address".
func found(s string, p *events.Project) (out []string) {
	for at := 0; ; {
		r, ok := nextReference(s, at, p)
		if !ok {
			return out
		}
		out = append(out, s[r.from:r.to]+" → "+r.url)
		at = r.to
	}
}

func TestReferences(t *testing.T) {
	const web = "https://gitlab.example"
	for _, tt := range []struct{ in, want string }{
		{"#7", "#7 → " + web + "/acme/api/-/issues/7"},
		{"Closes #7.", "#7 → " + web + "/acme/api/-/issues/7"},
		{"(#7)", "#7 → " + web + "/acme/api/-/issues/7"},
		{"#7, #8", "#7 → " + web + "/acme/api/-/issues/7|#8 → " + web + "/acme/api/-/issues/8"},
		{"!42", "!42 → " + web + "/acme/api/-/merge_requests/42"},
		{"acme/web#12", "acme/web#12 → " + web + "/acme/web/-/issues/12"},
		{"acme/platform/auth.v2!3", "acme/platform/auth.v2!3 → " + web + "/acme/platform/auth.v2/-/merge_requests/3"},
		{"acme/web@1a2b3c4d", "acme/web@1a2b3c4d → " + web + "/acme/web/-/commit/1a2b3c4d"},
		{"acme/web~bug", "acme/web~bug → " + web + "/acme/web/-/issues?label_name=bug"},
		{"acme/web%3", "acme/web%3 → " + web + "/acme/web/-/milestones/3"},
		{"~bug", "~bug → " + web + "/acme/api/-/issues?label_name=bug"},
		{"~type::bug.", "~type::bug → " + web + "/acme/api/-/issues?label_name=type%3A%3Abug"},
		{`~"needs triage"`, `~"needs triage" → ` + web + "/acme/api/-/issues?label_name=needs%20triage"},
		{"%17.5", "%17.5 → " + web + "/acme/api/-/milestones?search_title=17.5"},
		{"%3", "%3 → " + web + "/acme/api/-/milestones/3"},
		{"%v2.", "%v2 → " + web + "/acme/api/-/milestones?search_title=v2"},
		{`%"Next up"`, `%"Next up" → ` + web + "/acme/api/-/milestones?search_title=Next%20up"},
		{"@grace", "@grace → " + web + "/grace"},
		{"@grace.hopper: hi", "@grace.hopper → " + web + "/grace.hopper"},
		{"“@grace”", "@grace → " + web + "/grace"},
		{"cc:@grace", "@grace → " + web + "/grace"},
		{"见 #7，", "#7 → " + web + "/acme/api/-/issues/7"},
		{"（!42）", "!42 → " + web + "/acme/api/-/merge_requests/42"},
		{"“1a2b3c4d”", "1a2b3c4d → " + web + "/acme/api/-/commit/1a2b3c4d"},
		{"~bug…", "~bug → " + web + "/acme/api/-/issues?label_name=bug"},
		{"1a2b3c4d", "1a2b3c4d → " + web + "/acme/api/-/commit/1a2b3c4d"},
		{"1a2b3c4d..5e6f7a8b", "1a2b3c4d → " + web + "/acme/api/-/commit/1a2b3c4d|5e6f7a8b → " + web + "/acme/api/-/commit/5e6f7a8b"},
		{"1a2b3c4d...5e6f7a8b", "1a2b3c4d → " + web + "/acme/api/-/commit/1a2b3c4d|5e6f7a8b → " + web + "/acme/api/-/commit/5e6f7a8b"},
		{strings.Repeat("1a", 20), strings.Repeat("1a", 20) + " → " + web + "/acme/api/-/commit/" + strings.Repeat("1a", 20)},
	} {
		if got := strings.Join(found(tt.in, project), "|"); got != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", tt.in, got, tt.want)
		}
	}
	for _, s := range []string{
		"", "#", "!", "@", "~", "%", "##7", "a#7", "#7a", "#7é", "é#7", "#1.2", "&#7", "#12345678901", "C#", "!important", "5!", "wow!",
		"@all", "@here", "@channel", "@ALL", "ada@acme.example", "@scope/package", "@a", "@-x", "@@x", "x/@grace",
		"@grace@x.example", "é@grace", "@graceé", "@\u200dgrace", "\u2060@grace", "@grace\u0301", "中@grace", "#7中", "中#7", "中1a2b3c4d", "x:#7",
		"~10ms", "~5", "~/bin", "~", "a~b", "~~x~~", `~""`, `~"open`, "~é",
		"100%", "50%d", "%s", "%d", "%ld", "%02d", "%20x", "%2Fpath", "% 3", "x%3", "%",
		"12345678", "abcdefab", "1a2b3c4", strings.Repeat("1a", 20) + "1", "550e8400-e29b-41d4-a716-446655440000", "0x1a2b3c4d", "1a2b3c4d/x",
		"x1a2b3c4d", "1a2b3c4dx", "#1a2b3c4d", "/1a2b3c4d", "1A2B3C4D",
		"github.com/acme/web#12", "https://x.example/a#7", "-a/b#1", "a//b#1", "./a#1", "a/../b#1", "\x00#7", "\x00@grace",
	} {
		if got := found(s, project); got != nil {
			t.Errorf("%q: found %q, want none", s, got)
		}
	}
}

// TestReferenceRoots: addresses are right for subgroups and under a relative
// URL root, and a reference without a known address is none.
func TestReferenceRoots(t *testing.T) {
	deep := &events.Project{Path: "acme/platform/auth", URL: "https://x.example/gitlab/acme/platform/auth"}
	group := &events.Project{Group: "acme/platform", GroupURL: "https://x.example/gitlab/groups/acme/platform"}
	odd := &events.Project{Path: "acme/api", URL: "https://x.example/elsewhere"}
	for _, tt := range []struct {
		p        *events.Project
		in, want string
	}{
		{deep, "#7", "#7 → https://x.example/gitlab/acme/platform/auth/-/issues/7"},
		{deep, "acme/web#7", "acme/web#7 → https://x.example/gitlab/acme/web/-/issues/7"},
		{deep, "@grace", "@grace → https://x.example/gitlab/grace"},
		{group, "@grace", "@grace → https://x.example/gitlab/grace"},
		{group, "#7", ""},
		{group, "1a2b3c4d", ""},
		{odd, "#7", "#7 → https://x.example/elsewhere/-/issues/7"},
		{odd, "acme/web#7", ""},
		{odd, "@grace", "@grace → "},
		{nil, "#7 ~bug", ""},
		{nil, "@grace", "@grace → "},
	} {
		if got := strings.Join(found(tt.in, tt.p), "|"); got != tt.want {
			t.Errorf("%q in %+v:\n got %s\nwant %s", tt.in, tt.p, got, tt.want)
		}
	}
}

// FuzzReferences: whatever stands around and in a reference, its
// address is on the project's GitLab.
func FuzzReferences(f *testing.F) {
	for _, s := range allSeeds() {
		f.Add(s)
		f.Add("#7 " + s + "!8")
		f.Add("acme/" + s + "#7")
		f.Add(`~"` + s + `"`)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for at := 0; ; {
			r, ok := nextReference(s, at, project)
			if !ok {
				return
			}
			if r.from < at || r.to <= r.from || r.to > len(s) {
				t.Fatalf("%q: a reference from %d to %d, looked for from %d", s, r.from, r.to, at)
			}
			if url := followable(r.url); url != "" && !strings.HasPrefix(url, "https://gitlab.example/") {
				t.Errorf("%q: %q leads to %s", s, s[r.from:r.to], url)
			}
			at = r.to
		}
	})
}
