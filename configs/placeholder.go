package configs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// secretOf is text1 for the value of a secret key: where secrets may be
// missing, one that the environment does not have is a warning, and a
// placeholder stands for it.
func (r *reader) secretOf(key string) reading {
	return func(n, before *yaml.Node, what string) (value, bool) {
		if !r.loose {
			return r.text1(n, before, what)
		}
		if !r.single(n, before, what) {
			return value{}, false
		}
		_, errs := expand(n.Value, r.env, r.may)
		missing := len(errs) > 0
		for _, err := range errs {
			missing = missing && err.unset
		}
		if !missing {
			return r.text1(n, before, what)
		}
		for _, err := range errs {
			f := r.reference(n, err)
			f.Hint = missingHint(key, n.Value)
			r.lacks(f)
		}
		return value{text: placeholder(n.Value), node: n, missing: true}, true
	}
}

// lacks warns of a secret that is not at hand.
func (r *reader) lacks(f Finding) {
	f.Severity, f.Brief = Warning, true
	r.add(f)
	r.cfg.Missing++
}

// lacksFile warns of a file that is not at hand.
func (r *reader) lacksFile(n *yaml.Node, key, where string, err error) {
	r.warnf(n, missingHint(key, n.Value), "%s of %s: %s", key, where, reason(err))
	r.found[len(r.found)-1].Brief = true
	r.cfg.Missing++
}

func missingHint(key, text string) string {
	hint := "relay serve does not start without it"
	if key == "url" || key == "url_file" {
		name := map[string]string{KindMattermost: "Mattermost", KindSlack: "Slack"}[guessedKind(text)]
		hint += fmt.Sprintf("; here it counts as %s's, unless kind says otherwise", name)
	}
	return hint
}

// guessedKind is the kind of a destination of whose URL nothing is known but
// what it is called.
func guessedKind(text string) string {
	if strings.Contains(strings.ToLower(text), "slack") {
		return KindSlack
	}
	return KindMattermost
}

// placeholder is a secret that nobody has, the same for the same text of the
// file.
func placeholder(text string) string {
	sum := sha256.Sum256([]byte("placeholder for " + text))
	return "missing-" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// placeholderURL is the same for an incoming webhook's URL. No host has that
// name (RFC 2606).
func placeholderURL(text string) string { return "https://missing.invalid/hooks/" + placeholder(text) }

// placeholderKey is the same for a signing key.
func placeholderKey(text string) string {
	sum := sha256.Sum256([]byte("placeholder for " + text))
	return "whsec_" + base64.StdEncoding.EncodeToString(sum[:])
}

// CloseMissing puts a random secret, which nobody can know, in the place of each
// one of a source that is not at hand: the source refuses what only that secret
// could prove.
func (c *Config) CloseMissing() {
	random := func(s Secret, made string) Secret {
		if s.Missing() {
			return newPlaceholder(made)
		}
		return s
	}
	for i := range c.Sources {
		s := &c.Sources[i]
		for j, t := range s.Tokens {
			s.Tokens[j] = random(t, rand.Text())
		}
		for j, k := range s.SigningKeys {
			s.SigningKeys[j] = random(k, placeholderKey(rand.Text()))
		}
		if s.Basic != nil {
			s.Basic.Password = random(s.Basic.Password, rand.Text())
		}
	}
}

// Incomplete tells whether a secret of the source is not at hand.
func (s *Source) Incomplete() bool {
	return slices.ContainsFunc(slices.Concat(s.Tokens, s.SigningKeys), Secret.Missing) || s.Basic != nil && s.Basic.Password.Missing()
}
