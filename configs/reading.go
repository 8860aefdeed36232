package configs

import "path/filepath"

// Reading says how a configuration is read. With Env alone it is read as [Load]
// does.
type Reading struct {
	Env   Env
	Loose bool // secrets may be missing, as for [Inspect]

	// Copies is a folder that holds copies of all files, each at its absolute
	// path below the folder. They are read from there, except for secret files.
	// Findings and places name the files themselves. Empty: the files themselves.
	Copies string

	// Instead holds what included files are taken to say, by path; nil leaves
	// the file out.
	Instead map[string][]byte
}

// at is where a file is read from.
func (o Reading) at(path string) string {
	if o.Copies == "" {
		return path
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path // there is no working directory, and no copy either
	}
	return filepath.Join(o.Copies, abs)
}

// fenced notes an included file that a fence bounds.
func (l *loading) fenced(name string, fence *Fence) {
	if fence == nil {
		return
	}
	if l.cfg.Fences == nil {
		l.cfg.Fences = map[string]*Fence{}
	}
	l.cfg.Fences[name] = fence
}

// readInstead reads what stands in for an included file.
func (l *loading) readInstead(name string, data []byte, fence *Fence) {
	if data != nil {
		l.readIncluded(name, data, fence)
		return
	}
	l.fenced(name, fence)
	l.lostAddress = true // it may name any
}

// refused tells of a fenced file that cannot be included: that is a mistake of the
// file, not of the one that includes it.
func (l *loading) refused(name string, fence *Fence, message, hint string) {
	l.fenced(name, fence)
	l.lostAddress = true
	if hint == "" {
		hint = fence.Pos.String() + " includes it"
	}
	l.found = append(l.found, Finding{Pos: Pos{File: name}, Message: message, Hint: hint})
}

// Text is one file of YAML as it was read.
type Text struct {
	Path  string
	Data  []byte
	Clear bool // a secret is in clear text in it
}

// Texts are the file and those that it includes, as far as they were read.
func (c *Config) Texts() []Text {
	var all []Text
	for _, t := range c.texts {
		all = append(all, Text{t.name, t.data, t.guarded || t.clear})
	}
	return all
}
