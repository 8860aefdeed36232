package configs

import (
	"crypto/rand"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// sources reads `sources`. A file without them has the source "gitlab", whose
// proof is in the environment.
func (r *reader) sources(top object) []Source {
	f, ok := top.fields["sources"]
	if !ok {
		source, found := sourceFromEnvironment(r.env, Pos{File: r.text.name})
		if unproved := len(source.Tokens)+len(source.SigningKeys) == 0; unproved && r.loose {
			source.Tokens = []Secret{newPlaceholder(placeholder("RELAY_TOKEN"))}
			r.lacks(found[0])
			return []Source{source}
		}
		r.found = append(r.found, found...)
		return []Source{source}
	}
	o, ok := r.entries(f.value, "sources")
	if !ok {
		return nil
	}
	if len(o.order) == 0 {
		r.errorf(f.key, "name one, or remove the key: RELAY_TOKEN is then the token of source gitlab", "sources is empty")
	}
	var out []Source
	paths, proofs := map[string]string{}, map[string]string{}
	for _, name := range o.order {
		entry := o.fields[name]
		r.name("source", entry.key)
		s := r.source(name, entry)
		for _, p := range s.Paths {
			if other, taken := paths[p]; taken {
				r.errorf(entry.key, "give each source its own path", "source %q has the same path as source %q", harmless(name), other)
			}
			paths[p] = harmless(name)
		}
		r.sharedProof(s, entry.key, proofs)
		out = append(out, s)
	}
	return out
}

// sharedProof warns of a source with the token or key of one before it.
func (r *reader) sharedProof(s Source, key *yaml.Node, proofs map[string]string) {
	told := false
	for _, p := range slices.Concat(s.Tokens, s.SigningKeys) {
		other, taken := proofs[p.Reveal()]
		if taken && other != s.Name && !told {
			r.warnf(key, "give each its own: who knows the one can send as the other", "source %q has the secret of source %q", harmless(s.Name), harmless(other))
			told = true
		} else if !taken {
			proofs[p.Reveal()] = s.Name
		}
	}
}

func (r *reader) source(name string, entry field) Source {
	s := Source{Name: name, Pos: r.pos(entry.key), Require: "any", Paths: []string{"/hooks/" + name}}
	where := fmt.Sprintf("source %q", harmless(name))
	if entry.value.Kind == yaml.ScalarNode && entry.value.ShortTag() == "!!null" {
		r.noProof(entry.key, where)
		return s
	}
	o, ok := r.object(entry.value, where, sourceKeys)
	if !ok {
		return s
	}
	for _, t := range r.secrets(o, "token", true) {
		s.Tokens = append(s.Tokens, t.Secret)
	}
	for _, k := range r.secrets(o, "signing_key", true) {
		if k.Missing() {
			s.SigningKeys = append(s.SigningKeys, newPlaceholder(placeholderKey(k.node.Value)))
			continue
		}
		if _, problem := SigningKey(k.Reveal()); problem != "" {
			r.errorf(k.node, signingKeyHint, "the signing key of %s %s", where, problem)
			continue
		}
		s.SigningKeys = append(s.SigningKeys, k.Secret)
	}
	s.Basic = r.basic(o)
	s.Require = r.word(o, "require", "any", "any", "signature")
	s.Insecure = r.truth(o, "insecure")
	s.Projects, _ = r.patterns(o, "projects")
	r.paths(o, &s)
	r.proof(o, entry.key, &s)
	r.gitlab(o, &s)
	return s
}

// proof checks that the ways to prove a sender fit together.
func (r *reader) proof(o object, key *yaml.Node, s *Source) {
	asked := false
	for _, k := range []string{"token", "token_file", "signing_key", "signing_key_file", "basic"} {
		asked = asked || o.has(k) || o.meant[k]
	}
	switch {
	case !asked && !s.Insecure:
		r.noProof(key, o.where)
	case asked && s.Insecure:
		r.errorf(o.fields["insecure"].key, "keep one of them", "%s is insecure and has a secret", o.where)
	case s.Require == "signature" && !o.has("signing_key") && !o.has("signing_key_file"):
		r.errorf(o.fields["require"].key, "add signing_key or signing_key_file", "%s requires signatures and has no signing key", o.where)
	}
}

func (r *reader) noProof(key *yaml.Node, where string) {
	r.errorf(key, noProofHint("add token: \"${GITLAB_TOKEN}\", set GITLAB_TOKEN="), "%s has no secret: anybody could send in GitLab's name", where)
}

// noProofHint holds a token nobody has used before.
func noProofHint(how string) string {
	return how + rand.Text() + " and paste the same into GitLab as the webhook's secret token"
}

func (r *reader) basic(o object) *Basic {
	f, ok := o.fields["basic"]
	if !ok {
		return nil
	}
	b, ok := r.object(f.value, "basic of "+o.where, basicKeys)
	if !ok {
		return nil
	}
	user, ok := r.scalar(b, "username")
	if !b.has("username") {
		r.errorf(f.key, "add username", "%s has no username", b.where)
	} else if ok && (user.text == "" || strings.Contains(user.text, ":")) {
		r.errorf(user.node, "", "username of %s must not be empty and cannot hold a colon", b.where)
	}
	if !b.has("password") && !b.has("password_file") {
		r.errorf(f.key, "add password_file or password", "%s has no password", b.where)
	}
	out := &Basic{Username: user.text}
	if p := r.secrets(b, "password", false); len(p) > 0 {
		out.Password = p[0].Secret
	}
	return out
}

var pathPattern = regexp.MustCompile(`^/[A-Za-z0-9._~/-]*$`)

func (r *reader) paths(o object, s *Source) {
	if !o.has("path") {
		return
	}
	s.Paths = nil
	values, _ := r.list(o, "path")
	for _, v := range values {
		p := v.text
		switch {
		case !strings.HasPrefix(p, "/"):
			r.errorf(v.node, "did you mean \"/"+v.shown()+"\"?", "a path of %s must start with /", o.where)
		case !pathPattern.MatchString(p) || path.Clean(p) != p:
			r.errorf(v.node, "a path is letters, digits, and . _ ~ - between single slashes, without a slash at the end", "%q cannot be a path of %s", v.shown(), o.where)
		case p == "/healthz" || p == "/readyz":
			r.errorf(v.node, "choose another path", "%s is the relay's own path", p)
		default:
			s.Paths = append(s.Paths, p)
		}
	}
}

// sourceFromEnvironment is source "gitlab" with RELAY_TOKEN or
// RELAY_SIGNING_KEY.
func sourceFromEnvironment(env Env, pos Pos) (Source, []Finding) {
	s := Source{Name: "gitlab", Pos: pos, Require: "any", Paths: []string{"/hooks/gitlab"}}
	token, found := secretFromEnvironment(env, "RELAY_TOKEN", pos)
	key, more := secretFromEnvironment(env, "RELAY_SIGNING_KEY", pos)
	found = append(found, more...)
	if token == "" && key == "" && len(found) == 0 {
		return s, []Finding{{
			Pos: pos, Message: "there is no secret of source \"gitlab\": anybody could send in GitLab's name",
			Hint: noProofHint("set RELAY_TOKEN="),
		}}
	}
	if token != "" {
		s.Tokens = []Secret{NewSecret(token)}
	}
	if token != "" && utf8.RuneCountInString(token) < shortToken {
		found = append(found, Finding{
			Pos: pos, Severity: Warning, Message: fmt.Sprintf("RELAY_TOKEN has fewer than %d characters: it can be guessed", shortToken), Hint: shortHint,
		})
	}
	if key != "" {
		s.SigningKeys = []Secret{NewSecret(key)}
		if _, problem := SigningKey(key); problem != "" {
			found = append(found, Finding{Pos: pos, Message: "RELAY_SIGNING_KEY " + problem, Hint: signingKeyHint})
		}
	}
	return s, found
}

// secretFromEnvironment is a variable of the relay's own that holds a secret; ""
// if it is set to nothing, or to what is no secret.
func secretFromEnvironment(env Env, name string, pos Pos) (string, []Finding) {
	text, set := env(name)
	if !set || strings.TrimSpace(text) == "" {
		return "", nil
	}
	if problem, hint := SecretProblem(text); problem != "" {
		return "", []Finding{{Pos: pos, Message: name + " " + problem, Hint: hint}}
	}
	return text, nil
}
