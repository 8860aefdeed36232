package configs

const maxCandidates = 500

// Suggest returns the candidate that a mistyped word most likely meant: within
// two letters (an exchange of neighbours counts as one), and near enough for
// its length. It is empty when there is none. Of equals the first wins. It looks
// at the first maxCandidates.
func Suggest(word string, candidates []string) string {
	best, bestDistance := "", 3
	for _, c := range candidates[:min(len(candidates), maxCandidates)] {
		if d := distance(word, c); d > 0 && d < bestDistance && d*2 < len(c)+1 {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove, change or exchange with
// their neighbour (optimal string alignment); 3 stands for more than two.
func distance(a, b string) int {
	const far = 3
	if a == b {
		return 0
	}
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) >= far || len(y)-len(x) >= far || len(x) > 200 {
		return far
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(y)], far)
}
