package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
)

func (a *app) check() *cobra.Command {
	var out *choice
	var secrets bool
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Find every mistake in a relay.yaml",
		Long: "Find every mistake in a relay.yaml, with its place and what to do. Without a\nFILE, check what relay serve would load here.\n\n" +
			"In CI or on your own machine the secrets are often missing: a\nsecret whose ${VAR} is not set, or whose file is not there, is a warning. With\n--secrets it is an error, as it is for relay serve.\n\n" +
			"Exit code 0: no errors, though there may be warnings; 1: errors; 2: a file\ncannot be read.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, files []string) error {
			read := a.inspect
			if secrets {
				read = a.read
			}
			if len(files) > 0 {
				return a.runCheck(files, out.word, read)
			}
			path, err := a.find(cmd)
			if err != nil {
				return err
			}
			return a.runCheck([]string{path}, out.word, read)
		},
	}
	out = addChoice(cmd, "output", "o", "how to print the result; gitlab is a Code Quality report", "text", "text", "json", "gitlab")
	cmd.Flags().BoolVar(&secrets, "secrets", false, "a missing secret is an error, as it is for relay serve")
	return cmd
}

// checkedFinding is a finding as -o json prints it.
type checkedFinding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

func checkedFindings(findings []configs.Finding) []checkedFinding {
	list := []checkedFinding{}
	for _, f := range findings {
		list = append(list, checkedFinding{f.Pos.File, f.Pos.Line, f.Pos.Col, f.Severity.String(), f.Message, f.Hint})
	}
	return list
}

func (a *app) runCheck(paths []string, out string, read func(path string) (*configs.Config, []configs.Finding)) error {
	code := exitOK
	list := []checkedFinding{}
	for _, path := range paths {
		c, findings := compile(read(path))
		a.secrets.add(c.secrets()...)
		findings = append(findings, a.lostEvents(c)...)
		findings = append(findings, uncopied(c, findings)...)
		configs.SortFindings(findings)
		switch {
		case path != "" && !readable(path):
			code = exitUsage
		case configs.HasErrors(findings):
			code = max(code, exitFail)
		}
		list = append(list, checkedFindings(findings)...)
		if out == "text" {
			if err := a.printChecked(path, c, findings); err != nil {
				return err
			}
		}
	}
	var err error
	switch out {
	case "json":
		err = a.printJSON(list)
	case "gitlab":
		err = a.printJSON(codeQuality(list))
	}
	if err != nil {
		return err
	}
	if code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

// uncopied tells which files relay serve keeps no last good copy of, because of a
// secret in them. Of files with errors it keeps none anyway.
func uncopied(c *configuration, findings []configs.Finding) []configs.Finding {
	var more []configs.Finding
	for _, t := range c.Texts() {
		if t.Clear && !configs.HasErrors(findings) {
			more = append(more, configs.Finding{
				Pos: configs.Pos{File: t.Path}, Severity: configs.Warning, Brief: true,
				Message: "a secret is in clear text in this file, so that relay serve keeps no last good copy of it", Hint: "write ${VAR}, or name a file that holds it",
			})
		}
	}
	return more
}

// lostEvents finds the tests whose event is not there. A relay that serves need
// not have their payload files.
func (a *app) lostEvents(c *configuration) []configs.Finding {
	var findings []configs.Finding
	for _, t := range c.Tests {
		if t.Event == "" {
			continue // which is told
		}
		_, err := a.testEvent("")(t.Event)
		if err == nil {
			continue
		}
		f := configs.Finding{Pos: t.EventPos, Message: strings.ReplaceAll(err.Error(), t.Event, filepath.Base(t.Event))}
		var wrong *exitError
		switch {
		case filepath.IsAbs(t.Event) && !readable(t.Event):
			f.Message, f.Hint = "there is no payload file "+filepath.Base(t.Event), "its path starts at the folder of "+t.Pos.File
		case errors.As(err, &wrong):
			f.Hint, f.Width = wrong.hint, utf8.RuneCountInString(t.Event)
		}
		findings = append(findings, c.Locate(f))
	}
	return findings
}

// qualityIssue is one finding of a Code Quality report, which GitLab shows in
// the merge request that brings it (docs.gitlab.com/ci/testing/code_quality).
type qualityIssue struct {
	Description string `json:"description"`
	CheckName   string `json:"check_name"`
	Fingerprint string `json:"fingerprint"`
	Severity    string `json:"severity"`
	Location    struct {
		Path  string `json:"path"`
		Lines struct {
			Begin int `json:"begin"`
		} `json:"lines"`
	} `json:"location"`
}

// codeQuality makes the report. A fingerprint holds for as long as the sentence
// and the file are the same, wherever in it the line moves.
func codeQuality(findings []checkedFinding) []qualityIssue {
	issues := []qualityIssue{}
	seen := map[string]int{}
	for _, f := range findings {
		i := qualityIssue{Description: f.Message, CheckName: "relay-check", Severity: "minor"}
		if f.Severity == configs.Error.String() {
			i.Severity = "major"
		}
		if f.Hint != "" {
			i.Description += " (" + f.Hint + ")"
		}
		what := f.File + "\x00" + f.Message
		i.Fingerprint = fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", what, seen[what])))
		seen[what]++
		i.Location.Path, i.Location.Lines.Begin = f.File, max(f.Line, 1)
		issues = append(issues, i)
	}
	return issues
}

// printChecked prints the findings of one file, and the sum of them.
func (a *app) printChecked(path string, c *configuration, findings []configs.Finding) error {
	configs.ErrorsFirst(findings)
	if err := printFindings(a.stdout, findings); err != nil {
		return err
	}
	fenced, _ := c.errorsByFile(findings)
	for _, file := range slices.Sorted(maps.Keys(fenced)) {
		fmt.Fprintf(a.stdout, "%s: relay serve does without this file, or with its last good version; the rest is loaded\n", file)
	}
	wrong := errorsIn(findings)
	sum := "ok"
	if wrong > 0 {
		sum = count(wrong, "error")
	}
	if warnings := len(findings) - wrong; warnings > 0 {
		sum += ", " + count(warnings, "warning")
	}
	if path == "" {
		path = "environment"
	}
	_, err := fmt.Fprintf(a.stdout, "%s: %s\n", path, sum)
	return err
}

// readable tells whether there is a file of that name to read.
func readable(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return false
	}
	if !info.Mode().IsRegular() {
		return true // opening a pipe again would wait for another writer
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}
