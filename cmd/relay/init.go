package main

import (
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// initConfig is the relay.yaml to begin with.
//
//go:embed init.yaml
var initConfig []byte

// The files that relay init writes, and the one that it leaves to people: seen from
// its folder, as relay.yaml names them.
const (
	initFile  = "relay.yaml"
	initToken = "secrets/gitlab-token"
	initURL   = "secrets/mattermost-url"
)

func (a *app) init() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a relay.yaml to begin with, and a token for GitLab",
		Long:  "Write a commented relay.yaml to begin with, and a new secret token for GitLab\ninto a file that only you can read. The token is shown once. Nothing is\noverwritten.",
		Args:  noArguments,
		RunE:  func(*cobra.Command, []string) error { return a.begin(dir) },
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "`folder` to write to")
	return cmd
}

// begin writes what a new installation needs.
func (a *app) begin(dir string) error {
	path := filepath.Join(dir, initFile)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder for %s: %w", initFile, err)
	}
	err := createFile(path, initConfig, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &exitError{code: exitFail, message: path + " exists already and was not changed", hint: "relay check finds mistakes in it; --dir names another folder"}
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", initFile, err)
	}
	fmt.Fprintf(a.stdout, "wrote %s\n", path)
	if err := a.newToken(filepath.Join(dir, initToken)); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, `
next:
  1. put the URL of an incoming webhook of Mattermost into %s
  2. relay check --config %s
  3. relay serve --config %s, which says what to paste into GitLab
`, filepath.Join(dir, initURL), path, path)
	return nil
}

// newToken writes a token that nobody can guess, unless there is one already.
func (a *app) newToken(path string) error {
	token := rand.Text()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = createFile(path, []byte(token+"\n"), 0o600)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		fmt.Fprintf(a.stdout, "kept %s\n", path)
	case err != nil:
		return fmt.Errorf("write the token for GitLab: %w", err)
	default:
		fmt.Fprintf(uncleaned(a.stdout), "wrote %s, a new secret token for GitLab, shown only now: %s\n", path, token)
	}
	return nil
}

// createFile writes a file that is not there yet.
func createFile(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
