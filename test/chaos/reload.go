package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// reloads changes relay.yaml under load, for better and worse.
var reloads = scenario{
	name: "reloads", ci: 40, full: 1000,
	what: "relay.yaml is reloaded at 100 webhooks a second: good files, broken files, half-written files, unknown keys, alias bombs, endless templates, symbolic links that change, files that disappear.",
	run: func(ctx context.Context, b *bench) error {
		r, err := b.rig(b.ordinary(8))
		if err != nil {
			return err
		}
		if r.mustStart(ctx) != nil {
			return nil
		}
		before := r.gauges(ctx)
		l := r.load(ctx, 100)
		for n := range b.count {
			if !pause(ctx, b.random.between(20*time.Millisecond, 120*time.Millisecond)) || !r.expectAlive() {
				break
			}
			r.reload(ctx, changes[b.random.IntN(len(changes))], n)
		}
		if err := r.configure(r.plan.yaml()); err != nil {
			return err
		}
		r.reload(ctx, change{"good", true, func(yaml string, n int) string { return yaml }}, 0)
		l.stop()
		r.drain(ctx, 60*time.Second)
		b.add("reloads", b.count)
		r.settled(ctx, before)
		r.finish(ctx, rules{}, 60*time.Second)
		return nil
	},
}

// change is one way to change relay.yaml; good tells whether it may come into
// force.
type change struct {
	name string
	good bool
	make func(yaml string, n int) string
}

var changes = []change{
	{"good", true, func(yaml string, n int) string { return fmt.Sprintf("# %d\n%s", n, yaml) }},
	{"another look", true, func(yaml string, n int) string { return fmt.Sprintf("defaults: {username: GitLab %d}\n%s", n, yaml) }},
	{"no YAML", false, func(yaml string, _ int) string { return yaml + "\n]: {" }},
	{"an unknown key", false, func(yaml string, _ int) string { return yaml + "colour: red\n" }},
	{"the same key twice", false, func(yaml string, _ int) string { return yaml + "routes: []\n" }},
	{"half of it", false, func(yaml string, _ int) string { return yaml[:len(yaml)/2] }},
	{"nothing", false, func(string, int) string { return "" }},
	{"10 MB", false, func(yaml string, _ int) string { return yaml + "x: \"" + strings.Repeat("x", 10<<20) + "\"\n" }},
	{"an alias bomb", false, func(yaml string, _ int) string {
		bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
		for i := range 8 {
			bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9)+fmt.Sprintf("*a%d", i))
		}
		return bomb + yaml
	}},
	{"a template without end", false, func(yaml string, _ int) string { return "templates: [standard, ./endless]\n" + yaml }},
}

// endless is a template that would never be done.
const endless = `{{define "headline"}}{{range 1000000000000}}x{{end}}{{end}}`

// reload writes a relay.yaml in one of the ways that editors and deployments
// do, and asks for it.
func (r *rig) reload(ctx context.Context, c change, n int) {
	path := filepath.Join(r.dir, "relay.yaml")
	if err := os.MkdirAll(filepath.Join(r.dir, "endless"), 0o700); err == nil {
		err = os.WriteFile(filepath.Join(r.dir, "endless", "push.md.tmpl"), []byte(endless), 0o600)
		if err != nil {
			r.b.violate(crash, "%v", err)
		}
	}
	text := c.make(r.plan.yaml(), n)
	var err error
	switch n % 4 {
	case 0: // in place
		err = os.WriteFile(path, []byte(text), 0o600)
	case 1: // beside, and renamed
		if err = os.WriteFile(path+".new", []byte(text), 0o600); err == nil {
			err = os.Rename(path+".new", path)
		}
	case 2: // gone for a moment
		_ = os.Remove(path)
		err = os.WriteFile(path, []byte(text), 0o600)
	case 3: // a link that moves, as Kubernetes does it
		target := filepath.Join(r.dir, fmt.Sprintf("relay-%d.yaml", n))
		if err = os.WriteFile(target, []byte(text), 0o600); err == nil {
			if err = os.Symlink(target, path+".link"); err == nil {
				err = os.Rename(path+".link", path)
			}
		}
	}
	if err != nil {
		r.b.violate(crash, "change relay.yaml: %v", err)
		return
	}
	status := r.askReload(ctx)
	if good := status/100 == 2; good != c.good {
		r.b.violate(untrue, "a reload with %s was answered %d", c.name, status)
	}
	if in := r.metric(ctx, "relay_config_last_reload_successful"); in == 1 != c.good {
		r.b.violate(untrue, "after a reload with %s relay_config_last_reload_successful is %v", c.name, in)
	}
}

// askReload is POST /-/reload.
func (r *rig) askReload(ctx context.Context) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.admin+"/-/reload", nil)
	if err != nil {
		return 0
	}
	resp, err := admin.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// gauges are what has to come back to where it was.
type gauges struct{ goroutines, files float64 }

func (r *rig) gauges(ctx context.Context) gauges {
	return gauges{r.metric(ctx, "go_goroutines"), r.metric(ctx, "process_open_fds")}
}

// settled checks that goroutines and files come back to what they were before,
// give or take a few, within some seconds: connections are kept for a while.
func (r *rig) settled(ctx context.Context, before gauges) {
	const few = 5
	// Connections to the chat stay open, a file and two goroutines each, and each
	// lane that has begun to work has a goroutine for every message under way.
	idle := float64(few)
	idle += float64(len(r.plan.homes) + len(r.plan.shared) + 16)
	var now gauges
	for begin := time.Now(); time.Since(begin) < 20*time.Second && ctx.Err() == nil; pause(ctx, 200*time.Millisecond) {
		if now = r.gauges(ctx); now.goroutines <= before.goroutines+3*idle && now.files <= before.files+idle {
			return
		}
	}
	if ctx.Err() == nil && r.process.alive() {
		r.b.violate(growth, "%.0f goroutines and %.0f files at rest, %.0f and %.0f before", now.goroutines, now.files, before.goroutines, before.files)
	}
}
