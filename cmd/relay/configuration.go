package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/formatters"
	"github.com/gitlab-mattermost/relay/gitlab"
	"github.com/gitlab-mattermost/relay/routes"
)

// configuration is a relay.yaml with everything made from it.
type configuration struct {
	*configs.Config
	table     *routes.Table
	formatter delivery.Formatter

	loaded time.Time
	broken []brokenFile // fenced files with mistakes
	copied time.Time    // when the copies were made that all of it is from; zero: it is from the files themselves
}

// places are where relay.yaml is looked for.
var places = []string{"relay.yaml", "/etc/relay/relay.yaml"}

// errNoConfiguration: there is no file, and the environment names no
// destination.
var errNoConfiguration = &exitError{
	exitUsage, "there is no relay.yaml",
	"write ./relay.yaml, name one with --config, or set RELAY_DESTINATION and RELAY_TOKEN; relay serve --demo needs nothing",
}

// find says what to load: the file that --config names, else the first of the
// places that exists, else "", the environment alone.
func (a *app) find(cmd *cobra.Command) (path string, err error) {
	path, err = cmd.Flags().GetString("config")
	if err != nil || path != "" {
		return path, err
	}
	for _, p := range places {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			return p, nil
		}
	}
	if destination, _ := a.env("RELAY_DESTINATION"); strings.TrimSpace(destination) == "" {
		return "", errNoConfiguration
	}
	return "", nil
}

// read reads what find found.
func (a *app) read(path string) (*configs.Config, []configs.Finding) {
	if path == "" {
		return configs.FromEnvironment(a.variables())
	}
	return configs.Load(path, a.variables())
}

// inspect is read for commands that post nothing: secrets may be missing.
func (a *app) inspect(path string) (*configs.Config, []configs.Finding) {
	if path == "" {
		return configs.FromEnvironment(a.variables())
	}
	return configs.Inspect(path, a.variables())
}

// inspected loads a configuration for a command that posts nothing, and says
// when secrets are missing.
func (a *app) inspected(path string) (*configuration, error) {
	c, _, err := a.compiled(a.inspect(path))
	if err == nil && c.Missing > 0 {
		fmt.Fprintf(a.stderr, "note: %s not set here, and not needed for this; relay check names what is missing\n", are(c.Missing, "secret"))
	}
	return c, err
}

// loadWithoutSecrets is load for a command that posts nothing.
func (a *app) loadWithoutSecrets(cmd *cobra.Command) (*configuration, error) {
	path, err := a.find(cmd)
	if err != nil {
		return nil, err
	}
	return a.inspected(path)
}

// load reads the configuration. Warnings are returned; errors are printed.
func (a *app) load(cmd *cobra.Command) (*configuration, []configs.Finding, error) {
	path, err := a.find(cmd)
	if err != nil {
		return nil, nil, err
	}
	return a.compiled(a.read(path))
}

// compiled finishes a configuration, or prints its errors.
func (a *app) compiled(cfg *configs.Config, findings []configs.Finding) (*configuration, []configs.Finding, error) {
	c, findings := compile(cfg, findings)
	a.secrets.add(c.secrets()...)
	if errorsIn(findings) > 0 {
		return nil, findings, a.refuse(findings)
	}
	return c, findings, nil
}

// refuse prints what is wrong with a configuration, and is the error of that.
func (a *app) refuse(findings []configs.Finding) error {
	_ = printFindings(a.stderr, findings)
	return &exitError{code: exitUsage, message: "the configuration has " + count(errorsIn(findings), "error")}
}

// compile compiles what was loaded, as far as its errors allow, and returns all
// findings in order.
func compile(cfg *configs.Config, findings []configs.Finding) (*configuration, []configs.Finding) {
	set, found := formatters.Compile(cfg)
	table, more := routes.Compile(cfg, vocabulary())
	for _, f := range slices.Concat(found, more, missingTemplates(cfg, set), gitlab.Check(cfg)) {
		findings = append(findings, cfg.Locate(f))
	}
	if !configs.HasErrors(findings) {
		findings = append(findings, unproved(cfg)...)
	}
	configs.SortFindings(findings)
	return &configuration{Config: cfg, table: table, formatter: set, loaded: time.Now()}, findings
}

// unproved tells of sources whose proof cannot be made of what the file says.
func unproved(cfg *configs.Config) []configs.Finding {
	var findings []configs.Finding
	for _, s := range cfg.Sources {
		if _, err := proof(s); err != nil {
			findings = append(findings, cfg.Locate(configs.Finding{
				Pos: s.Pos, Width: len(s.Name), Message: err.Error(), Hint: "copy it from GitLab once more",
			}))
		}
	}
	return findings
}

// missingTemplates finds the routes whose template is not there.
func missingTemplates(cfg *configs.Config, set *formatters.Set) []configs.Finding {
	var findings []configs.Finding
	for _, r := range cfg.Routes {
		name := r.Look.Template
		if name == "" || set.Has(name) {
			continue
		}
		hint := "relay templates list shows those there are; a directory in templates: adds more"
		if near := configs.Suggest(name, set.Names()); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		findings = append(findings, configs.Finding{Pos: r.TemplatePos, Message: fmt.Sprintf("there is no template %q", name), Hint: hint})
	}
	return findings
}

func vocabulary() routes.Vocabulary {
	return routes.Vocabulary{Kinds: events.Kinds(), Actions: events.Actions}
}

// proof makes the proof of a source.
func proof(s configs.Source) (*events.Proof, error) {
	c := events.ProofConfig{RequireSignature: s.Require == "signature", Insecure: s.Insecure}
	for _, t := range s.Tokens {
		c.Tokens = append(c.Tokens, t.Reveal())
	}
	for _, k := range s.SigningKeys {
		key, problem := configs.SigningKey(k.Reveal())
		if problem != "" {
			return nil, fmt.Errorf("source %q: the signing key %s", s.Name, problem)
		}
		c.SigningKeys = append(c.SigningKeys, key)
	}
	if s.Basic != nil {
		c.BasicUser, c.BasicPassword = s.Basic.Username, s.Basic.Password.Reveal()
	}
	p, err := events.NewProof(c)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", s.Name, err)
	}
	return p, nil
}

// secrets lists every secret value of a configuration, for redaction.
func (c *configuration) secrets() []string {
	var all []string
	for _, s := range c.Sources {
		for _, t := range append(append([]configs.Secret(nil), s.Tokens...), s.SigningKeys...) {
			all = append(all, t.Reveal())
		}
		if s.Basic != nil {
			all = append(all, s.Basic.Password.Reveal())
		}
		if s.API != nil {
			all = append(all, s.API.Token.Reveal())
		}
	}
	for _, d := range c.Destinations {
		all = append(all, hookSecrets(d.URL.Reveal())...)
	}
	return all
}

// hookSecrets are the URL of an incoming webhook and the parts of it that are
// credentials: its id, and what stands in the query.
func hookSecrets(raw string) []string {
	all := []string{raw}
	u, err := url.Parse(raw)
	if err != nil {
		return all
	}
	all = append(all, hookID(raw))
	for _, values := range u.Query() {
		all = append(all, values...)
	}
	return all
}

// hookID is the path's last segment, for Slack too.
func hookID(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Path[strings.LastIndexByte(u.Path, '/')+1:]
}
