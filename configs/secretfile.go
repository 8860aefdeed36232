package configs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

const maxSecretBytes = 64 << 10

// secret is a secret of the file with the place that names it.
type secret struct {
	Secret
	value
}

// secrets reads a key or its _file twin, of which at most one may stand. With
// many, both take lists.
func (r *reader) secrets(o object, key string, many bool) []secret {
	fileKey := key + "_file"
	if o.has(key) && o.has(fileKey) {
		r.errorf(o.fields[fileKey].key, "keep one of them", "%s has both %s and %s", o.where, key, fileKey)
	}
	read := func(by reading, key string) []value {
		if many {
			vs, _ := r.listBy(by, o, key)
			return vs
		}
		if v, ok := r.scalarBy(by, o, key); ok {
			return []value{v}
		}
		return nil
	}
	var out []secret
	for _, v := range read(r.secretOf(key), key) {
		if s, ok := r.checked(v, key, o.where, v.text); ok {
			out = append(out, s)
		}
	}
	for _, v := range read(r.text1, fileKey) {
		if content, ok := r.secretFile(&v, fileKey, o); ok {
			if s, ok := r.checked(v, fileKey, o.where, content); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// checked takes a secret over whose text can be one.
func (r *reader) checked(v value, key, where, content string) (secret, bool) {
	if problem, hint := SecretProblem(content); problem != "" {
		r.errorf(v.node, hint, "%s of %s %s", key, where, problem)
		return secret{}, false
	}
	s := secret{Secret{content, v.missing}, v}
	switch {
	case v.missing:
	case v.node.Value == content && key != "url":
		r.warnf(v.node, fmt.Sprintf("who reads it can send in GitLab's name; write ${VAR} or use %s_file", key), "%s of %s is in clear text in the file", key, where)
	case strings.HasPrefix(key, "token") && utf8.RuneCountInString(content) < shortToken:
		r.warnf(v.node, shortHint, "%s of %s has fewer than %d characters: it can be guessed", key, where, shortToken)
	}
	return s, true
}

const shortHint = "generate one, for example with openssl rand -hex 16, and change it in GitLab too"

// secretFile reads a file without its line break at the end.
func (r *reader) secretFile(v *value, key string, o object) (string, bool) {
	if v.text == "" {
		r.errorf(v.node, "", "%s of %s is empty", key, o.where)
		return "", false
	}
	path := r.path(v.text)
	content, mode, err := readRegular(path, maxSecretBytes)
	r.read(path)
	switch {
	case err != nil && r.loose:
		r.lacksFile(v.node, key, o.where, err)
		v.missing = true
		return placeholder(v.node.Value), true
	case err != nil:
		r.errorf(v.node, "", "%s of %s: %s", key, o.where, reason(err))
		return "", false
	}
	if mode.Perm()&0o004 != 0 && !mounted(path) {
		r.warnf(v.node, "chmod 600, or 640 with the relay's group", "everybody on this machine can read the file of %s of %s", key, o.where)
	}
	return strings.TrimRight(content, "\r\n"), true
}

// mounted tells of the folder where container runtimes mount secrets, readable
// by all inside the container.
func mounted(path string) bool {
	path = filepath.Clean(path)
	return strings.HasPrefix(path, "/run/secrets/") || strings.HasPrefix(path, "/var/run/secrets/")
}

var (
	errNotRegular = errors.New("is not a regular file")
	errTooLarge   = errors.New("is too large")
)

// path is where a path of the file leads to: relative ones start at the file's
// folder.
func (r *reader) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.dir, path)
}

// read notes that a file belongs to the configuration.
func (r *reader) read(path string) {
	if !slices.Contains(r.cfg.Files, path) {
		r.cfg.Files = append(r.cfg.Files, path)
	}
}

// readRegular reads a small file, and never waits for a pipe or device.
func readRegular(path string, most int64) (string, fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() {
		return "", 0, errNotRegular
	}
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return "", 0, err
	case int64(len(data)) > most:
		return "", 0, errTooLarge
	}
	return string(data), info.Mode(), nil
}

// reason is an error of the file system in plain words, without the path.
func reason(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		return "the file may not be read"
	case errors.As(err, &path):
		return fmt.Sprintf("the file cannot be read: %v", path.Err)
	}
	return "the file " + err.Error()
}
