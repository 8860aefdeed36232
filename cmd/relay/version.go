package main

import (
	_ "embed"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version and commit are set by the linker; a build without them says what the module
// knows.
var version, commit string

// licenses are those of all that is linked; TestLicenses keeps them true.
//
//go:embed licenses.txt
var licenses string

func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return strings.Trim(info.Main.Version, "()") // Go says "(devel)"
	}
	return "devel"
}

// revision is the commit that this was built from, or "unknown".
func revision() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

func (a *app) version() *cobra.Command {
	var out *choice
	var texts bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			if texts {
				_, err := io.WriteString(a.stdout, licenses)
				return err
			}
			if out.word == "json" {
				return a.printJSON(map[string]string{"version": versionString(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintf(a.stdout, "relay %s (%s, %s/%s)\n", versionString(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	cmd.Flags().BoolVar(&texts, "licenses", false, "print the licences of all that the relay is made of instead")
	out = addOutput(cmd)
	return cmd
}
