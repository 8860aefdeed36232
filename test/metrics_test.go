package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v4"

	"github.com/gitlab-mattermost/relay/test/chat"
)

const (
	rulesPath     = "deploy/prometheus/relay.rules.yml"
	dashboardPath = "deploy/grafana/relay-overview.json"
	panelsPath    = "deploy/grafana/panels.tsv"
)

// ruleFile is the alerts that are shipped.
type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func alerts(t *testing.T) ruleFile {
	t.Helper()
	var f ruleFile
	if err := yaml.Unmarshal([]byte(docPage(t, rulesPath)), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// panelQueries are the queries of the dashboard, by the titles of the panels.
func panelQueries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(docPage(t, panelsPath)) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); f[0] != "row" {
			all[f[1]] = f[4]
		}
	}
	return all
}

// metered is a relay that has accepted, refused, delivered and kept waiting.
func metered(t *testing.T) *process {
	t.Helper()
	mattermost := chatServer(t)
	mattermost.Set("down", chat.Status(http.StatusServiceUnavailable, nil, ""))
	here := install(t, fmt.Sprintf("destinations: {mm: {url: %q, give_up_after: 72h}, down: %q}\nroutes: [{name: All, to: [mm, down]}]\n",
		mattermost.URL("hook"), mattermost.URL("down")))
	relay := here.start()
	relay.accept("Issue Hook", issue("acme/api", 1, 100))
	wrong := webhook(soon(t), relay.hook, "Issue Hook", issue("acme/api", 2, 100))
	wrong.Header.Set("X-Gitlab-Token", "wrong")
	if a, err := roundTrip(wrong); err != nil || a.status != http.StatusUnauthorized {
		t.Fatalf("a wrong token is answered with %d, %v", a.status, err)
	}
	if _, err := mattermost.WaitPosts(soon(t), "hook", 1); err != nil {
		t.Fatal(err)
	}
	return relay
}

func scrape(t *testing.T, relay *process) (page string, families map[string]*dto.MetricFamily) {
	t.Helper()
	status, page := relay.get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics answers %d", status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return page, families
}

var (
	selector = regexp.MustCompile(`\b((?:relay|process)_[a-z_]+)(\{[^}]*\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	grouping = regexp.MustCompile(`\b(?:by|on) \(([a-z_, ]+)\)`)
)

// unknownIn lists the metrics and labels of a query that a relay does not have.
func unknownIn(query string, families map[string]*dto.MetricFamily) (unknown []string) {
	labels := map[string]bool{"job": true, "instance": true, "le": true}
	for _, m := range selector.FindAllStringSubmatch(query, -1) {
		f := families[m[1]]
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if f == nil {
				f = families[strings.TrimSuffix(m[1], suffix)]
			}
		}
		if f == nil {
			unknown = append(unknown, m[1])
			continue
		}
		own := map[string]bool{"job": true, "instance": true, "le": true}
		for _, metric := range f.Metric {
			for _, l := range metric.Label {
				own[l.GetName()], labels[l.GetName()] = true, true
			}
		}
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !own[l[1]] {
				unknown = append(unknown, m[1]+"{"+l[1]+"}")
			}
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(query, -1) {
		for name := range strings.SplitSeq(m[1], ",") {
			if name = strings.TrimSpace(name); !labels[name] {
				unknown = append(unknown, "by "+name)
			}
		}
	}
	return unknown
}

// rare are metrics that are there only after something has happened that does not
// happen here.
var rare = regexp.MustCompile(`^(relay_template_errors_total|relay_config_file_broken)|by (template|file)$`)

// The metrics are named as Prometheus wishes; alerts and dashboard name metrics and
// labels that there are.
func TestMetricsAlertsAndDashboardAgree(t *testing.T) {
	t.Parallel()
	page, families := scrape(t, metered(t))
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, dest := range []string{"mm", "down"} {
		for _, series := range []string{`relay_deliveries_total{destination="%s",outcome="dead"} 0`, `relay_deliveries_total{destination="%s",outcome="delivered"}`, `relay_delivery_attempts_total{destination="%s",reason="ok"}`} {
			if s := fmt.Sprintf(series, dest); !strings.Contains(page, s) {
				t.Errorf("there is no %s: its first increase would not be seen", s)
			}
		}
	}
	queries := panelQueries(t)
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			queries["alert "+r.Alert] = r.Expr
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("the alert %s lacks a severity, a summary or a description", r.Alert)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		for _, unknown := range unknownIn(queries[name], families) {
			if !rare.MatchString(unknown) {
				t.Errorf("%s: the relay has no %s", name, unknown)
			}
		}
	}
	if got := unknownIn(`sum by (nothing) (relay_deliveries_total{color="red"}) / relay_nothing`, families); len(got) != 3 {
		t.Errorf("what there is not is not found: %v", got)
	}
}

// The page lists the alerts that are shipped, in their order.
func TestAlertsAreDocumented(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(docPage(t, "docs/operations.md"), "<!-- alerts -->")
	table, _, _ = strings.Cut(table, "<!-- end of alerts -->")
	var listed, shipped []string
	for _, m := range regexp.MustCompile(`(?m)^\| (Relay\w+) \|`).FindAllStringSubmatch(table, -1) {
		listed = append(listed, m[1])
	}
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			shipped = append(shipped, r.Alert)
		}
	}
	if diff := cmp.Diff(shipped, listed); diff != "" {
		t.Errorf("docs/operations.md lists other alerts (-shipped +listed):\n%s", diff)
	}
}

// The dashboard that is shipped is the one of the table.
func TestDashboardIsOfItsTable(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "run", "./deploy/grafana")
	cmd.Dir = root
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != docPage(t, dashboardPath) {
		t.Errorf("%s is another one: go run ./deploy/grafana > %s", dashboardPath, dashboardPath)
	}
	var dashboard struct {
		UID    string
		Panels []struct{ ID int }
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		ids[p.ID] = true
	}
	if dashboard.UID != "relay-overview" || len(ids) != len(dashboard.Panels) || len(ids) < len(panelQueries(t)) {
		t.Errorf("uid %q, %d panels with %d ids", dashboard.UID, len(dashboard.Panels), len(ids))
	}
}

// promtool runs Prometheus's own check of files, where it is installed.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	out, err := exec.Command(tool, args...).CombinedOutput()
	return string(out), err
}

// The alerts fire when they should, and two rules that were documented before do not
// pass the same tests: a dead letter in a new series, and a quiet GitLab that is
// always refused, raised no alert.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	if out, err := promtool(t, "check", "rules", filepath.Join(root, rulesPath)); err != nil {
		t.Fatal(out)
	}
	folder := filepath.Dir(rulesPath)
	if out, err := promtool(t, "test", "rules", filepath.Join(root, folder, "relay.rules.test.yml")); err != nil {
		t.Fatal(out)
	}
	old := docPage(t, rulesPath)
	for _, r := range []struct{ alert, expr string }{
		{"RelayDeadLetters", `sum by (job, destination) (increase(relay_deliveries_total{outcome="dead"}[1h])) > 0`},
		{"RelayWebhooksRefused", `sum by (job, source) (rate(relay_webhooks_received_total{result!="accepted"}[10m])) > 0.05`},
	} {
		rule := regexp.MustCompile(`(?s)(- alert: ` + r.alert + `\n)        expr: .*?\n(        (?:for|labels):)`)
		old = rule.ReplaceAllString(old, "${1}        expr: "+strings.ReplaceAll(r.expr, "$", "$$")+"\n${2}")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"relay.rules.yml": old, "test.yml": docPage(t, folder+"/relay.rules.test.yml")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := promtool(t, "test", "rules", filepath.Join(dir, "test.yml"))
	for _, alert := range []string{"RelayDeadLetters", "RelayWebhooksRefused"} {
		if err == nil || !strings.Contains(out, "alertname: "+alert) {
			t.Errorf("the old rule of %s passes: %v\n%s", alert, err, out)
		}
	}
}

// Every panel shows something of a relay that Prometheus has scraped for some seconds.
func TestDashboardShowsALiveRelay(t *testing.T) {
	t.Parallel()
	prometheus, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed")
	}
	relay := metered(t)
	dir, address := t.TempDir(), freeAddress(t)
	config := fmt.Sprintf("global: {scrape_interval: 500ms, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs: [{job_name: relay, static_configs: [{targets: [%q]}]}]\n", mustAbs(t, rulesPath), relay.admin)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log output
	cmd := exec.Command(prometheus, "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	queries := panelQueries(t)
	variables := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*", "$destination", ".*")
	for ctx := soon(t); len(queries) > 0; {
		for title, query := range queries {
			if values(address, variables.Replace(query)) > 0 {
				delete(queries, title)
			}
		}
		relay.accept("Issue Hook", issue("acme/api", int(time.Now().UnixNano()%1e9), 100)) // rates need something that goes on
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("these panels show nothing: %q\n%s", slices.Sorted(maps.Keys(queries)), tailOf(log.String()))
		}
	}
	res, err := http.Get("http://" + address + "/api/v1/rules")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Contains(text, []byte(`"health":"ok"`)) || bytes.Contains(text, []byte(`"health":"err"`)) {
		t.Errorf("a rule cannot be evaluated: %v %s", err, text)
	}
}

// values is how many series a query has in a Prometheus; 0 while it does not answer.
func values(address, query string) int {
	res, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	var answer struct {
		Data struct{ Result []json.RawMessage }
	}
	if json.NewDecoder(res.Body).Decode(&answer) != nil {
		return 0
	}
	return len(answer.Data.Result)
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
