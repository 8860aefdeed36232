package formatters

import (
	"regexp"
	"strings"
)

// What Git and GitLab put behind a message that is signed: with PGP, with SSH,
// or with X.509 (git-verify-tag(1), gpg.format). Text that PGP signs in clear
// stands between a header and the signature.
var (
	signatureBegins = regexp.MustCompile(`^-----BEGIN (PGP SIGNATURE|PGP MESSAGE|SSH SIGNATURE|SIGNED MESSAGE|PKCS7|CMS|PKCS #7 SIGNED DATA)-----$`)
	clearSigned     = regexp.MustCompile(`(?m)^-----BEGIN PGP SIGNED MESSAGE-----[ \t\r]*\n(?:[\w-]+: .*\n)*\r?\n?`)
)

// withoutSignatures leaves out the signatures of a message. One that is cut off
// goes up to the end.
func withoutSignatures(s string) string {
	if !strings.Contains(s, "-----BEGIN ") {
		return s
	}
	s = clearSigned.ReplaceAllString(s, "")
	var kept []string
	end := ""
	for l := range strings.SplitSeq(s, "\n") {
		bare := strings.TrimSpace(l)
		switch m := signatureBegins.FindStringSubmatch(bare); {
		case end != "":
			if bare == end {
				end = ""
			}
		case m != nil:
			end = "-----END " + m[1] + "-----"
		default:
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n")
}
