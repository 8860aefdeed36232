package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
)

func (a *app) check() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Find every mistake in a relay.yaml",
		Long:  "Find every mistake in a relay.yaml, with its place and what to do.\nWarnings alone leave the exit code 0; errors make it 1.",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, files []string) error {
			if len(files) == 0 {
				path, err := cmd.Flags().GetString("config")
				if err != nil {
					return err
				}
				if path == "" {
					path = firstExisting(places)
				}
				if path == "" {
					return usage("name a file, or run this where a relay.yaml is", "there is no relay.yaml")
				}
				files = []string{path}
			}
			return a.runCheck(files, out)
		},
	}
	out.flag(cmd)
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

func (a *app) runCheck(files []string, out output) error {
	all := []configs.Finding{}
	for _, file := range files {
		_, findings, err := compile(configs.Load(file, a.env))
		if err != nil {
			return err
		}
		all = append(all, findings...)
	}
	failed := configs.HasErrors(all)
	if out == "json" {
		list := []checkedFinding{}
		for _, f := range all {
			list = append(list, checkedFinding{f.Pos.File, f.Pos.Line, f.Pos.Col, f.Severity.String(), f.Message, f.Hint})
		}
		if err := a.printJSON(list); err != nil {
			return err
		}
	} else if err := configs.WriteText(a.stdout, all); err != nil {
		return err
	}
	if failed {
		return &exitError{code: exitFail}
	}
	if out == "text" {
		for _, file := range files {
			fmt.Fprintf(a.stdout, "%s: ok\n", file)
		}
	}
	return nil
}
