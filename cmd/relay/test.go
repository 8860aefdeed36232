package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/routes"
)

func (a *app) test() *cobra.Command {
	var out *choice
	cmd := &cobra.Command{
		Use:   "test [FILE...]",
		Short: "Run the tests: of a relay.yaml",
		Long: "Run the tests: of a relay.yaml, and of the files that it includes. Without a\nFILE, of what relay serve would load here.\n\n" +
			"Exit code 0: all passed; 1: some did not; 2: a file cannot be loaded.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, files []string) error {
			if len(files) == 0 {
				path, err := a.find(cmd)
				if err != nil {
					return err
				}
				files = []string{path}
			}
			return a.runTests(files, out.word)
		},
	}
	out = addChoice(cmd, "output", "o", "how to print the result", "text", "text", "json", "junit")
	return cmd
}

// testResult is what became of a test; of one that failed with what it wanted
// and got, and why.
type testResult struct {
	routes.TestResult
	failure string
}

func (a *app) runTests(files []string, out string) error {
	var results []testResult
	for _, file := range files {
		c, err := a.inspected(file)
		if err != nil {
			return err
		}
		for _, r := range routes.RunTests(c.Config, c.table, a.testEvent(file)) {
			failure := ""
			if !r.Pass {
				failure = c.testFailure(r)
			}
			results = append(results, testResult{r, failure})
		}
	}
	failed := 0
	for _, r := range results {
		if !r.Pass {
			failed++
		}
	}
	if err := a.printTests(results, failed, out); err != nil {
		return err
	}
	if failed > 0 {
		return &exitError{code: exitFail}
	}
	return nil
}

// testEvent finds the event of a test: a built-in sample, or a payload file
// whose path starts at the folder of the relay.yaml.
func (a *app) testEvent(file string) func(string) (*events.Event, error) {
	return func(name string) (*events.Event, error) {
		if s, ok := events.SampleNamed(name); ok {
			return events.Decode(s.Input("")), nil
		}
		if name == "-" {
			return nil, usage("name a sample such as merge_request.open, or a payload file", "a test reads no standard input")
		}
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(file), path)
		}
		body, err := a.payload(path, name)
		if err != nil {
			return nil, err
		}
		if err := events.CheckObject(body); err != nil {
			return nil, err
		}
		return events.Decode(events.Input{Body: body}), nil
	}
}

func (a *app) printTests(results []testResult, failed int, out string) error {
	switch out {
	case "json":
		return a.printJSON(testReports(results))
	case "junit":
		return a.printJUnit(results, failed)
	}
	var b strings.Builder
	for _, r := range results {
		if r.Pass {
			fmt.Fprintf(&b, "✓ %s\n", r.Name)
			continue
		}
		fmt.Fprintf(&b, "✗ %s (%s): %s\n", r.Name, r.Pos, r.failure)
	}
	fmt.Fprintf(&b, "%s, %d failed\n", count(len(results), "test"), failed)
	if len(results) == 0 {
		fmt.Fprintln(&b, "there is nothing under tests: in the file; docs/routing.md shows how to write one")
	}
	_, err := a.stdout.Write([]byte(b.String()))
	return err
}

// testFailure says in one line what a test wanted and got, and why.
func (c *configuration) testFailure(r routes.TestResult) string {
	if r.Err != nil {
		text := r.Err.Error()
		var wrong *exitError
		if errors.As(r.Err, &wrong) && wrong.hint != "" {
			text += "; " + wrong.hint
		}
		return printable(text)
	}
	text := fmt.Sprintf("expected %s, got %s", orNone(r.Want), orNone(r.Got))
	switch x := r.Explanation; {
	case x.Foreign:
		text += "; its source may not speak for this project: " + x.Because
	case len(r.Got) == 0 && x.Nearest != "":
		text += fmt.Sprintf("; nearest is %s: %s", x.Nearest, x.Because)
	}
	for _, w := range r.Explanation.Withheld {
		text += fmt.Sprintf("; withheld from %s: %s", address(w.Destination, w.Channel), c.withheld(w))
	}
	return printable(text)
}

// testReport is a test as -o json prints it.
type testReport struct {
	Name string   `json:"name"`
	File string   `json:"file"`
	Line int      `json:"line"`
	Pass bool     `json:"pass"`
	Want []string `json:"want"`
	Got  []string `json:"got"`

	Failure string `json:"failure,omitempty"` // what was wanted and got, and why
	Error   string `json:"error,omitempty"`   // why it could not be run
}

func testReports(results []testResult) []testReport {
	reports := []testReport{}
	for _, r := range results {
		rep := testReport{r.Name, r.Pos.File, r.Pos.Line, r.Pass, append([]string{}, r.Want...), append([]string{}, r.Got...), r.failure, ""}
		if r.Err != nil {
			rep.Error = r.Err.Error()
		}
		reports = append(reports, rep)
	}
	return reports
}

// junit is the form of results that GitLab shows in a merge request
// (docs.gitlab.com/ci/testing/unit_test_reports).
type junit struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Place   string `xml:",chardata"`
}

func (a *app) printJUnit(results []testResult, failed int) error {
	suite := junit{Name: "relay", Tests: len(results), Failures: failed}
	for _, r := range results {
		c := junitCase{Class: r.Pos.File, Name: r.Name, File: r.Pos.File}
		if !r.Pass {
			c.Failure = &junitFailure{Message: r.failure, Place: r.Pos.String()}
		}
		suite.Cases = append(suite.Cases, c)
	}
	text, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s%s\n", xml.Header, text)
	return err
}
