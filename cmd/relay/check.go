package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
)

func (a *app) check() *cobra.Command {
	var out *choice
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Find every mistake in a relay.yaml",
		Long: "Find every mistake in a relay.yaml, with its place and what to do. Without a\nFILE, check what relay serve would load here.\n\n" +
			"Exit code 0: no errors, though there may be warnings; 1: errors; 2: a file\ncannot be read.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, files []string) error {
			if len(files) > 0 {
				return a.runCheck(files, out.word)
			}
			path, err := a.find(cmd)
			if err != nil {
				return err
			}
			return a.runCheck([]string{path}, out.word)
		},
	}
	out = addOutput(cmd)
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

func (a *app) runCheck(paths []string, out string) error {
	code := exitOK
	list := []checkedFinding{}
	for _, path := range paths {
		_, findings, err := compile(a.read(path))
		if err != nil {
			return err
		}
		switch {
		case path != "" && !readable(path):
			code = exitUsage
		case configs.HasErrors(findings):
			code = max(code, exitFail)
		}
		list = append(list, checkedFindings(findings)...)
		if out == "text" {
			if err := a.printChecked(path, findings); err != nil {
				return err
			}
		}
	}
	if out == "json" {
		if err := a.printJSON(list); err != nil {
			return err
		}
	}
	if code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

// printChecked prints the findings of one file, and the sum of them.
func (a *app) printChecked(path string, findings []configs.Finding) error {
	if err := printFindings(a.stdout, findings); err != nil {
		return err
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
