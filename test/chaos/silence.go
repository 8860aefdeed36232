package main

import (
	"maps"
	"slices"
	"time"
)

// silence is the longest time without a message since a moment.
func (l *ledger) silence(since time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	times := []time.Time{since, time.Now()}
	for _, p := range l.posts {
		if p.at.After(since) {
			times = append(times, p.at)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	longest := time.Duration(0)
	for i := 1; i < len(times); i++ {
		longest = max(longest, times[i].Sub(times[i-1]))
	}
	return longest
}

// firstSince is when the first message after a moment came; zero when none has.
func (l *ledger) firstSince(since time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	var first time.Time
	for i := len(l.posts) - 1; i >= 0; i-- {
		if at := l.posts[i].at; at.After(since) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// repeatsIn counts the messages that came again in a window, by address.
func (l *ledger) repeatsIn(w span) map[address]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	posts := slices.Clone(l.posts)
	slices.SortFunc(posts, func(a, b post) int { return a.seq - b.seq })
	seen, again := map[delivery]bool{}, map[address]int{}
	for _, p := range posts {
		d := delivery{p.event, p.to}
		if seen[d] && p.at.After(w.begin) && p.at.Before(w.end) {
			again[p.to]++
		}
		seen[d] = true
	}
	return again
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
