package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/gitlab-mattermost/relay/configs"
)

// composeSecrets stand in for the .env of a user.
var composeSecrets = map[string]string{
	"RELAY_TOKEN":         "token0of0gitlab0webhooks",
	"POSTGRES_PASSWORD":   "password0of0postgres",
	"MATTERMOST_PASSWORD": "password0of0admin",
}

// loadCompose reads docker-compose.yml as `docker compose` would, with nothing
// in the environment but these variables.
func loadCompose(ctx context.Context, variables map[string]string) (*types.Project, error) {
	var env []string
	for k, v := range variables {
		env = append(env, k+"="+v)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")},
		cli.WithWorkingDirectory(root), cli.WithEnv(env), cli.WithResolvedPaths(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}

func compose(t *testing.T) *types.Project {
	t.Helper()
	project, err := loadCompose(t.Context(), composeSecrets)
	if err != nil {
		t.Fatalf("load docker-compose.yml: %v", err)
	}
	return project
}

func TestComposeServices(t *testing.T) {
	project := compose(t)
	names := project.ServiceNames()
	slices.Sort(names)
	if diff := cmp.Diff([]string{"mattermost", "nats", "postgres", "relay", "setup"}, names); diff != "" {
		t.Fatalf("services (-want +got):\n%s", diff)
	}
	for name, service := range project.Services {
		checkPinned(t, "service "+name, service.Image)
		if name == "setup" {
			continue // runs once
		}
		if service.HealthCheck == nil || len(service.HealthCheck.Test) == 0 {
			t.Errorf("service %s has no health check", name)
		}
		if service.Restart == "" {
			t.Errorf("service %s stays down after a reboot", name)
		}
	}
	if got, want := project.Services["relay"].DependsOn["setup"].Condition, types.ServiceConditionCompletedSuccessfully; got != want {
		t.Errorf("the relay waits for setup to be %q, want %q: it reads what setup writes", got, want)
	}
	for _, name := range []string{"nats", "postgres"} {
		if ports := project.Services[name].Ports; len(ports) > 0 {
			t.Errorf("service %s is open to the host: %v", name, ports)
		}
	}
	if _, shared := project.Services["mattermost"].Networks["queue"]; shared {
		t.Error("Mattermost, with its plugins, reaches the NATS server")
	}
}

// TestComposeHealthChecks knows which programs the images hold: a check that
// asks for another one never turns green.
func TestComposeHealthChecks(t *testing.T) {
	project := compose(t)
	tests := map[string]struct{ image, program string }{
		"nats":       {"-alpine", "wget"},                                              // busybox; the plain tag is made from scratch
		"mattermost": {"mattermost/mattermost-team-edition:", "/mattermost/bin/mmctl"}, // no shell and no curl since 10.12
		"postgres":   {"postgres:", "pg_isready"},                                      // comes with every PostgreSQL
		"relay":      {"gitlab-mattermost/relay:", "/relay"},                           // the image has this one program
	}
	for name, tt := range tests {
		service := project.Services[name]
		if !strings.Contains(service.Image, tt.image) {
			t.Errorf("service %s: image %s, but its check is written for one with %q", name, service.Image, tt.image)
		}
		if check := service.HealthCheck.Test; len(check) < 2 || check[0] != "CMD" || check[1] != tt.program {
			t.Errorf("service %s: health check %q, want CMD %s …", name, check, tt.program)
		}
	}
	if env := project.Services["mattermost"].Environment["MM_SERVICESETTINGS_ENABLELOCALMODE"]; env == nil || *env != "true" {
		t.Error("mmctl --local finds no socket: MM_SERVICESETTINGS_ENABLELOCALMODE is not true")
	}
	if check, entry := project.Services["relay"].HealthCheck.Test[1:], dockerfile(t).healthcheck; !slices.Equal(check, entry) {
		t.Errorf("the relay's health check is %q here and %q in the Dockerfile", check, entry)
	}
}

func TestComposeWantsItsSecrets(t *testing.T) {
	for missing := range composeSecrets {
		without := maps.Clone(composeSecrets)
		delete(without, missing)
		_, err := loadCompose(t.Context(), without)
		if err == nil || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), "configs/compose/env.example") {
			t.Errorf("without %s: %v; want an error that names it and the example", missing, err)
		}
	}

	example, err := os.ReadFile(filepath.Join(root, "configs/compose/env.example"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^([A-Z_]+)=(.*)$`).FindAllStringSubmatch(string(example), -1) {
		names = append(names, m[1])
		if m[2] != "" {
			t.Errorf("env.example has a value for %s: everybody would keep it", m[1])
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(composeSecrets)), names); diff != "" {
		t.Errorf("variables of env.example (-want +got):\n%s", diff)
	}
}

// TestComposeMounts checks that what is mounted from the project is there: an
// engine makes an empty folder of a path that is not.
func TestComposeMounts(t *testing.T) {
	for name, service := range compose(t).Services {
		for _, v := range service.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if !v.ReadOnly {
				t.Errorf("service %s may write to %s", name, v.Source)
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("service %s: %v", name, err)
			}
		}
	}
}

// mounted is the file of the project that a service sees at a path.
func mounted(t *testing.T, service types.ServiceConfig, target string) string {
	t.Helper()
	for _, v := range service.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if rest, ok := strings.CutPrefix(target, v.Target); ok {
			return filepath.Join(v.Source, rest)
		}
	}
	t.Fatalf("service %s has nothing of the project at %s", service.Name, target)
	return ""
}

func TestComposeNATS(t *testing.T) {
	project := compose(t)
	nats := project.Services["nats"]
	at := slices.Index(nats.Command, "--config")
	if at < 0 || at+1 == len(nats.Command) {
		t.Fatalf("nats-server is started without --config: %q", nats.Command)
	}
	options, err := server.ProcessConfigFile(mounted(t, nats, nats.Command[at+1]))
	if err != nil {
		t.Fatalf("nats-server refuses its configuration: %v", err)
	}
	if !options.JetStream {
		t.Error("JetStream is off")
	}
	if !options.SyncAlways {
		t.Error("writes are not always synced: a power cut loses accepted webhooks")
	}
	if largest := int32(25<<20 + 25<<20/32 + 1<<20); options.MaxPayload < largest {
		t.Errorf("max_payload %d: a webhook of 25 MiB needs %d", options.MaxPayload, largest)
	}
	if streams := int64(1<<30 + 1<<30 + 256<<20 + 256<<20); options.JetStreamMaxStore < streams {
		t.Errorf("max_file_store %d: the relay's streams reserve %d", options.JetStreamMaxStore, streams)
	}
	if !slices.ContainsFunc(nats.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Type == types.VolumeTypeVolume && v.Target == options.StoreDir
	}) {
		t.Errorf("store_dir %s is on no volume: it ends with the container", options.StoreDir)
	}
	url := project.Services["relay"].Environment["RELAY_NATS_URL"]
	if want := fmt.Sprintf("nats://nats:%d", options.Port); url == nil || *url != want {
		t.Errorf("the relay asks NATS at %v, want %s", url, want)
	}
	if want := "nats:" + strings.TrimPrefix(server.VERSION, "v") + "-alpine"; nats.Image != want {
		t.Errorf("image %s, want %s, the version that the relay embeds and its tests ran against", nats.Image, want)
	}
}

// TestComposeRelayVariables holds docker-compose.yml and the Dockerfile against
// what the binary itself says.
func TestComposeRelayVariables(t *testing.T) {
	t.Parallel()
	known := relayVariables(t)
	relay := compose(t).Services["relay"]
	for name := range relay.Environment {
		if !known[name] {
			t.Errorf("docker-compose.yml: the relay reads no %s", name)
		}
	}
	for name := range dockerfile(t).env {
		if !known[name] {
			t.Errorf("Dockerfile: the relay reads no %s", name)
		}
	}
	flags := relayFlags(t, "serve")
	for _, arg := range append(slices.Clone(relay.Command), dockerfile(t).command...) {
		if name, ok := strings.CutPrefix(arg, "--"); ok {
			name, _, _ = strings.Cut(name, "=")
			if !flags[name] {
				t.Errorf("relay serve has no flag --%s", name)
			}
		}
	}
}

// TestComposeRoutes loads the routes with the file that setup leaves.
func TestComposeRoutes(t *testing.T) {
	relay := compose(t).Services["relay"]
	path := relay.Environment["RELAY_CONFIG"]
	if path == nil {
		t.Fatal("RELAY_CONFIG is not set")
	}
	data, err := os.ReadFile(mounted(t, relay, *path))
	if err != nil {
		t.Fatal(err)
	}
	setup := compose(t).Services["setup"].Environment["URL_FILE"]
	if setup == nil || !strings.Contains(string(data), "url_file: "+*setup) {
		t.Fatal("the relay does not read the URL where setup leaves it")
	}
	written := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(written, []byte("http://mattermost:8065/hooks/abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), *setup, written)
	env := func(name string) (string, bool) {
		v := relay.Environment[name]
		if v == nil {
			return "", false
		}
		return *v, true
	}
	config, findings := configs.LoadBytes("relay.yaml", []byte(text), env)
	for _, f := range findings {
		t.Errorf("%s: %s", f.Pos, f.Message)
	}
	if len(config.Routes) == 0 || len(config.Destinations) != 1 || config.Destinations[0].URL.Reveal() != "http://mattermost:8065/hooks/abc" {
		t.Error("the configuration has no route to the webhook that setup made")
	}
}

// mattermost is as much of Mattermost's API as setup.sh uses.
type mattermost struct {
	t       *testing.T
	user    bool // made before
	team    bool
	refuses string // a path that is answered with 500
	calls   []string
}

func (m *mattermost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v4")
	m.calls = append(m.calls, r.Method+" "+path)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		m.t.Error(err)
	}
	var sent map[string]string
	if len(body) > 0 {
		if err := json.Unmarshal(body, &sent); err != nil {
			m.t.Errorf("%s %s: %v in %s", r.Method, path, err, body)
		}
	}
	answer := func(code int, body string) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
	if r.Header.Get("Authorization") != "Bearer session1" && !strings.HasPrefix(path, "/users") {
		answer(401, `{"id":"api.context.session_expired.app_error","status_code":401}`)
		return
	}
	const id = "abcdefghijklmnopqrstuvwxy"
	switch call := r.Method + " " + path; {
	case path == m.refuses:
		answer(500, `{"id":"app.broken.app_error","message":"broken","status_code":500}`)
	case call == "POST /users" && m.user:
		answer(400, `{"id":"app.user.save.username_exists.app_error","status_code":400}`)
	case call == "POST /users":
		m.expect(sent, "password", `qu"ote\back slash`)
		answer(201, `{"id":"`+id+`1","username":"admin"}`)
	case call == "POST /users/login":
		m.expect(sent, "password", `qu"ote\back slash`)
		w.Header().Set("Token", "session1")
		answer(200, `{"id":"`+id+`1"}`)
	case call == "GET /teams/name/dev" && !m.team:
		answer(404, `{"id":"app.team.get_by_name.missing.app_error","status_code":404}`)
	case call == "GET /teams/name/dev", call == "POST /teams":
		answer(201, `{"id":"`+id+`2","create_at":1,"policy_id":"`+id+`9"}`)
	case call == "GET /teams/"+id+"2/channels/name/town-square":
		answer(200, `{"id":"`+id+`3","team_id":"`+id+`2"}`)
	case call == "POST /hooks/incoming":
		m.expect(sent, "channel_id", id+"3")
		answer(201, `{"create_at":1,"user_id":"`+id+`1","id":"`+id+`4","channel_id":"`+id+`3"}`)
	default:
		m.t.Errorf("unexpected %s", call)
		answer(404, "")
	}
}

func (m *mattermost) expect(sent map[string]string, key, want string) {
	if sent[key] != want {
		m.t.Errorf("%s %q, want %q", key, sent[key], want)
	}
}

// TestComposeSetup runs the script of the service "setup".
func TestComposeSetup(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	script := mounted(t, compose(t).Services["setup"], "/setup.sh")
	tests := []struct {
		name    string
		chat    mattermost
		file    string // what is there before
		want    string // the path of the URL that is there after; empty: none
		calls   int
		failure string // printed by a script that fails
	}{
		{name: "a fresh Mattermost", want: "/hooks/abcdefghijklmnopqrstuvwxy4", calls: 6},
		{name: "the volume with the URL was lost", chat: mattermost{user: true, team: true}, want: "/hooks/abcdefghijklmnopqrstuvwxy4", calls: 5},
		{name: "all is done", file: "/hooks/old", want: "/hooks/old"},
		{name: "login fails", chat: mattermost{refuses: "/users/login"}, calls: 2, failure: "broken"},
		{name: "no webhook", chat: mattermost{refuses: "/hooks/incoming"}, calls: 6, failure: "Mattermost made no incoming webhook"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			chat := tt.chat
			chat.t = t
			api := httptest.NewServer(&chat)
			defer api.Close()
			file := filepath.Join(t.TempDir(), "url")
			if tt.file != "" {
				if err := os.WriteFile(file, []byte(api.URL+tt.file+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			run := exec.CommandContext(t.Context(), "sh", script)
			run.Env = []string{
				"PATH=" + os.Getenv("PATH"),
				"MATTERMOST_URL=" + api.URL,
				`MATTERMOST_PASSWORD=qu"ote\back slash`,
				"URL_FILE=" + file,
				fmt.Sprintf("URL_OWNER=%d:%d", os.Getuid(), os.Getgid()),
			}
			out, err := run.CombinedOutput()
			if failed := err != nil; failed != (tt.failure != "") {
				t.Fatalf("the script ended with %v:\n%s", err, out)
			}
			if !strings.Contains(string(out), tt.failure) {
				t.Errorf("output lacks %q:\n%s", tt.failure, out)
			}
			if len(chat.calls) != tt.calls {
				t.Errorf("%d calls, want %d: %q", len(chat.calls), tt.calls, chat.calls)
			}
			checkURLFile(t, file, api.URL, tt.want)
			if strings.Contains(string(out), "/hooks/a") || strings.Contains(string(out), "session1") || strings.Contains(string(out), "slash") {
				t.Errorf("a secret is printed:\n%s", out)
			}
		})
	}
}

func checkURLFile(t *testing.T, file, url, want string) {
	t.Helper()
	got, err := os.ReadFile(file)
	switch {
	case want == "" && !os.IsNotExist(err):
		t.Errorf("a file is left by a script that failed: %q, %v", got, err)
	case want != "" && string(got) != url+want+"\n":
		t.Errorf("file holds %q, %v; want %q", got, err, url+want+"\n")
	}
	if want == "" {
		return
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the secret's file has mode %o, want 600", info.Mode().Perm())
	}
}
