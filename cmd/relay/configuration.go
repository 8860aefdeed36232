package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/formatters"
	"github.com/gitlab-mattermost/relay/routes"
)

// configuration is a relay.yaml with everything made from it.
type configuration struct {
	*configs.Config
	table     *routes.Table
	formatter delivery.Formatter
}

// places are where relay.yaml is looked for.
var places = []string{"relay.yaml", "/etc/relay/relay.yaml"}

const gettingStarted = "write ./relay.yaml, name one with --config, or set RELAY_DESTINATION and RELAY_TOKEN; relay serve --demo needs nothing"

// load reads what --config names, else the first of the places that exists,
// else the environment alone. Warnings are returned; errors are printed.
func (a *app) load(cmd *cobra.Command) (*configuration, []configs.Finding, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, nil, err
	}
	if path == "" {
		path = firstExisting(places)
	}
	if path == "" {
		if _, ok := a.env("RELAY_DESTINATION"); !ok {
			return nil, nil, usage(gettingStarted, "there is no relay.yaml")
		}
		cfg, findings := configs.FromEnvironment(a.env)
		return a.compiled(cfg, findings)
	}
	cfg, findings := configs.Load(path, a.env)
	return a.compiled(cfg, findings)
}

func firstExisting(paths []string) string {
	for _, p := range paths {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			return p
		}
	}
	return ""
}

// compiled finishes a configuration, or prints its errors.
func (a *app) compiled(cfg *configs.Config, findings []configs.Finding) (*configuration, []configs.Finding, error) {
	c, findings, err := compile(cfg, findings)
	if err != nil {
		return nil, nil, err
	}
	if configs.HasErrors(findings) {
		_ = configs.WriteText(a.stderr, findings)
		return nil, findings, &exitError{code: exitUsage, message: "the configuration has errors; nothing was started"}
	}
	return c, findings, nil
}

// compile compiles what was loaded, as far as its errors allow, and returns all
// findings in order.
func compile(cfg *configs.Config, findings []configs.Finding) (*configuration, []configs.Finding, error) {
	set, err := formatters.New()
	if err != nil {
		return nil, nil, fmt.Errorf("compile the built-in templates: %w", err)
	}
	c := &configuration{Config: cfg, formatter: set}
	if cfg != nil {
		table, more := routes.Compile(cfg, vocabulary())
		c.table = table
		for _, f := range more {
			findings = append(findings, cfg.Locate(f))
		}
	}
	configs.SortFindings(findings)
	return c, findings, nil
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
		c.SigningKeys = append(c.SigningKeys, k.Reveal())
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
	}
	for _, d := range c.Destinations {
		all = append(all, d.URL.Reveal(), hookID(d.URL.Reveal()))
	}
	return all
}
