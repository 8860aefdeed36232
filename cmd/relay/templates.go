package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/formatters"
)

func (a *app) templates() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "templates",
		Short: "List, show and copy the templates of messages",
	}
	cmd.AddCommand(a.listTemplates(), a.showTemplate(), a.ejectTemplate())
	return cmd
}

// printedTemplate is a template as -o json prints it.
type printedTemplate struct {
	Name string `json:"name"`
	Use  string `json:"use"` // kind, route or partial
	Set  string `json:"set"` // standard, classic, or the directory
	Path string `json:"path,omitempty"`
	Text string `json:"text,omitempty"`
}

func printTemplate(t formatters.Template) printedTemplate {
	use := "route"
	switch {
	case t.Partial:
		use = "partial"
	case t.Kind:
		use = "kind"
	}
	return printedTemplate{Name: t.Name, Use: use, Set: t.Set, Path: t.Path}
}

func (a *app) listTemplates() *cobra.Command {
	var out *choice
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all templates, and where each comes from",
		Long: "List all templates, and where each comes from: a built-in set, or a file. What\n" +
			"each is used for: a kind of event, the routes that name it, or other templates\n(partial).",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, set, err := a.templateSet(cmd)
			if err != nil {
				return err
			}
			list := []printedTemplate{}
			for _, t := range set.Templates() {
				list = append(list, printTemplate(t))
			}
			if out.word == "json" {
				return a.printJSON(list)
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			for _, t := range list {
				from := t.Path
				if from == "" {
					from = t.Set
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", t.Name, t.Use, from)
			}
			return w.Flush()
		},
	}
	out = addOutput(cmd)
	return cmd
}

func (a *app) showTemplate() *cobra.Command {
	var out *choice
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Print the text of a template",
		Long:    "Print the text of a template: the one in use, or with SET/NAME the one of a\nbuilt-in set.",
		Example: "  relay templates show push\n  relay templates show classic/push",
		Args:    oneTemplate,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, set, err := a.templateSet(cmd)
			if err != nil {
				return err
			}
			t, err := findTemplate(set, args[0], set.Template)
			if err != nil {
				return err
			}
			if out.word == "json" {
				p := printTemplate(t)
				p.Text = t.Text
				return a.printJSON(p)
			}
			_, err = fmt.Fprint(a.stdout, t.Text)
			return err
		},
	}
	out = addOutput(cmd)
	return cmd
}

func (a *app) ejectTemplate() *cobra.Command {
	var out *choice
	cmd := &cobra.Command{
		Use:   "eject NAME [DIR]",
		Short: "Write a built-in template into a directory, to edit it",
		Long: "Write a built-in template into a directory, ./templates if none is named, to\n" +
			"edit it. A file that is there is never overwritten.",
		Example: "  relay templates eject push\n  relay templates eject classic/issue team/templates",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				args = args[:1]
			}
			return oneTemplate(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, set, err := a.templateSet(cmd)
			if err != nil {
				return err
			}
			t, err := findTemplate(set, args[0], set.Builtin)
			if err != nil {
				return err
			}
			dir := "templates"
			if len(args) == 2 {
				dir = args[1]
			}
			path, err := writeNew(dir, t)
			if err != nil {
				return err
			}
			if out.word == "json" {
				t.Path = path
				return a.printJSON(printTemplate(t))
			}
			if _, err := fmt.Fprintf(a.stdout, "wrote %s\n", path); err != nil {
				return err
			}
			if !reads(cfg, dir) {
				_, err = fmt.Fprintf(a.stderr, "hint: relay.yaml reads it with templates: [%s]\n", strings.Join(append(setNames(cfg), dotted(dir)), ", "))
			}
			return err
		},
	}
	out = addOutput(cmd)
	return cmd
}

// oneTemplate is the Args of commands that take the NAME of a template.
func oneTemplate(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return usage("see relay templates list", "%s takes the NAME of one template", strings.TrimPrefix(cmd.CommandPath(), "relay "))
}

// templateSet compiles the templates that relay.yaml names; those of the
// standard set without one. What is wrong with them is for relay check to tell.
func (a *app) templateSet(cmd *cobra.Command) (*configs.Config, *formatters.Set, error) {
	path, err := a.find(cmd)
	if errors.Is(err, errNoConfiguration) {
		cfg := &configs.Config{}
		set, _ := formatters.Compile(cfg)
		return cfg, set, nil
	}
	if err != nil {
		return nil, nil, err
	}
	cfg, findings := a.read(path)
	a.secrets.add((&configuration{Config: cfg}).secrets()...)
	if cfg == nil {
		_ = printFindings(a.stderr, findings)
		return nil, nil, &exitError{code: exitUsage, message: "the configuration cannot be read"}
	}
	set, _ := formatters.Compile(cfg)
	return cfg, set, nil
}

// findTemplate finds a template by its name, or by SET/NAME among the built-in
// ones.
func findTemplate(set *formatters.Set, name string, find func(string) (formatters.Template, bool)) (formatters.Template, error) {
	if builtin, rest, ok := strings.Cut(name, "/"); ok {
		if builtin != formatters.Standard && builtin != formatters.Classic {
			return formatters.Template{}, usage("the sets are standard and classic", "there is no set %q", builtin)
		}
		set, _ = formatters.Compile(&configs.Config{Templates: []string{builtin}})
		name, find = rest, set.Builtin
	}
	if t, ok := find(name); ok {
		return t, nil
	}
	if t, ok := set.Template(name); ok {
		return t, usage("it is a file already: edit it", "template %q is %s", name, t.Path)
	}
	var names []string
	for _, t := range set.Templates() {
		if _, ok := find(t.Name); ok {
			names = append(names, t.Name)
		}
	}
	return formatters.Template{}, usage(didYouMean(name, "template", names), "there is no template %q", name)
}

// writeNew writes a template into a directory, where it must not be yet.
func writeNew(dir string, t formatters.Template) (path string, err error) {
	path = filepath.Join(dir, t.FileName())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the directory: %w", err)
	}
	err = createFile(path, []byte(t.Text), 0o644)
	if errors.Is(err, fs.ErrExist) {
		return "", &exitError{exitFail, path + " is already there", "edit it, or move it away to get the built-in one again"}
	}
	if err != nil {
		return "", fmt.Errorf("write the template: %w", err)
	}
	return path, nil
}

// reads tells whether a configuration reads templates from a directory.
func reads(cfg *configs.Config, dir string) bool {
	where, err := filepath.Abs(dir)
	return err == nil && slices.ContainsFunc(cfg.Templates, func(t string) bool {
		abs, err := filepath.Abs(t)
		return err == nil && abs == where && strings.ContainsRune(t, '/')
	})
}

// setNames are the sets that a configuration reads, as relay.yaml writes them.
func setNames(cfg *configs.Config) []string {
	if len(cfg.Templates) == 0 {
		return []string{formatters.Standard}
	}
	var names []string
	for _, t := range cfg.Templates {
		if t != formatters.Standard && t != formatters.Classic {
			t = dotted(t)
		}
		names = append(names, t)
	}
	return names
}

// dotted writes a directory so that it cannot be taken for the name of a set.
func dotted(dir string) string {
	if filepath.IsAbs(dir) || strings.HasPrefix(dir, ".") {
		return dir
	}
	return "./" + filepath.ToSlash(dir)
}
