package events

import "math/bits"

// A payload is searched eight bytes at a time: taken as one number, of which a
// few instructions tell whether, and where, it holds a certain byte.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// eight are the bytes from i, of which the first is the lowest of the number.
// The compiler makes one load of it.
func eight(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// holding has the high bit set of the lowest byte of word that is c, and of none
// below it.
func holding(word uint64, c byte) uint64 {
	word ^= ones * uint64(c) // now the byte is 0, and minus 1 borrows
	return (word - ones) &^ word & highs
}

// lowest is the index of the lowest byte that is marked.
func lowest(marked uint64) int { return bits.TrailingZeros64(marked) / 8 }

// nextSpecial is the first place from i of a byte that does not stand for itself
// in a string: a quote, a backslash or a control character; len(s) if there is
// none.
func nextSpecial(s string, i int) int {
	const space = 0x20
	for ; i+8 <= len(s); i += 8 {
		word := eight(s, i)
		control := (word - ones*space) &^ word & highs // below 0x20, the minus borrows
		if found := holding(word, '"') | holding(word, '\\') | control; found != 0 {
			return i + lowest(found)
		}
	}
	for i < len(s) && s[i] >= space && s[i] != '"' && s[i] != '\\' {
		i++
	}
	return i
}
