package configs

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A signing key has so many bytes, as the Standard Webhooks specification says;
// GitLab makes keys of 32.
const minKey, maxKey = 24, 64

// shortToken is how many characters a token has at least that nobody guesses.
const shortToken = 16

// SecretProblem tells what is wrong with the text of a secret, wherever it comes
// from, and what to do; both are empty if nothing is. The words follow the
// secret's name: "begins with a quote". Space and quotes are not taken off: they
// may be meant, and whoever compares the secret would miss them.
func SecretProblem(text string) (problem, hint string) {
	first, _ := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	switch {
	case strings.TrimSpace(text) == "":
		return "is empty", "an empty secret authenticates nobody"
	case first == '\ufeff':
		return "begins with a byte order mark", "save the file as UTF-8 without one"
	case strings.ContainsRune("\"'`“”„‘’‚«»", first):
		return "begins with a quote", "write it without quotes: where it comes from nothing removes them"
	case first == '\n' || first == '\r':
		return "begins with a line break", "remove it"
	case last == '\n' || last == '\r':
		return "ends with a line break", "remove it"
	case unicode.IsSpace(first):
		return "begins with a space", "remove it"
	case unicode.IsSpace(last):
		return "ends with a space", "remove it"
	case strings.ContainsFunc(text, unicode.IsControl):
		return "holds a line break or another control character", "a secret is one line of text"
	}
	return "", ""
}

// SigningKey reads a signing token as GitLab shows it: whsec_ and the base64 of
// the key, whose padding may be missing. The problem, empty if there is none,
// follows the token's name and does not quote it.
func SigningKey(token string) (key []byte, problem string) {
	encoded, ok := strings.CutPrefix(token, "whsec_")
	if !ok {
		return nil, "does not start with whsec_"
	}
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	switch {
	case err != nil || len(key) == 0:
		return nil, "is no base64 after whsec_"
	case len(key) < minKey || len(key) > maxKey:
		return nil, fmt.Sprintf("is of %d bytes, and must be of %d to %d", len(key), minKey, maxKey)
	}
	return key, ""
}

const signingKeyHint = "copy it from GitLab, where it is shown once"
