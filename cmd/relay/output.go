package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
)

// addOutput adds -o.
func addOutput(cmd *cobra.Command) *choice {
	return addChoice(cmd, "output", "o", "how to print the result", "text", "text", "json")
}

// printJSON writes a value as indented JSON, <, > and & as themselves.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printFindings writes findings with an empty line after each, but for those of
// one line that follow each other.
func printFindings(w io.Writer, findings []configs.Finding) error {
	for i, f := range findings {
		text := f.Text()
		if next := i + 1; !f.Brief || next == len(findings) || !findings[next].Brief {
			text += "\n"
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// are is a number with its noun and verb.
func are(n int, noun string) string {
	if n == 1 {
		return count(n, noun) + " is"
	}
	return count(n, noun) + " are"
}

// errorsIn counts the findings that are errors.
func errorsIn(findings []configs.Finding) int {
	n := 0
	for _, f := range findings {
		if f.Severity == configs.Error {
			n++
		}
	}
	return n
}
