package test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// canary is part of every secret here, so that a part of one is found too.
const canary = "kanarie"

const (
	firstToken  = `Kanarie-"one"\&<1>%41`
	secondToken = "glpat-KANARIE.two=+/x"
	signingKey  = "whsec_kanariekanariekanariekanariekanariekanarie0="
	basicUser   = "gitlab"
	basicSecret = "kanarie:pass/word@3"
)

// secretHooks are the hooks of TestSecrets: how the chat misbehaves when it is
// told the id, which is the secret. Letters alone, which is what is hardest to
// tell from an ordinary word.
var secretHooks = map[string]func(id string) chat.Behaviour{
	"fine":     func(string) chat.Behaviour { return chat.OK() },
	"unknown":  func(id string) chat.Behaviour { return chat.Status(404, nil, chat.ErrorBody(id)) },
	"refusing": func(id string) chat.Behaviour { return chat.Status(400, nil, chat.ErrorBody(id)) },
	"evil": func(id string) chat.Behaviour {
		return chat.Status(403, nil, fmt.Sprintf(`{"id":"web.%s.app_error","message":%q,"status_code":403}`, id, id))
	},
	"failing": func(id string) chat.Behaviour {
		return chat.Status(500, http.Header{"Content-Type": {"text/html"}, "X-Request": {id}}, "<html><h1>"+id+"</h1></html>")
	},
	"limited": func(id string) chat.Behaviour {
		return chat.Status(429, http.Header{"Retry-After": {id}}, id)
	},
	"moved": func(id string) chat.Behaviour { return chat.RedirectTo("https://elsewhere.example/hooks/" + id) },
	"login": func(id string) chat.Behaviour {
		return chat.Status(200, http.Header{"Content-Type": {"text/html"}, "Set-Cookie": {"from=" + id}}, "<!doctype html><a href='/login?to="+id+"'>")
	},
	"cut":   func(string) chat.Behaviour { return chat.CutMidAnswer() },
	"reset": func(string) chat.Behaviour { return chat.Reset() },
}

func hookSecret(name string) string { return canary + "hook" + name }

// leaks finds what must not be printed.
func leaks(t *testing.T, where, text string) {
	t.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte(basicUser + ":" + basicSecret))
	for line := range strings.Lines(text) {
		i := strings.Index(strings.ToLower(line), canary)
		if i < 0 {
			i = strings.Index(line, basic)
		}
		if i >= 0 {
			t.Errorf("%s holds a secret: …%s…", where, strings.TrimSpace(line[max(0, i-150):min(len(line), i+80)]))
		}
	}
}

// garbler answers with what is no HTTP, and holds the secret.
func garbler(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(conn).ReadString('\n')
			_, _ = fmt.Fprintf(conn, "%s is no HTTP\r\n\r\n", hookSecret("garbled"))
			conn.Close()
		}
	}()
	return listener.Addr().String()
}

// secretInstallation is a relay with a secret in every place that takes one,
// and the names of its destinations.
func secretInstallation(t *testing.T, mattermost *chat.Server) (*installation, []string) {
	t.Helper()
	urls := map[string]string{
		"garbled": "http://" + garbler(t) + "/hooks/" + hookSecret("garbled"),
		"gone":    "http://127.0.0.1:1/hooks/" + hookSecret("gone"),
		"notls":   "https://" + mattermost.Addr() + "/hooks/" + hookSecret("notls"),
		"slack":   mattermost.URL(hookSecret("unknown")) + "?key=" + canary,
	}
	for name, behaviour := range secretHooks {
		urls[name] = mattermost.URL(hookSecret(name))
		mattermost.Set(hookSecret(name), behaviour(hookSecret(name)))
	}
	var yaml strings.Builder
	yaml.WriteString(`
sources:
  gitlab:
    token: ["${FIRST}", "${SECOND}"]
    signing_key: "${KEY}"
    basic: {username: gitlab, password_file: password}
destinations:
`)
	env := []string{"FIRST=" + firstToken, "SECOND=" + secondToken, "KEY=" + signingKey}
	var names []string
	for name, u := range urls {
		names = append(names, name)
		env = append(env, "URL_"+name+"="+u)
		kind := "mattermost"
		if name == "slack" {
			kind = "slack"
		}
		fmt.Fprintf(&yaml, "  %s: {url: \"${URL_%s}\", kind: %s, confidential: true}\n", name, name, kind)
	}
	slices.Sort(names)
	fmt.Fprintf(&yaml, "routes:\n  - {when: {events: all}, to: [%s]}\n", strings.Join(names, ", "))
	here := install(t, yaml.String())
	here.write("password", basicSecret+"\n")
	here.env = append(here.env, env...)
	return here, names
}

// planted is a payload with secrets in every text that is not a word of
// GitLab's own.
func planted(body []byte) []byte {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		panic(err) // the samples are JSON
	}
	secrets := []string{firstToken, secondToken, signingKey, basicSecret, hookSecret("unknown"), "http://127.0.0.1:1/hooks/" + hookSecret("gone")}
	own := regexp.MustCompile(`^(object_kind|event_name|event_type|action|noteable_type|.*status|.*state)$`)
	n := 0
	var plant func(key string, v any) any
	plant = func(key string, v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k, inner := range v {
				v[k] = plant(k, inner)
			}
		case []any:
			for i, inner := range v {
				v[i] = plant(key, inner)
			}
		case string:
			if !own.MatchString(key) {
				n++
				return v + secrets[n%len(secrets)] + " " + secrets[(n+1)%len(secrets)]
			}
		}
		return v
	}
	out, err := json.Marshal(plant("", v))
	if err != nil {
		panic(err) // it was JSON
	}
	return out
}

// TestSecrets lets a relay go through everything that can go wrong, with
// secrets wherever they can be, and wants none of them in what it prints,
// answers or shows.
func TestSecrets(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	here, names := secretInstallation(t, mattermost)
	relay := here.start("--log-level", "debug")
	good := sendSecrets(t, relay)
	if _, err := mattermost.WaitPosts(soon(t), hookSecret("fine"), good); err != nil {
		t.Error(err)
	}
	for _, name := range names {
		if name != "fine" {
			relay.await(&relay.stderr, regexp.MustCompile(`"address":"`+name+`","attempt":1,`))
		}
	}
	relay.await(&relay.stderr, regexp.MustCompile(`"destination paused","destination":"failing"`))
	for _, page := range []string{"/metrics", "/readyz", "/healthz", "/", "/" + canary} {
		status, body := relay.get(page)
		if page != "/"+canary {
			leaks(t, page, body)
		}
		if page == "/metrics" && (status != 200 || !strings.Contains(body, `result="unauthorized"`)) {
			t.Errorf("/metrics: %d, and no refusal in it", status)
		}
	}
	relay.signal(syscall.SIGTERM)
	relay.exit()
	leaks(t, "the log", relay.stderr.String())
	leaks(t, "standard output", relay.stdout.String())

	again := here.start("--log-level", "debug", "--log-format", "text")
	again.await(&again.stderr, regexp.MustCompile(`msg="delivery attempt"`))
	again.terminate()
	leaks(t, "the log of the second start", again.stderr.String())
	leaks(t, "standard output of the second start", again.stdout.String())
}

// sendSecrets sends what is accepted and what is not, and returns how many
// webhooks are routed.
func sendSecrets(t *testing.T, relay *process) int {
	t.Helper()
	good := 0
	for _, s := range events.Samples() {
		if strings.HasPrefix(s.Name, "system.") || strings.Contains(s.Name, "~") || strings.Contains(s.Name, "update") {
			continue // not routed
		}
		send(t, relay, s.Name, s.Header, planted(s.Body), 202, func(*http.Request) {})
		good++
	}
	body := planted(issue("acme/api", 1, 0))
	send(t, relay, "second token", issueHook, body, 202, func(r *http.Request) { r.Header.Set("X-Gitlab-Token", secondToken) })
	send(t, relay, "basic", issueHook, body, 202, func(r *http.Request) {
		r.Header.Del("X-Gitlab-Token")
		r.SetBasicAuth(basicUser, basicSecret)
	})
	send(t, relay, "signature", issueHook, body, 202, func(r *http.Request) { sign(t, r, signingKey, "id "+firstToken, time.Now(), body) })
	good += 3
	for name, c := range map[string]struct {
		want  int
		spoil func(*http.Request)
	}{
		"part of the token": {401, func(r *http.Request) { r.Header.Set("X-Gitlab-Token", firstToken[:12]) }},
		"wrong password":    {401, func(r *http.Request) { r.Header.Del("X-Gitlab-Token"); r.SetBasicAuth(basicUser, basicSecret+"4") }},
		"key as signature":  {401, func(r *http.Request) { r.Header.Set("Webhook-Signature", signingKey) }},
		"secret path":       {404, func(r *http.Request) { r.URL.Path = "/hooks/" + hookSecret("fine") }},
		"secret method":     {405, func(r *http.Request) { r.Method = "KANARIE" }},
		"secret encoding":   {415, func(r *http.Request) { r.Header.Set("Content-Encoding", canary) }},
		"no JSON":           {400, func(r *http.Request) { setBody(r, []byte(`{"title": `+firstToken)) }},
		"no object":         {400, func(r *http.Request) { setBody(r, []byte(`"`+hookSecret("gone")+`"`)) }},
	} {
		send(t, relay, name, issueHook, body, c.want, c.spoil)
	}
	garbage(t, relay.hook)
	return good
}

func setBody(r *http.Request, body []byte) {
	fresh := webhook(r.Context(), r.URL.String(), issueHook, body)
	r.Body, r.GetBody, r.ContentLength = fresh.Body, fresh.GetBody, fresh.ContentLength
}

// send sends a webhook with secrets all around it, wants this status, and looks
// at the answer.
func send(t *testing.T, relay *process, name, event string, body []byte, want int, spoil func(*http.Request)) {
	t.Helper()
	req := webhook(soon(t), relay.hook+"?token="+url.QueryEscape(firstToken), event, body)
	req.Header.Set("X-Gitlab-Token", firstToken)
	req.Header.Set("X-Custom", secondToken)
	req.Header.Set("User-Agent", "GitLab/"+firstToken)
	req.Header.Set("X-Gitlab-Instance", "https://"+hookSecret("fine")+".example")
	req.Header.Set("X-Gitlab-Event-Uuid", basicSecret)
	spoil(req)
	a, err := roundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != want {
		t.Errorf("%s: answered %d %s, want %d", name, a.status, a.body, want)
	}
	var header bytes.Buffer
	_ = a.header.Write(&header) // into memory
	leaks(t, "the answer to "+name, a.body+header.String())
}

// garbage sends what is no request of HTTP.
func garbage(t *testing.T, hook string) {
	t.Helper()
	u, err := url.Parse(hook)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"KANARIE kanarie kanarie kanarie\r\n\r\n",
		"POST " + u.Path + " HTTP/1.1\r\nHost: h\r\nX-Gitlab-Token : " + firstToken + "\r\n\r\n",
		"POST " + u.Path + " HTTP/1.1\r\nHost: h\r\nX-Gitlab-Token: " + strings.Repeat(canary, 4<<10) + "\r\n\r\n",
		"POST " + u.Path + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + canary + "\r\n\r\n",
		"POST " + u.Path + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nX-Gitlab-Token: " + firstToken + "\r\n\r\n" + canary + "\r\n",
		"\x16\x03\x01" + canary,
	} {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = conn.Write([]byte(text)) // it may hang up in the middle
		var answer bytes.Buffer
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		_, _ = answer.ReadFrom(conn)
		conn.Close()
		leaks(t, "the answer to garbage", answer.String())
	}
}

// TestSecretsOfCommands: the commands print no secret either.
func TestSecretsOfCommands(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	here, names := secretInstallation(t, mattermost)
	here.env = append(here.env, "RELAY_TOKEN="+firstToken)
	payload := here.write("payload.json", string(planted(issue("acme/api", 1, 0))))
	for _, name := range names {
		code, stdout, stderr := here.run("send", "issue.open", "--to", name)
		if want := map[bool]int{true: 0, false: 1}[name == "fine"]; code != want {
			t.Errorf("relay send --to %s: exit code %d, want %d: %s", name, code, want, stderr)
		}
		leaks(t, "relay send --to "+name, stdout+stderr)
	}
	relay := here.start()
	for _, args := range [][]string{
		{"check"},
		{"explain", "issue.open"},
		{"explain", "issue.open", "-o", "json"},
		{"send", payload, "--header", issueHook, "--via", relay.hook},
		{"send", payload, "--header", issueHook, "--via", relay.hook + "?" + canary},
		{"send", payload, "--header", issueHook, "--via", "http://127.0.0.1:1/hooks/" + hookSecret("gone")},
		{"send", payload, "--header", issueHook, "--via", "http://gitlab:" + canary + "@127.0.0.1:1/hooks/gitlab"},
		{"healthcheck", "--admin", relay.admin},
		{"version"},
	} {
		_, stdout, stderr := here.run(args...)
		leaks(t, "relay "+args[0], stdout+stderr)
	}
	_, _, stderr := here.run("explain", payload)
	leaks(t, "standard error of relay explain", stderr)
	_, _, stderr = here.run("preview", payload, "--to", "fine")
	leaks(t, "standard error of relay preview", stderr)
	code, _, _ := here.run("send", "issue.open", "--via", strings.Replace(relay.hook, "/gitlab", "/elsewhere", 1))
	if code != 1 {
		t.Errorf("relay send to a path that is none: exit code %d, want 1", code)
	}
	// A path is logged; what is known as a secret is taken out of it.
	if code, _, _ := here.run("send", "issue.open", "--via", strings.Replace(relay.hook, "/gitlab", "/"+hookSecret("gone"), 1)); code != 1 {
		t.Errorf("relay send to a path that holds a secret: exit code %d, want 1", code)
	}
	relay.terminate()
	leaks(t, "the log", relay.stderr.String())
	for _, path := range []string{`"path":"/hooks/elsewhere"`, `"path":"/hooks/[redacted]"`} {
		if !strings.Contains(relay.stderr.String(), path) {
			t.Errorf("the log does not hold %s", path)
		}
	}
}

// misplaced are configurations with secrets in wrong places, or in the right
// ones of a file that is wrong.
var misplaced = map[string]string{
	"unknown keys":           "sources: {gitlab: {tokens: kanarie, tokn: kanarie, secret: kanarie, secret_token: [kanarie], signing_keys: kanarie}}\n",
	"maps for texts":         "sources: {gitlab: {token: {value: kanarie}, signing_key: {a: [kanarie]}}}\n",
	"no signing key":         "sources: {gitlab: {signing_key: kanarie}}\n",
	"no base64":              "sources: {gitlab: {signing_key: whsec_kanarie!}}\n",
	"text for a source":      "sources: {gitlab: kanarie}\n",
	"password and its file":  "sources: {gitlab: {basic: {username: gitlab, password: kanarie, password_file: nowhere}}}\n",
	"no URL":                 "destinations: {mm: kanarie, nn: {url: kanarie}, oo: {url: \"ftp://kanarie\"}}\n",
	"URL with user":          "destinations: {mm: \"https://kanarie:kanarie@chat.example/hooks/kanarie\"}\n",
	"URL with #":             "destinations: {mm: \"https://chat.example/hooks/kanarie#kanarie\"}\n",
	"URL not to be parsed":   "destinations: {mm: \"https://chat.example/%zz/kanarie\"}\n",
	"URL in clear":           "destinations: {mm: \"https://chat.example/hooks/kanarie\"}\nroutes: [{to: nn}]\n",
	"same URL twice":         "destinations: {mm: \"https://chat.example/hooks/kanarie\", nn: \"https://chat.example/hooks/kanarie\"}\n",
	"mistyped url":           "destinations: {mm: {uri: \"https://chat.example/hooks/kanarie\", hook: \"https://chat.example/hooks/kanarie\", webhook_url: kanarie}}\n",
	"unclosed quote":         "sources: {gitlab: {token: \"kanarie}}\ndestinations: {mm: x}\n",
	"unclosed list":          "sources:\n  gitlab:\n    token: [kanarie, kanarie\ndestinations: {mm: kanarie}\n",
	"tab":                    "sources:\n\tgitlab: {token: kanarie}\n",
	"wrong indentation":      "sources:\n  gitlab:\n    token: kanarie\n   signing_key: kanarie\n",
	"text over lines":        "sources:\n  gitlab:\n    tken: |\n      kanarie\n      kanarie\n",
	"anchor":                 "sources: {gitlab: {token: &t kanarie, wrong: *t}}\n",
	"key twice":              "sources: {gitlab: {token: kanarie, token: kanarie}}\n",
	"plain # in the value":   "sources:\n  gitlab:\n    token: kanarie #kanarie\n    wrong: 1\n",
	"variable in a flow map": "destinations: {mm: ${CANARY}}\n",
	"unset variable":         "sources: {gitlab: {token: \"kanarie${NOT_SET}\"}}\n",
	"no variable":            "sources: {gitlab: {token: \"kanarie${kanarie\"}}\n",
	"variables everywhere":   "sources: {gitlab: {token: \"${CANARY}\", path: \"${CANARY}\", require: \"${CANARY}\"}}\ndestinations: {mm: {url: \"${CANARY}\", kind: \"${CANARY}\", icon: \"${CANARY}\", concurrency: \"${CANARY}\", give_up_after: \"${CANARY}\", channel: \"${CANARY} x\", confidential: \"${CANARY} x\"}}\nroutes: [{to: \"${CANARY}\"}]\nunrouted: \"${CANARY}\"\n",
	"text for all sources":   "sources: kanarie\n",
	"list of sources":        "sources: [kanarie]\n",
	"list for a source":      "sources: {gitlab: [kanarie]}\n",
	"text for basic":         "sources: {gitlab: {basic: \"gitlab:kanarie\"}}\n",
	"variables in routes":    "destinations: {mm: {kind: log}}\nroutes: [{to: mm, when: {projects: \"${CANARY}[\", events: \"${CANARY}\", branches: \"$${CANARY}\", labels: \"${CANARY}*\", actors: \"a ${CANARY}\", paths: \"${CANARY}/\"}}]\n",
	"secret file":            "sources: {gitlab: {token_file: secret}}\ndestinations: {mm: {url_file: secret}}\n",
}

// TestSecretsOfBrokenFiles: neither the mistakes that check finds, nor what
// serve says when it does not start, show a secret.
func TestSecretsOfBrokenFiles(t *testing.T) {
	t.Parallel()
	here := install(t, "")
	here.write("secret", canary+"\x01"+canary)
	here.env = append(here.env, "CANARY="+canary)
	for name, yaml := range misplaced {
		file := here.write(strings.ReplaceAll(name, " ", "-")+".yaml", yaml)
		for _, args := range [][]string{{"check", file}, {"check", file, "-o", "json"}, {"serve", "--config", file, "--data", "data", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}} {
			code, stdout, stderr := here.run(args...)
			if code == 0 {
				t.Errorf("%s: relay %s finds nothing", name, args[0])
			}
			leaks(t, fmt.Sprintf("%s: relay %s", name, args[0]), stdout+stderr)
		}
	}
}

// TestSecretsOfWrongFlags: nor do the environment and the flags.
func TestSecretsOfWrongFlags(t *testing.T) {
	t.Parallel()
	here := install(t, "")
	here.write("relay.yaml", everything("http://127.0.0.1:1/hooks/x")+"sources: {gitlab: {token: \"${TOKEN}\"}}\n")
	for _, u := range []string{
		"nats://relay:kanarie@127.0.0.1:1", "nats://relay:kanarie%zz@127.0.0.1:1", "nats://kanarie@127.0.0.1:1", "relay:kanarie@127.0.0.1:port",
		"tls://relay:kanarie@127.0.0.1:1",
	} {
		code, stdout, stderr := here.run("serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats-url", u)
		if code == 0 {
			t.Errorf("relay serve --nats-url %s: exit code 0", u)
		}
		leaks(t, "relay serve --nats-url "+strings.ReplaceAll(u, canary, "…"), stdout+stderr)
	}
	empty := &installation{t: t, dir: t.TempDir()}
	for _, env := range [][]string{
		{"RELAY_DESTINATION=kanarie", "RELAY_TOKEN=kanarie"},
		{"RELAY_DESTINATION=https://u:kanarie@chat.example/hooks/kanarie", "RELAY_TOKEN=kanarie"},
		{"RELAY_DESTINATION=https://chat.example/%zz/kanarie", "RELAY_TOKEN=kanarie"},
		{"RELAY_DESTINATION=https://chat.example/hooks/kanarie", "RELAY_SIGNING_KEY=kanarie"},
		{"RELAY_DESTINATION=https://chat.example/hooks/kanarie"},
	} {
		empty.env = env
		code, stdout, stderr := empty.run("serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data")
		if code == 0 {
			t.Errorf("relay serve with %v: exit code 0", env)
		}
		leaks(t, "relay serve without a file", stdout+stderr)
	}
}
