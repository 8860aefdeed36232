package formatters

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/events"
)

// reference is one of GitLab's references in a text: #1, !2, ~label,
// %milestone, @user, group/project#3, a commit's SHA.
type reference struct {
	from, to int    // where it stands
	url      string // "" for a person who is mentioned
	user     string // of @user
	code     string // a commit's short SHA
}

// nowhere is the project of a text that belongs to none.
var nowhere events.Project

// nextReference finds the first reference in s[at:], as GitLab's patterns do
// (app/models, reference_pattern) as far as they can be told from other words
// without asking GitLab what there is.
func nextReference(s string, at int, p *events.Project) (r reference, ok bool) {
	if p == nil {
		p = &nowhere
	}
	for i := at; i < len(s); i++ {
		switch c := s[i]; c {
		case '#', '!', '~', '%', '@':
			if r, ok = referenceAt(s, at, i, p); ok {
				return r, true
			}
		default:
			if !isHex(c) || i > 0 && !endsWord(s, i-1) {
				continue
			}
			n := hexWord(s[i:])
			if sha := s[i : i+n]; isSHA(sha) && endsWord(s, i+n) && p.URL != "" {
				return reference{from: i, to: i + n, url: p.URL + "/-/commit/" + sha, code: sha[:8]}, true
			}
			if n > 0 {
				i += n - 1
			}
		}
	}
	return reference{}, false
}

// referenceAt reads the reference whose mark is s[i]; what stands before
// s[start:] belongs to another one.
func referenceAt(s string, start, i int, p *events.Project) (r reference, ok bool) {
	project, from := p.URL, i
	if path := pathBefore(s[start:i]); path != "" {
		from = i - len(path)
		if project = projectURL(path, p); project == "" {
			return reference{}, false
		}
	}
	person := s[i] == '@' && from == i
	if from > 0 && !startsReferenceAfter(s, from-1) && (!person || s[from-1] != ':') {
		return reference{}, false
	}
	rest := s[i+1:]
	if person {
		n := userName(rest)
		return reference{from: i, to: i + 1 + n, url: siteURL(p, rest[:n]), user: rest[:n]}, n > 0
	}
	if project == "" {
		return reference{}, false
	}
	n, page := 0, ""
	switch s[i] {
	case '#':
		n, page = number(rest), "/-/issues/"
	case '!':
		n, page = number(rest), "/-/merge_requests/"
	case '@':
		n = hexWord(rest)
		if !isSHA(rest[:n]) || !endsWord(rest, n) {
			return reference{}, false
		}
		page = "/-/commit/"
	case '~':
		return named(project, "/-/issues?label_name=", from, i+1, rest, labelName(rest))
	case '%':
		if n = number(rest); n == 0 {
			return named(project, "/-/milestones?search_title=", from, i+1, rest, milestoneName(rest))
		}
		page = "/-/milestones/"
	}
	if n == 0 {
		return reference{}, false
	}
	return reference{from: from, to: i + 1 + n, url: project + page + rest[:n]}, true
}

// named is a reference by a name that stands in rest, perhaps in quotation
// marks.
func named(project, page string, from, at int, rest string, n int) (reference, bool) {
	if n == 0 {
		return reference{}, false
	}
	return reference{from: from, to: at + n, url: project + page + queryEscape(strings.Trim(rest[:n], `"`))}, true
}

// pathBefore is the path of a project that ends s: "group/project".
func pathBefore(s string) string {
	n := len(s)
	for n > 0 && len(s)-n <= maxProjectPath && (isAlnum(s[n-1]) || strings.IndexByte("_-./", s[n-1]) >= 0) {
		n--
	}
	return s[n:]
}

// maxProjectPath is the longest path that is looked at.
const maxProjectPath = 255

// projectURL is the address of another project of the same GitLab, or "" if the
// path can be none. A first folder with a dot is likely another site:
// "github.com/a/b#1".
func projectURL(path string, p *events.Project) string {
	base := p.Base()
	if base == "" || len(path) > maxProjectPath || !strings.Contains(path, "/") {
		return ""
	}
	for i, folder := range strings.Split(path, "/") {
		if folder == "" || folder[0] == '-' || folder[0] == '.' || i == 0 && strings.Contains(folder, ".") {
			return ""
		}
	}
	return base + "/" + path
}

// siteURL is the address of a path at the root of GitLab, or "" if that is not
// known.
func siteURL(p *events.Project, path string) string {
	if base := p.Base(); base != "" {
		return base + "/" + path
	}
	for _, end := range [...]string{"/groups/" + p.Group, "/" + p.Group} {
		if base, ok := strings.CutSuffix(p.GroupURL, end); ok && p.Group != "" {
			return base + "/" + path
		}
	}
	return ""
}

// startsReferenceAfter tells whether a reference may stand behind s[i].
func startsReferenceAfter(s string, i int) bool {
	return !isAlnum(s[i]) && !joinsWord(s, i) && strings.IndexByte("_&/@#~!%=+-.:\x00", s[i]) < 0
}

// joinsWord tells whether s[i] belongs to a character beyond ASCII that is part
// of a word: a letter, a number, a mark upon one, or one that nobody sees.
func joinsWord(s string, i int) bool {
	if i >= len(s) || s[i] < utf8.RuneSelf {
		return false
	}
	r, _ := utf8.DecodeRuneInString(s[runeStart(s, i):])
	return unicode.In(r, unicode.L, unicode.N, unicode.M, unicode.Cf)
}

// endsWord tells whether no word that began before s[i] goes on there.
func endsWord(s string, i int) bool {
	if i >= len(s) {
		return true
	}
	c := s[i]
	if c == '.' { // of a sentence, or between two commits: 1a2b3c4d..5e6f7a8b
		return i+1 == len(s) || s[i+1] == '.' || s[i+1] == ' ' || i > 0 && s[i-1] == '.'
	}
	return !isAlnum(c) && !joinsWord(s, i) && strings.IndexByte("_-/\\:@#=&%+~\x00", c) < 0
}

// number is the length of the number that starts s and stands for itself.
func number(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n > 10 || n < len(s) && (isAlnum(s[n]) || s[n] == '_' || joinsWord(s, n)) {
		return 0
	}
	if n+1 < len(s) && (s[n] == '.' || s[n] == ',') && isDigit(s[n+1]) {
		return 0
	}
	return n
}

// hexWord is the length of the hexadecimal digits that start s.
func hexWord(s string) int {
	n := 0
	for n < len(s) && (isDigit(s[n]) || 'a' <= s[n] && s[n] <= 'f') {
		n++
	}
	return n
}

// isSHA tells whether a word is a commit's SHA, and neither a number nor a word
// like "defaced".
func isSHA(s string) bool {
	return len(s) >= 8 && len(s) <= 40 && strings.ContainsAny(s, "0123456789") && strings.ContainsAny(s, "abcdef") && hexWord(s) == len(s)
}

// userName is the length of the user name that starts s. The words that notify
// everybody are no user's, and neither @scope/package nor @user@another.site
// names one.
func userName(s string) int {
	n := 0
	for n < len(s) && n < 255 && (isAlnum(s[n]) || strings.IndexByte("_-.", s[n]) >= 0) {
		n++
	}
	if n < len(s) && (s[n] == '/' || s[n] == '@' || joinsWord(s, n)) || n > 0 && s[0] == '-' {
		return 0
	}
	for n > 0 && (s[n-1] == '.' || s[n-1] == '-') {
		n--
	}
	if n < 2 || isBroadcast(s[:n]) {
		return 0
	}
	return n
}

// isBroadcast tells whether a name notifies everybody in a channel.
func isBroadcast(name string) bool {
	return strings.EqualFold(name, "all") || strings.EqualFold(name, "channel") || strings.EqualFold(name, "here")
}

// labelName is the length of the label that starts s: a name in quotation
// marks, or one word, which must start with a letter, for ~5 is rather a number.
func labelName(s string) int {
	if n := quotedName(s); n > 0 || s == "" || !isLetter(s[0]) {
		return n
	}
	n := 1
	for n < len(s) && (isAlnum(s[n]) || strings.IndexByte("_-?.&:", s[n]) >= 0) {
		n++
	}
	for strings.IndexByte(".?:&-", s[n-1]) >= 0 {
		n--
	}
	if n > maxNameReferred || n < len(s) && (s[n] == '/' || joinsWord(s, n)) {
		return 0
	}
	return n
}

// milestoneName is the length of the milestone that starts s: a name in
// quotation marks, a version number, or a word that is none of printf's verbs.
func milestoneName(s string) int {
	if n := quotedName(s); n > 0 || s == "" || !isAlnum(s[0]) {
		return n
	}
	n, digits, letters := 0, 0, 0
	for n < len(s) && (isAlnum(s[n]) || s[n] == '_' || s[n] == '-' || s[n] == '.') {
		digits += btoi(isDigit(s[n]))
		letters += btoi(isLetter(s[n]))
		n++
	}
	for s[n-1] == '.' || s[n-1] == '-' {
		n--
	}
	switch {
	case n > maxNameReferred || n < len(s) && (s[n] == '/' || s[n] == '%' || joinsWord(s, n)):
		return 0
	case isDigit(s[0]) && letters > 0, digits == 0 && letters < 4:
		return 0
	}
	return n
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// maxNameReferred is the longest name of a label or milestone (app/models,
// validates :title).
const maxNameReferred = 255

// quotedName is the length of the name in quotation marks that starts s.
func quotedName(s string) int {
	if len(s) < 3 || s[0] != '"' {
		return 0
	}
	end := strings.IndexAny(s[1:min(len(s), maxNameReferred+2)], "\"\n\x00")
	if end < 1 || s[1+end] != '"' || blank(s[1:1+end]) {
		return 0
	}
	return end + 2
}
