package main

import (
	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of relay.yaml, for editors",
		Long: "Print the JSON Schema of relay.yaml. Editors with a YAML language server then\ncomplete its keys and mark mistakes; begin the file with\n\n" +
			"  # yaml-language-server: $schema=./relay.schema.json",
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			text, err := configs.Schema(events.Names())
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
}
