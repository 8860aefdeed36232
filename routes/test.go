package routes

import (
	"fmt"
	"slices"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestResult is what became of one entry of tests:.
type TestResult struct {
	Name string
	Pos  configs.Pos
	Pass bool

	// Want and Got are addresses as the file writes them, sorted.
	Want []string
	Got  []string

	// Err is why the test could not be run: its event is not there, or cannot
	// be changed as it asks. The rest is empty then.
	Err error

	// Explanation says how the routes decided.
	Explanation Explanation
}

// RunTests runs the tests of a configuration against its table. The function
// loads what a test calls its event: a built-in sample by its name, or the
// payload file at that path. An event without a source counts as one of the
// file's first.
func RunTests(cfg *configs.Config, t *Table, load func(event string) (*events.Event, error)) []TestResult {
	var out []TestResult
	for i := range cfg.Tests {
		out = append(out, t.run(cfg, &cfg.Tests[i], load))
	}
	return out
}

func (t *Table) run(cfg *configs.Config, test *configs.Test, load func(event string) (*events.Event, error)) TestResult {
	r := TestResult{Name: test.Name, Pos: test.Pos, Want: []string{}, Got: []string{}}
	e, err := load(test.Event)
	if err != nil {
		r.Err = fmt.Errorf("load %s: %w", test.Event, err)
		return r
	}
	if source, ok := test.With["source"].(string); ok && cfg.Source(source) == nil {
		r.Err = fmt.Errorf("set source: there is none called %q", source)
		return r
	}
	if e, err = Change(e, test.With); err != nil {
		r.Err = fmt.Errorf("change %s: %w", test.Event, err)
		return r
	}
	if e.Source == "" && len(cfg.Sources) > 0 {
		from := *e
		from.Source = cfg.Sources[0].Name
		e = &from
	}
	r.Explanation = t.ExplainAt(e, test.At)
	for _, to := range test.To {
		r.Want = append(r.Want, to.Address.String())
	}
	for _, d := range r.Explanation.Decision.Deliveries {
		r.Got = append(r.Got, d.Address.String())
	}
	slices.Sort(r.Want)
	slices.Sort(r.Got)
	r.Want = slices.Compact(r.Want)
	r.Pass = slices.Equal(r.Want, r.Got)
	return r
}
