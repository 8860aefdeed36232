package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// plantedConfig has secrets in every name of relay.yaml that takes a ${VAR}.
const plantedConfig = `
sources:
  gitlab: {token: ["${FIRST}", "${SECOND}"], projects: ["acme/**", "${DB_PASSWORD}/**"]}
destinations:
  fine: {url_file: url}
  second: {url: "${URL}", channel: "kanal-${DB_PASSWORD}"}
users: {jdoe: "${DB_PASSWORD}"}
routes:
  - {name: "Issues ${FIRST} ${URL}", when: {events: all}, to: [fine, "fine#${DB_PASSWORD}"], mention: ["@${DB_PASSWORD}"]}
  - {name: "Never ${DB_PASSWORD}", when: {events: all, labels: ["${SECOND}"], if: "title == '${DB_PASSWORD}'"}, to: "second#${DB_PASSWORD}"}
tests:
  - {name: "Test ${DB_PASSWORD}", event: issue.open, expect: {to: ["second#${DB_PASSWORD}"]}}
`

// TestSecretsOfPages plants secrets in names, and wants none on any page of the
// admin listener, in any answer of a command or in the log; not those of an older
// relay.yaml either.
func TestSecretsOfPages(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	here := install(t, plantedConfig)
	here.write("url", mattermost.URL(hookSecret("fine"))+"\n")
	here.env = append(here.env,
		"FIRST="+firstToken, "SECOND="+secondToken, "URL="+mattermost.URL(hookSecret("fine")), "DB_PASSWORD=kanarie.pass-word_3")
	relay := here.start("--log-level", "debug")
	body := issue("acme/api", 1, 0)
	send(t, relay, "issue", issueHook, body, 202, func(r *http.Request) { r.Header.Del("X-Gitlab-Event-Uuid") })
	id := relay.await(&relay.stderr, regexp.MustCompile(`"msg":"delivery attempt","event_id":"(\d+-\d+)"`))[1]
	pages := func(when string) {
		t.Helper()
		seen := 0
		for _, page := range []string{
			"/metrics", "/healthz", "/readyz", "/", "/api/v1/config", "/api/v1/events", "/api/v1/events/" + id, "/api/v1/events/" + id + "/decision",
			"/api/v1/events/" + id + "/body", "/api/v1/deadletters", "/api/v1/parked", "/api/v1/sources", "/api/v1/events?project=" + canary,
		} {
			_, text := relay.get(page)
			leaks(t, page+" "+when, strings.ReplaceAll(text, "project="+canary, ""))
			seen += strings.Count(text, "[redacted]")
		}
		if seen < 5 {
			t.Errorf("%s: only %d secrets stood in the pages", when, seen)
		}
	}
	pages("at first")
	for _, args := range [][]string{
		{"check"}, {"check", "-o", "json"}, {"check", "-o", "gitlab"}, {"explain", "issue.open"}, {"explain", "issue.open", "-o", "json"}, {"explain", id, "--admin-url", "http://" + relay.admin},
		{"test"}, {"test", "-o", "junit"}, {"test", "-o", "json"}, {"preview", "issue.open"}, {"preview", "issue.open", "-o", "json"}, {"preview", "issue.open", "--to", "fine"},
		{"events", "--admin-url", "http://" + relay.admin}, {"events", "--admin-url", "http://" + relay.admin, "-o", "json"}, {"parked", "list", "--admin-url", "http://" + relay.admin},
	} {
		_, stdout, stderr := here.run(args...)
		leaks(t, fmt.Sprintf("relay %s", args), stdout+stderr)
	}
	here.write("url", mattermost.URL(canary+"newhook")+"\n")
	here.write("relay.yaml", strings.ReplaceAll(plantedConfig, "${SECOND}", "newer-${FIRST}")+"  - {name: again, event: \"${DB_PASSWORD}\", expect: {}}\nreport: \"fine#${URL}\"\n")
	_, text := reload(t, relay)
	leaks(t, "the answer to a reload with mistakes", text)
	pages("after a reload with mistakes")
	here.write("relay.yaml", strings.ReplaceAll(plantedConfig, "${SECOND}", "newer-${DB_PASSWORD}"))
	if status, text := reload(t, relay); status != http.StatusOK {
		t.Errorf("reload: %d %s", status, text)
	}
	pages("after a reload")
	relay.terminate()
	leaks(t, "the log", relay.stderr.String())
	leaks(t, "standard output", relay.stdout.String())
}

// reload asks for a reload, and returns the answer.
func reload(t *testing.T, relay *process) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), http.MethodPost, "http://"+relay.admin+"/-/reload", nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := roundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return a.status, a.body
}

// TestTeamFileReadsNoVariable: a team's file gets no variable of the environment
// into a message, and the refusal names the key.
func TestTeamFileReadsNoVariable(t *testing.T) {
	t.Parallel()
	here := install(t, `
sources: {gitlab: {token: "${TOKEN}"}}
destinations: {mm: {kind: log}}
include: [{files: teams/pay.yaml, projects: acme/pay/**, to: ["mm#pay", "mm#pay-*"]}]
routes: [{to: mm#main}]
`)
	here.env = append(here.env, "TOKEN=kanarie-token-of-gitlab", "DB_PASSWORD=kanarie.pass")
	if err := os.MkdirAll(filepath.Join(here.dir, "teams"), 0o755); err != nil {
		t.Fatal(err)
	}
	for key, route := range map[string]string{
		"mention": `{to: mm#pay, mention: ["@${DB_PASSWORD}"]}`, "to": `{to: "mm#pay-${TOKEN}"}`, "name": `{to: mm#pay, name: "${DB_PASSWORD:-x}"}`,
	} {
		here.write("teams/pay.yaml", "routes: [{to: mm#pay}, "+route+"]\n")
		code, stdout, stderr := here.run("check")
		if want := regexp.MustCompile(`teams/pay.yaml:1:\d+: error: .*\b` + key + ` of .* reads the environment variable`); code != 1 || !want.MatchString(stdout) {
			t.Errorf("%s: exit code %d\n%s", key, code, stdout)
		}
		leaks(t, "relay check", stdout+stderr)
	}
	here.write("secret", "kanarie: kanarie\n")
	if err := os.Remove(filepath.Join(here.dir, "teams/pay.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../secret", filepath.Join(here.dir, "teams/pay.yaml")); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := here.run("check")
	if code != 1 || !strings.Contains(stdout, "is reached through a link") {
		t.Errorf("a link: exit code %d\n%s", code, stdout)
	}
	leaks(t, "relay check of a link", stdout+stderr)
}
