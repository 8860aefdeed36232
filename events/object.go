package events

import "errors"

// Errors of [CheckObject], short enough for the page on which GitLab shows a
// webhook's answer.
var (
	ErrNotObject = errors.New("not a JSON object")
	ErrNotJSON   = errors.New("not valid JSON")
	ErrTooDeep   = errors.New("nested more than 1000 deep")
)

// maxDepth is how deep objects and arrays may be nested, the outermost object
// included. GitLab's own payloads stay below ten.
const maxDepth = 1000

// CheckObject tells whether body is one valid JSON object (RFC 8259), nested at
// most 1,000 deep: [ErrNotObject], [ErrNotJSON], [ErrTooDeep] or nil. It reads
// the bytes once, in order, without recursion and without allocating, so no
// body can make it use more than a fixed amount of memory. As encoding/json
// does, it lets invalid UTF-8 in strings pass.
func CheckObject(body []byte) error {
	b := share(body)
	i := skipSpace(b, 0)
	if i == len(b) || b[i] != '{' {
		return ErrNotObject
	}
	var c checker
	i, err := c.value(b, i)
	if err != nil {
		return err
	}
	if skipSpace(b, i) != len(b) {
		return ErrNotJSON
	}
	return nil
}

// checker remembers which of the open brackets are objects, one bit each.
type checker struct {
	depth   int
	objects [(maxDepth + 63) / 64]uint64
}

func (c *checker) push(object bool) bool {
	if c.depth == maxDepth {
		return false
	}
	word, bit := c.depth/64, uint64(1)<<(c.depth%64)
	if object {
		c.objects[word] |= bit
	} else {
		c.objects[word] &^= bit
	}
	c.depth++
	return true
}

// inObject tells whether the innermost open bracket is an object's.
func (c *checker) inObject() bool {
	top := c.depth - 1
	return c.objects[top/64]&(1<<(top%64)) != 0
}

// value reads the object that starts at i, whatever is nested in it, and
// returns the index after it. Each round of the loop reads one value: a scalar
// whole, of a container its opening; then closes all that ends there.
func (c *checker) value(b string, i int) (int, error) {
	for {
		var opened bool
		var err error
		if i, opened, err = c.open(b, i); err != nil {
			return 0, err
		}
		if opened {
			continue
		}
		if i, err = c.close(b, i); err != nil {
			return 0, err
		}
		if c.depth == 0 {
			return i, nil
		}
	}
}

// open reads a scalar or an empty container whole (opened is false), or the
// start of a container up to its first value (opened is true).
func (c *checker) open(b string, i int) (next int, opened bool, err error) {
	if i == len(b) {
		return 0, false, ErrNotJSON
	}
	switch b[i] {
	case '{':
		if !c.push(true) {
			return 0, false, ErrTooDeep
		}
		i = skipSpace(b, i+1)
		if i < len(b) && b[i] == '}' {
			c.depth--
			return i + 1, false, nil
		}
		next = skipKey(b, i)
	case '[':
		if !c.push(false) {
			return 0, false, ErrTooDeep
		}
		i = skipSpace(b, i+1)
		if i < len(b) && b[i] == ']' {
			c.depth--
			return i + 1, false, nil
		}
		return i, true, nil
	default:
		next = skipScalar(b, i)
		if next < 0 {
			return 0, false, ErrNotJSON
		}
		return next, false, nil
	}
	if next < 0 {
		return 0, false, ErrNotJSON
	}
	return next, true, nil
}

// close reads what follows a value: any closing brackets, then a comma up to
// the next value, unless the outermost object ended.
func (c *checker) close(b string, i int) (int, error) {
	for c.depth > 0 {
		i = skipSpace(b, i)
		if i == len(b) {
			return 0, ErrNotJSON
		}
		object := c.inObject()
		switch {
		case b[i] == ',' && object:
			if i = skipKey(b, skipSpace(b, i+1)); i < 0 {
				return 0, ErrNotJSON
			}
			return i, nil
		case b[i] == ',':
			return skipSpace(b, i+1), nil
		case b[i] == '}' && object, b[i] == ']' && !object:
			c.depth--
			i++
		default:
			return 0, ErrNotJSON
		}
	}
	return i, nil
}

func skipSpace(b string, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipKey reads a key, its colon and the space around it; -1 if there is none.
func skipKey(b string, i int) int {
	if i == len(b) || b[i] != '"' {
		return -1
	}
	if i = skipString(b, i); i < 0 {
		return -1
	}
	i = skipSpace(b, i)
	if i == len(b) || b[i] != ':' {
		return -1
	}
	return skipSpace(b, i+1)
}

// skipScalar reads a string, number or literal; -1 if there is none.
func skipScalar(b string, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case 't':
		return skipLiteral(b, i, "true")
	case 'f':
		return skipLiteral(b, i, "false")
	case 'n':
		return skipLiteral(b, i, "null")
	}
	return skipNumber(b, i)
}

func skipLiteral(b string, i int, word string) int {
	if len(b)-i < len(word) || b[i:i+len(word)] != word {
		return -1
	}
	return i + len(word)
}

func skipString(b string, i int) int {
	for i++; i < len(b); i++ {
		if i = nextSpecial(b, i); i == len(b) {
			break
		}
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			if i = skipEscape(b, i); i < 0 {
				return -1
			}
		default:
			return -1
		}
	}
	return -1
}

// skipEscape returns the index of the last byte of the escape at i.
func skipEscape(b string, i int) int {
	if i+1 >= len(b) {
		return -1
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if i+5 >= len(b) {
			return -1
		}
		if !isHex(b[i+2]) || !isHex(b[i+3]) || !isHex(b[i+4]) || !isHex(b[i+5]) {
			return -1
		}
		return i + 5
	}
	return -1
}

func skipNumber(b string, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	start := i
	i = skipDigits(b, i)
	if i == start || b[start] == '0' && i > start+1 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		start = i + 1
		if i = skipDigits(b, start); i == start {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		start = i + 1
		if start < len(b) && (b[start] == '+' || b[start] == '-') {
			start++
		}
		if i = skipDigits(b, start); i == start {
			return -1
		}
	}
	return i
}

func skipDigits(b string, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
