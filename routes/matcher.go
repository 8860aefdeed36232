package routes

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// matcher is a glob made ready to be matched by following all its states at once:
// its steps are at most four times the product of the lengths of pattern and text,
// also where braces stand for millions of patterns. It matches what doublestar does,
// and besides `a/{**,b}` the folder `a`, as `a/**` does. A pattern that ends in a
// slash is none for us.
type matcher struct {
	code []element
	rest []bool // by element: what begins there matches the end of the text

	// What every text that matches begins and ends with, for a quick no.
	prefix, suffix string
}

type operation byte

const (
	opEnd    operation = iota
	opRune             // one character
	opAny              // ?
	opSet              // […]
	opStar             // one *; two in a row may be **
	opEither           // {…}: goes on at any of targets
	opJump             // from the end of an alternative
)

// element is one character of a pattern, or a set of them.
type element struct {
	op      operation
	char    rune
	escaped bool
	set     *runeSet
	targets []int
	next    int // where the pattern goes on behind it
}

// A state is an element with one of these, which say how it was come to.
const (
	inside   = iota // within the name of a file or folder
	atStart         // at the start of one
	inStar          // a * before the element takes characters
	inFolder        // a **/ before the element takes folders
	manners
)

// compileMatcher compiles a pattern that doublestar finds valid.
func compileMatcher(pattern string) *matcher {
	c := globParser{pattern: pattern}
	c.sequence(false)
	c.add(element{op: opEnd})
	m := &matcher{code: c.code}
	for i := range m.code {
		e := &m.code[i]
		if e.op == opJump {
			continue
		}
		e.next = m.at(i + 1)
		for j := range e.targets {
			e.targets[j] = m.at(e.targets[j])
		}
	}
	m.rest = m.ends()
	m.literals()
	return m
}

// at is the element itself, behind any jumps.
func (m *matcher) at(i int) int {
	for i < len(m.code) && m.code[i].op == opJump {
		i = m.code[i].next
	}
	return min(i, len(m.code)-1)
}

type globParser struct {
	pattern string
	pos     int
	code    []element
}

func (c *globParser) add(e element) { c.code = append(c.code, e) }

// sequence reads up to the end of the pattern, or of an alternative.
func (c *globParser) sequence(alternative bool) {
	for c.pos < len(c.pattern) {
		char, size := utf8.DecodeRuneInString(c.pattern[c.pos:])
		switch {
		case alternative && (char == ',' || char == '}'):
			return
		case char == '{':
			c.either()
			continue
		case char == '[':
			c.set()
			continue
		case char == '*':
			c.add(element{op: opStar})
		case char == '?':
			c.add(element{op: opAny})
		case char == '\\':
			c.pos++
			char, size = utf8.DecodeRuneInString(c.pattern[c.pos:])
			c.add(element{op: opRune, char: char, escaped: true})
		default:
			c.add(element{op: opRune, char: char})
		}
		c.pos += size
	}
}

// either reads {…}.
func (c *globParser) either() {
	head := len(c.code)
	c.add(element{op: opEither})
	var targets, ends []int
	for closed := false; !closed && c.pos < len(c.pattern); {
		c.pos++ // the brace or comma
		targets = append(targets, len(c.code))
		c.sequence(true)
		ends = append(ends, len(c.code))
		c.add(element{op: opJump})
		closed = c.pos < len(c.pattern) && c.pattern[c.pos] == '}'
	}
	c.pos++
	for _, end := range ends {
		c.code[end].next = len(c.code)
	}
	c.code[head].targets = targets
}

// set reads […].
func (c *globParser) set() {
	s := &runeSet{}
	c.pos++
	if char := c.pattern[c.pos]; char == '^' || char == '!' {
		s.not = true
		c.pos++
	}
	from := rune(-1)
	for c.pos < len(c.pattern) && c.pattern[c.pos] != ']' {
		char := c.char()
		if from >= 0 && char == '-' && c.pos < len(c.pattern) && c.pattern[c.pos] != ']' {
			if c.pattern[c.pos] == '\\' {
				c.pos++
			}
			s.ranges = append(s.ranges, [2]rune{from, c.char()})
			from = -1
			continue
		}
		if char == '\\' {
			char = c.char()
		}
		s.ranges = append(s.ranges, [2]rune{char, char})
		from = char
	}
	c.pos++
	c.add(element{op: opSet, set: s})
}

func (c *globParser) char() rune {
	char, size := utf8.DecodeRuneInString(c.pattern[c.pos:])
	c.pos += size
	return char
}

// runeSet is what stands in brackets.
type runeSet struct {
	not    bool
	ranges [][2]rune
}

func (s *runeSet) has(char rune) bool {
	in := slices.ContainsFunc(s.ranges, func(r [2]rune) bool { return r[0] <= char && char <= r[1] })
	return in != s.not
}

// atEnd are patterns that match the end of the text, as `/**` does behind a
// folder's name.
var atEnd = []string{"", "*", "**", "/**"}

// ends tells of each element whether what begins there is one of these.
func (m *matcher) ends() []bool {
	s := search{m, map[left]bool{}}
	out := make([]bool, len(m.code))
	for i := len(m.code) - 1; i >= 0; i-- { // from the end, so that no search goes deep
		out[i] = m.code[i].op != opJump && s.matchesEnd(left{element: i})
	}
	return out
}

type search struct {
	*matcher
	known map[left]bool
}

// left is a rest of the pattern, behind some of it that was read already.
type left struct {
	element int
	read    string
}

// matchesEnd tells whether what is left matches when nothing of the text is left.
func (m *search) matchesEnd(l left) (matches bool) {
	if is, ok := m.known[l]; ok {
		return is
	}
	defer func() { m.known[l] = matches }()
	e := &m.code[l.element]
	read := l.read
	switch {
	case e.op == opEnd:
		return slices.Contains(atEnd, read)
	case e.op == opEither:
		return slices.ContainsFunc(e.targets, func(t int) bool { return m.matchesEnd(left{t, read}) })
	case e.op == opStar:
		read += "*"
	case e.op == opRune && e.char == '/' && !e.escaped:
		read += "/"
	default:
		return false
	}
	return slices.ContainsFunc(atEnd, func(p string) bool { return strings.HasPrefix(p, read) }) && m.matchesEnd(left{e.next, read})
}

// literals finds what every text that matches begins and ends with. A slash at
// the end of it may be missing.
func (m *matcher) literals() {
	var b strings.Builder
	for i := 0; m.code[i].op == opRune && m.code[i].char != utf8.RuneError; i++ {
		b.WriteRune(m.code[i].char)
	}
	m.prefix = strings.TrimRight(b.String(), "/")
	from := len(m.code) - 1
	for from > 0 && m.code[from-1].op == opRune && m.code[from-1].char != '/' && m.code[from-1].char != utf8.RuneError {
		from--
	}
	b.Reset()
	for _, e := range m.code[from : len(m.code)-1] {
		b.WriteRune(e.char)
	}
	m.suffix = b.String()
}

// scratch is what a match works with.
type scratch struct {
	states, next []int
	seen         []uint32 // the turn in which a state was come to
	turn         uint32
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// matches tells whether the pattern matches the whole text.
func (m *matcher) matches(text string, steps *meter) bool {
	if !strings.HasPrefix(text, m.prefix) || !strings.HasSuffix(text, m.suffix) {
		return false
	}
	w := scratches.Get().(*scratch)
	defer scratches.Put(w)
	if need := len(m.code) * manners; len(w.seen) < need || w.turn > 1<<31 {
		*w = scratch{seen: make([]uint32, need)}
	}
	w.states, w.next = w.states[:0], w.next[:0]
	w.turn++
	w.goTo(m.at(0), atStart)
	for _, char := range text {
		w.states, w.next = w.next, w.states[:0]
		if m.follow(w) {
			return true
		}
		if !steps.spend(len(w.states)) {
			return false
		}
		w.turn++
		m.step(w, char)
	}
	for _, state := range w.next {
		if how := state % manners; (how == inside || how == atStart) && m.rest[state/manners] {
			return true
		}
	}
	return false
}

// goTo notes a state for the next character.
func (w *scratch) goTo(element, manner int) { w.next = w.add(w.next, element*manners+manner) }

func (w *scratch) add(to []int, state int) []int {
	if w.seen[state] == w.turn {
		return to
	}
	w.seen[state] = w.turn
	return append(to, state)
}

// follow adds the states that need no character. It tells whether one of them
// matches whatever comes.
func (m *matcher) follow(w *scratch) (all bool) {
	for i := 0; i < len(w.states); i++ {
		at, how := w.states[i]/manners, w.states[i]%manners
		if how == inStar || how == inFolder {
			continue
		}
		switch e := &m.code[at]; e.op {
		case opEither:
			for _, t := range e.targets {
				w.states = w.add(w.states, t*manners+how)
			}
		case opStar:
			after := e.next
			if m.code[after].op == opStar {
				after = m.code[after].next
				switch behind := &m.code[after]; {
				case how == atStart && behind.op == opEnd:
					return true
				case how == atStart && behind.op == opRune && behind.char == '/' && !behind.escaped:
					w.states = w.add(w.states, behind.next*manners+atStart)
					w.states = w.add(w.states, behind.next*manners+inFolder)
					continue
				}
			}
			w.states = w.add(w.states, after*manners+inside)
			w.states = w.add(w.states, after*manners+inStar)
		}
	}
	return false
}

// step goes from all states with a character to the next ones.
func (m *matcher) step(w *scratch, char rune) {
	for _, state := range w.states {
		at, how := state/manners, state%manners
		e := &m.code[at]
		switch {
		case how == inFolder:
			w.goTo(at, inFolder)
			if char == '/' {
				w.goTo(at, atStart)
			}
		case how == inStar:
			if char != '/' {
				w.goTo(at, inStar)
				w.goTo(at, inside)
			}
		case e.op == opRune && e.char == char:
			if char == '/' {
				w.goTo(e.next, atStart)
			} else {
				w.goTo(e.next, inside)
			}
		case e.op == opAny && char != '/', e.op == opSet && e.set.has(char):
			w.goTo(e.next, inside)
		}
	}
}
