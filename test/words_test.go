package test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// avoided are words that readers of plain English stumble over, and what to write in
// their place. They are looked for in what people read: pages and the help of commands,
// without code.
var avoided = map[string]string{
	`anew`:           "again",
	`unsaid|unasked`: "not reported",
	`told`:           "reported, listed, shown",
	`stands? (in|on|below|above|still|between|there|here|first|behind|alone|further|now)|stood`: "is, was",
	`mend(s|ed|ing)?`:                    "fix, repair, recover",
	`strangers?`:                         "an unknown sender",
	`crowds?`:                            "many at the same time",
	`lonely`:                             "alone",
	`fly|flying|flies`:                   "in flight, being sent",
	`weighs?|lighten(s|ed)?`:             "size, make smaller",
	`sheds?|spills?`:                     "park, drop",
	`tally|tallies|reckons?`:             "count, compute",
	`gates?|guards?`:                     "access rule, limit",
	`proofs?|proves?|proved|unproved`:    "authentication, authenticated, show",
	`door`:                               "public listener",
	`bury|buries|buried`:                 "give up, dead letter",
	`(go|goes|going|went|goon) on`:       "continue",
	`starts running|(times|row) running`: "consecutive",
	`has the say|think up|united`:        "decides, generate, merged",
	`for ever|hitherto|thereby|whereof`:  "a common word",
	`else(\.|;|:|\)|$)`:                  "otherwise",
	`should (it|they|he|she)`:            "if",
}

// longestCell is how many characters a cell of a table may have: more is a paragraph.
const longestCell = 120

// longSentence is how many words a sentence may have before the report counts it.
const longSentence = 25

// document is a page that people read.
type document struct {
	path  string // from the root of the project
	lines []string
	code  []bool // lines in code blocks and comments
}

// documents are all pages of the project.
func documents(t *testing.T) []document {
	t.Helper()
	var all []document
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, newDocument(filepath.ToSlash(name), string(text)))
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d pages", len(all))
	}
	return all
}

func newDocument(path, text string) document {
	d := document{path: path, lines: strings.Split(text, "\n")}
	fence, comment := "", false
	for _, line := range d.lines {
		start := strings.TrimLeft(line, " ")
		ticks := start[:len(start)-len(strings.TrimLeft(start, "`"))]
		switch {
		case fence != "":
			d.code = append(d.code, true)
			if strings.TrimRight(start, " ") == fence {
				fence = ""
			}
			continue
		case len(ticks) >= 3:
			fence = ticks
			d.code = append(d.code, true)
			continue
		}
		comment = comment || strings.HasPrefix(start, "<!--")
		d.code = append(d.code, comment)
		comment = comment && !strings.Contains(line, "-->")
	}
	return d
}

var (
	codeSpan   = regexp.MustCompile("(`+)[^`]+(`+)")
	otherThan  = regexp.MustCompile(`(?i)\b(no|any|every|some)(thing|body|one|where) else\b`)
	linkTarget = regexp.MustCompile(`\]\([^)]*\)`)
	rowRule    = regexp.MustCompile(`^\|[-|: ]+\|$`)
	listMark   = regexp.MustCompile(`^\s*([-*+]|\d+\.)\s+|^#+\s+|^>\s?`)
	sentence   = regexp.MustCompile(`([^.!?]|[.!?]+["”)]*\S)+([.!?]+["”)]*(\s|$)|$)`)
	inverted   = regexp.MustCompile(`^(Is|Are|Was|Does|Do|Has|Should|Were|Had) `)
)

// prose is a line without its code and the targets of its links, and without "nothing
// else" and its like, where else is the common word.
func prose(line string) string {
	line = codeSpan.ReplaceAllString(line, "CODE")
	line = otherThan.ReplaceAllString(line, "other")
	return linkTarget.ReplaceAllString(line, "]")
}

// cells are those of a row of a table, as they are shown.
func cells(line string) []string {
	line = strings.ReplaceAll(linkTarget.ReplaceAllString(line, "]"), `\|`, "¦")
	all := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
	for i, c := range all {
		all[i] = strings.TrimSpace(c)
	}
	return all
}

// sentences are those of a page, each with the line on which its paragraph begins. Rows
// of tables are none.
func (d document) sentences() map[int][]string {
	all := map[int][]string{}
	paragraph, first := "", 0
	end := func() {
		for _, s := range sentence.FindAllString(paragraph, -1) {
			if s = strings.TrimSpace(s); s != "" {
				all[first] = append(all[first], s)
			}
		}
		paragraph = ""
	}
	for i, line := range d.lines {
		text := strings.TrimSpace(line)
		if d.code[i] || text == "" || strings.HasPrefix(text, "|") {
			end()
			continue
		}
		if listMark.MatchString(line) {
			end()
		}
		if paragraph == "" {
			first = i + 1
		}
		paragraph += listMark.ReplaceAllString(prose(line), "") + " "
	}
	end()
	return all
}

// findings are the avoided words of a text.
func findings(text string, forbidden map[*regexp.Regexp]string) []string {
	var all []string
	for _, pattern := range slices.SortedFunc(maps.Keys(forbidden), func(a, b *regexp.Regexp) int { return strings.Compare(a.String(), b.String()) }) {
		if word := pattern.FindString(text); word != "" {
			all = append(all, fmt.Sprintf("%q: write %s", word, forbidden[pattern]))
		}
	}
	return all
}

func forbiddenWords() map[*regexp.Regexp]string {
	all := map[*regexp.Regexp]string{}
	for word, instead := range avoided {
		end := `\b`
		if strings.HasSuffix(word, ")") && strings.HasPrefix(word, "else") {
			end = ""
		}
		all[regexp.MustCompile(`(?i)\b(`+word+`)`+end)] = instead
	}
	return all
}

// TestDocsWords: the pages use common words, and no condition begins with a verb.
func TestDocsWords(t *testing.T) {
	t.Parallel()
	forbidden := forbiddenWords()
	for _, d := range documents(t) {
		for i, line := range d.lines {
			if d.code[i] {
				continue
			}
			for _, f := range findings(prose(line), forbidden) {
				t.Errorf("%s:%d: %s", d.path, i+1, f)
			}
		}
		for line, all := range d.sentences() {
			for _, s := range all {
				if inverted.MatchString(s) && strings.HasSuffix(s, ".") && strings.Contains(s, ", ") {
					t.Errorf("%s:%d: begin the condition with if: %s", d.path, line, s)
				}
			}
		}
	}
}

// TestHelpWords: the help of every command uses common words.
func TestHelpWords(t *testing.T) {
	t.Parallel()
	forbidden := forbiddenWords()
	commands := append(relayCommands(t), nil)
	for _, command := range commands {
		for _, f := range findings(help(t, command...), forbidden) {
			t.Errorf("relay %s --help: %s", strings.Join(command, " "), f)
		}
	}
	if len(commands) < 15 {
		t.Errorf("only %d commands were found", len(commands))
	}
}

// TestDocsCells: a cell of a table is read at one glance.
func TestDocsCells(t *testing.T) {
	t.Parallel()
	tables := 0
	for _, d := range documents(t) {
		for i, line := range d.lines {
			if d.code[i] || !strings.HasPrefix(line, "|") {
				continue
			}
			if rowRule.MatchString(line) {
				tables++
				continue
			}
			for _, c := range cells(line) {
				if n := utf8.RuneCountInString(c); n > longestCell {
					t.Errorf("%s:%d: a cell of %d characters, at most %d: %.60s…", d.path, i+1, n, longestCell, c)
				}
			}
		}
	}
	if tables < 30 {
		t.Errorf("only %d tables were found", tables)
	}
}

// TestDocsLinks: every link within the project leads to a file, and to a heading of it.
func TestDocsLinks(t *testing.T) {
	t.Parallel()
	pages := map[string]document{}
	for _, d := range documents(t) {
		pages[d.path] = d
	}
	links := 0
	for _, d := range pages {
		for i, line := range d.lines {
			if d.code[i] {
				continue
			}
			for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, ""), -1) {
				if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
					continue
				}
				links++
				path, fragment, _ := strings.Cut(m[1], "#")
				target := d.path
				if path != "" {
					target = filepath.ToSlash(filepath.Join(filepath.Dir(d.path), path))
				}
				if _, err := os.Stat(filepath.Join(root, target)); err != nil {
					t.Errorf("%s:%d: the link to %s leads nowhere", d.path, i+1, m[1])
				} else if fragment != "" && !slices.Contains(pages[target].anchors(), fragment) {
					t.Errorf("%s:%d: %s has no heading #%s", d.path, i+1, target, fragment)
				}
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found", links)
	}
}

// anchors are those of a page's headings, as GitLab and GitHub make them: one that comes
// again has a number.
func (d document) anchors() []string {
	var all []string
	times := map[string]int{}
	for i, line := range d.lines {
		m := anyHeading.FindStringSubmatch(line)
		if d.code[i] || m == nil {
			continue
		}
		name := strings.ReplaceAll(unanchored.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		if n := times[name]; n > 0 {
			all = append(all, fmt.Sprintf("%s-%d", name, n))
		} else {
			all = append(all, name)
		}
		times[name]++
	}
	return all
}

// TestDocsSentences reports how long the sentences of each page are: go test ./test -run
// TestDocsSentences -v. It fails on nothing.
func TestDocsSentences(t *testing.T) {
	for _, d := range documents(t) {
		type long struct {
			line, words int
			text        string
		}
		var lengths []int
		var over []long
		for line, all := range d.sentences() {
			for _, s := range all {
				n := len(strings.Fields(s))
				if lengths = append(lengths, n); n > longSentence {
					over = append(over, long{line, n, s})
				}
			}
		}
		if len(lengths) == 0 {
			continue
		}
		slices.Sort(lengths)
		slices.SortFunc(over, func(a, b long) int { return cmp.Or(b.words-a.words, a.line-b.line) })
		t.Logf("%-22s %4d sentences, median %2d words, one in ten above %2d, longer than %d: %d",
			d.path, len(lengths), lengths[len(lengths)/2], lengths[len(lengths)*9/10], longSentence, len(over))
		for _, o := range over[:min(3, len(over))] {
			t.Logf("    line %d, %d words: %.100s", o.line, o.words, o.text)
		}
	}
}

// TestWordsOfDocument: code, comments and links are not read as text.
func TestWordsOfDocument(t *testing.T) {
	d := newDocument("page.md", strings.Join([]string{
		"# The door", "", "<!-- anew -->", "Say `anew` once. Is it down, wait.", "```sh", "go on", "```", "| a [b](c|d) | e\\|f |", "# The door",
	}, "\n"))
	forbidden := forbiddenWords()
	var found []string
	for i, line := range d.lines {
		if !d.code[i] {
			found = append(found, findings(prose(line), forbidden)...)
		}
	}
	if len(found) != 2 {
		t.Errorf("found %q, want the two headings", found)
	}
	if got := d.sentences()[4]; len(got) != 2 || !inverted.MatchString(got[1]) {
		t.Errorf("sentences %q", got)
	}
	if got := d.anchors(); !slices.Equal(got, []string{"the-door", "the-door-1"}) {
		t.Errorf("anchors %q", got)
	}
	if got := cells(d.lines[7]); len(got) != 2 || got[0] != "a [b]" {
		t.Errorf("cells %q", got)
	}
}

// TestMessageWords: what the program says to people uses common words too: errors, hints,
// log lines and reports, which are the texts in the code with a space in them.
func TestMessageWords(t *testing.T) {
	t.Parallel()
	forbidden := forbiddenWords()
	texts := 0
	for _, folder := range []string{"cmd/relay", "server", "dispatch", "delivery", "queue", "configs", "routes", "formatters", "events"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				l, ok := n.(*ast.BasicLit)
				if !ok || l.Kind != token.STRING || !strings.Contains(l.Value, " ") {
					return true
				}
				texts++
				for _, f := range findings(prose(l.Value), forbidden) {
					t.Errorf("%s: %s in %.80s", set.Position(l.Pos()), f, l.Value)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if texts < 500 {
		t.Errorf("only %d texts were found", texts)
	}
}
