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
	"unicode/utf8"

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
func Load(path string, env Env) (*Config, []Finding) { return Reading{Env: env}.Load(path) }

// Inspect is [Load] for those who post nothing, and need not have the secrets:
// a missing one, or a missing ca_file, is a warning. The Config has a
// placeholder in its place; see [Config.Missing].
func Inspect(path string, env Env) (*Config, []Finding) {
	return Reading{Env: env, Loose: true}.Load(path)
}

// Load reads the configuration file at path; see the function [Load].
func (o Reading) Load(path string) (*Config, []Finding) {
	data, err := readFile(o.at(path))
	if err != nil {
		f := Finding{Pos: Pos{File: path}, Message: reason(err)}
		if errors.Is(err, fs.ErrNotExist) {
			f.Hint = "write one, or set RELAY_DESTINATION and RELAY_TOKEN to do without"
		}
		return &Config{Files: []string{path}}, []Finding{f}
	}
	return o.loadBytes(path, data)
}

// readFile reads a file as far as it may be large, and one byte more.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
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
	return Reading{Env: env}.loadBytes(name, data)
}

func (o Reading) loadBytes(name string, data []byte) (*Config, []Finding) {
	env := o.Env
	l := &loading{cfg: &Config{Unrouted: Unrouted{Mode: UnroutedDrop}, Egress: EgressPrivate, Files: []string{name}}, Reading: o, env: env, loose: o.Loose, visits: maxVisited, known: newPeople()}
	info, _ := os.Stat(o.at(name)) // not there: then it cannot include itself
	l.inclusions = []inclusion{{name, info}}
	r, root := l.open(name, data)
	if root != nil {
		r.bounded(func() { r.file(root) })
	}
	if env.value("RELAY_DESTINATION") != "" {
		r.add(Finding{
			Pos: Pos{File: name}, Message: "RELAY_DESTINATION is set beside this file, so that it is not clear what holds",
			Hint: "unset it, or move the destination into the file",
		})
	}
	l.close(r)
	SortFindings(l.found)
	return l.cfg, slices.Compact(l.found)
}

// open starts to read a file. Without a node nothing of it can be read.
func (l *loading) open(name string, data []byte) (*reader, *yaml.Node) {
	r := &reader{loading: l, dir: filepath.Dir(name)}
	if len(data) > maxFileBytes {
		r.text = newText(name, nil)
		r.text.guarded = true
		r.found = []Finding{{Pos: Pos{File: name}, Message: "the file is larger than 1 MB", Hint: "is this the right file?"}}
		return r, nil
	}
	t := newText(name, []byte(strings.TrimPrefix(strings.ToValidUTF8(string(data), "\ufffd"), "\ufeff")))
	r.text, t.data = t, data
	l.cfg.texts = append(l.cfg.texts, t)
	if f := readable(name, data); f != nil {
		t.guarded = true
		r.found = []Finding{*f}
		return r, nil
	}
	root, found := document(t)
	r.found = found
	if root != nil {
		t.markSecrets(root)
	}
	return r, root
}

// close takes over what was found in a file.
func (l *loading) close(r *reader) {
	r.text.seal(r.found)
	for _, f := range r.found {
		l.found = append(l.found, r.text.annotate(f))
	}
}

// file reads the whole file, and those that it includes.
func (r *reader) file(root *yaml.Node) {
	top, ok := r.object(root, "the file", topKeys)
	if !ok {
		return
	}
	cfg := r.cfg
	r.readLists(top)
	r.readTimes(top)
	r.mainLists, r.mainTimes = r.listNames, r.timesNames
	cfg.Sources = r.sources(top)
	cfg.Defaults = r.defaults(top)
	cfg.Destinations = r.destinations(top)
	r.users(top)
	if f, ok := top.fields["ignore"]; ok {
		cfg.Ignore = r.except(f, "ignore", ignoreKeys)
	}
	cfg.Bots = r.bots(top)
	cfg.Egress = r.word(top, "egress", EgressPrivate, EgressPrivate, EgressPublic)
	r.templates(top)
	cfg.Routes = r.routes(top)
	cfg.Unrouted = r.unrouted(top)
	cfg.Report = r.reportTo(top)
	cfg.Tests = r.tests(top)
	r.include(top)
	r.noRoutes(top)
	r.unused()
	r.unusedLists()
	r.unusedTimes()
}

// noRoutes tells of a file that never posts anything.
func (r *reader) noRoutes(top object) {
	routes, has := top.fields["routes"]
	if len(r.cfg.Routes) > 0 || top.has("unrouted") || top.has("include") || top.meant["routes"] || has && isMap(routes.value) {
		return
	}
	at := top.node
	if has {
		at = routes.key
	}
	r.errorf(at, "write routes: [{to: …}]", "there are no routes, so that nothing is ever posted")
}

// unused warns of destinations that nothing names.
func (r *reader) unused() {
	cfg := r.cfg
	if r.lostAddress || len(cfg.Routes) == 0 {
		return
	}
	used := map[string]bool{cfg.Unrouted.Address.Destination: true}
	if cfg.Report != nil {
		used[cfg.Report.Address.Destination] = true
	}
	named := map[string]bool{} // destinations whose channels events name
	for _, route := range cfg.Routes {
		for _, to := range route.To {
			used[to.Address.Destination] = true
			named[to.Address.Destination] = named[to.Address.Destination] || to.Placed()
		}
	}
	for _, d := range cfg.Destinations {
		if !used[d.Name] {
			r.add(Finding{
				Pos: d.Pos, Severity: Warning, Width: len(d.Name),
				Message: fmt.Sprintf("destination %q is never used", d.Name), Hint: "name it in to, or remove it",
			})
		}
		if len(d.Channels) > 0 && !named[d.Name] {
			r.add(Finding{
				Pos: d.Channels[0].Pos, Severity: Warning, Width: utf8.RuneCountInString(d.Channels[0].Text),
				Message: fmt.Sprintf("channels of destination %q has no effect: it bounds addresses with places alone, and no route has any there", d.Name),
				Hint:    "remove it, or write a place: to: \"" + d.Name + "#gl-{project.path}\"",
			})
		}
	}
}

// Locate fills in a finding's source line, for findings about places in the
// configuration that others make.
func (c *Config) Locate(f Finding) Finding {
	for _, t := range c.texts {
		if t.name == f.Pos.File {
			return t.annotate(f)
		}
	}
	return f
}

// FromEnvironment is the configuration of a relay without a file:
// RELAY_DESTINATION is destination "default", RELAY_TOKEN or RELAY_SIGNING_KEY
// the proof of source "gitlab", and one route takes the standard events there.
func FromEnvironment(env Env) (*Config, []Finding) {
	pos := Pos{File: "environment"}
	cfg := &Config{Unrouted: Unrouted{Mode: UnroutedDrop}, Egress: EgressPrivate}
	source, found := sourceFromEnvironment(env, pos)
	cfg.Sources = []Source{source}
	raw, wrong := secretFromEnvironment(env, "RELAY_DESTINATION", pos)
	host, problem := urlProblem(raw)
	switch {
	case len(wrong) > 0:
		found = append(wrong, found...)
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
		Name: "default", Pos: pos, Kind: kindOf(host), URL: NewSecret(raw), RateLimit: defaultRate(kindOf(host)),
		Concurrency: 1, Mentions: MentionsMapped, GiveUpAfter: defaultGiveUpAfter, Timeout: defaultTimeout,
	}}
	if problem == "" && cfg.Destinations[0].slashTooMany() {
		found = append(found, Finding{Pos: pos, Severity: Warning, Message: "RELAY_DESTINATION has a slash too many", Hint: slashHint})
	}
	if problem == "" && cfg.Destinations[0].notIncoming() {
		found = append(found, Finding{
			Pos: pos, Severity: Warning, Message: "RELAY_DESTINATION is not like a URL of Mattermost's incoming webhooks: its path has no /hooks/",
			Hint: "copy it from Integrations > Incoming Webhooks",
		})
	}
	cfg.Routes = []Route{{Name: "default", Pos: pos, To: []To{{Address: Address{Destination: "default"}, Pos: pos}}}}
	return cfg, found
}
