package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

// output is the value of -o.
type output string

func (o *output) flag(cmd *cobra.Command) {
	*o = "text"
	cmd.Flags().VarP(o, "output", "o", "text or json")
}

func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "format" }

func (o *output) Set(v string) error {
	if v != "text" && v != "json" {
		return fmt.Errorf("%q is neither text nor json", v)
	}
	*o = output(v)
	return nil
}

// printJSON writes a value as indented JSON, <, > and & as themselves.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
