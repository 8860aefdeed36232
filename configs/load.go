package configs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Env looks up an environment variable, as os.LookupEnv does.
type Env func(name string) (value string, set bool)

// value is a variable of the relay's own without space around it; one set to
// nothing is as good as unset.
func (env Env) value(name string) string {
	if v, set := env(name); set {
		return strings.TrimSpace(v)
	}
	return ""
}

// Load reads the configuration file at path and the secret files it names.
// The Config is never nil; it is fit for use only when no finding is an error,
// and else serves to look for further mistakes (routes.Compile).
func Load(path string, env Env) (*Config, []Finding) {
	data, err := readFile(path)
	if err != nil {
		f := Finding{Pos: Pos{File: path}, Message: reason(err)}
		if errors.Is(err, fs.ErrNotExist) {
			f.Hint = "write one, or set RELAY_DESTINATION and RELAY_TOKEN to do without"
		}
		return &Config{Files: []string{path}}, []Finding{f}
	}
	return LoadBytes(path, data, env)
}

// readFile reads a file as far as it may be large, and one byte more.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileBytes+1))
}

// LoadBytes is [Load] for a text at hand. The name is what findings call the
// file; relative paths in it start at its folder.
func LoadBytes(name string, data []byte, env Env) (*Config, []Finding) {
	cfg := &Config{Unrouted: Unrouted{Mode: UnroutedDrop}, Files: []string{name}}
	if len(data) > maxFileBytes {
		return cfg, []Finding{{Pos: Pos{File: name}, Message: "the file is larger than 1 MB", Hint: "is this the right file?"}}
	}
	t := newText(name, []byte(strings.TrimPrefix(strings.ToValidUTF8(string(data), "\ufffd"), "\ufeff")))
	cfg.text = t
	if f := readable(name, data); f != nil {
		t.guarded = true
		t.seal([]Finding{*f})
		return cfg, []Finding{t.annotate(*f)}
	}
	root, found := document(t)
	r := &reader{text: t, env: env, dir: filepath.Dir(name), found: found}
	if root != nil {
		t.markSecrets(root)
		r.file(root, cfg)
	}
	if env.value("RELAY_DESTINATION") != "" {
		r.found = append(r.found, Finding{
			Pos: Pos{File: name}, Message: "RELAY_DESTINATION is set beside this file, so that it is not clear what holds",
			Hint: "unset it, or move the destination into the file",
		})
	}
	cfg.Files = append(cfg.Files, r.files...)
	t.seal(r.found)
	for i, f := range r.found {
		r.found[i] = t.annotate(f)
	}
	SortFindings(r.found)
	return cfg, slices.Compact(r.found)
}

// file reads the whole file.
func (r *reader) file(root *yaml.Node, cfg *Config) {
	top, ok := r.object(root, "the file", topKeys...)
	if !ok {
		return
	}
	cfg.Sources = r.sources(top)
	cfg.Defaults = r.defaults(top)
	cfg.Destinations = r.destinations(top)
	cfg.Routes = r.routes(top, cfg.Destinations)
	cfg.Unrouted = r.unrouted(top, cfg.Destinations)
	r.noRoutes(top, cfg)
	r.unused(cfg)
}

// noRoutes tells of a file that never posts anything.
func (r *reader) noRoutes(top object, cfg *Config) {
	routes, has := top.fields["routes"]
	if len(cfg.Routes) > 0 || top.has("unrouted") || top.meant["routes"] || has && routes.value.Kind == yaml.MappingNode {
		return
	}
	at := top.node
	if has {
		at = routes.key
	}
	r.errorf(at, "write routes: [{to: …}]", "there are no routes, so that nothing is ever posted")
}

// unused warns of destinations that nothing names.
func (r *reader) unused(cfg *Config) {
	if r.lostAddress || len(cfg.Routes) == 0 {
		return
	}
	used := map[string]bool{cfg.Unrouted.Address.Destination: true}
	for _, route := range cfg.Routes {
		for _, to := range route.To {
			used[to.Address.Destination] = true
		}
	}
	for _, d := range cfg.Destinations {
		if !used[d.Name] {
			r.found = append(r.found, Finding{
				Pos: d.Pos, Severity: Warning, Width: len(d.Name),
				Message: fmt.Sprintf("destination %q is never used", d.Name), Hint: "name it in to, or remove it",
			})
		}
	}
}

// Locate fills in a finding's source line, for findings about places in the
// configuration that others make.
func (c *Config) Locate(f Finding) Finding {
	if c.text == nil {
		return f
	}
	return c.text.annotate(f)
}

// FromEnvironment is the configuration of a relay without a file:
// RELAY_DESTINATION is destination "default", RELAY_TOKEN or RELAY_SIGNING_KEY
// the proof of source "gitlab", and one route takes the standard events there.
func FromEnvironment(env Env) (*Config, []Finding) {
	pos := Pos{File: "environment"}
	cfg := &Config{Unrouted: Unrouted{Mode: UnroutedDrop}}
	source, found := sourceFromEnvironment(env, pos)
	cfg.Sources = []Source{source}
	raw := env.value("RELAY_DESTINATION")
	host, problem := urlProblem(raw)
	switch {
	case raw == "":
		found = append([]Finding{{
			Pos: pos, Message: "there is no relay.yaml, and RELAY_DESTINATION is not set",
			Hint: "write relay.yaml, or set RELAY_DESTINATION to the URL of an incoming webhook",
		}}, found...)
	case problem != "":
		found = append([]Finding{{
			Pos: pos, Message: "RELAY_DESTINATION " + problem, Hint: "it looks like https://chat.example/hooks/xxxxxxxx",
		}}, found...)
	}
	cfg.Destinations = []Destination{{
		Name: "default", Pos: pos, Kind: kindOf(host), URL: NewSecret(raw),
		Concurrency: 1, GiveUpAfter: defaultGiveUpAfter,
	}}
	cfg.Routes = []Route{{Name: "default", Pos: pos, To: []To{{Address: Address{Destination: "default"}, Pos: pos}}}}
	return cfg, found
}
