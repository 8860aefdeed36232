package server

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// SourceStatus is what came from one source to this relay since its start.
type SourceStatus struct {
	Name        string            `json:"name"`
	Paths       []string          `json:"paths"`
	Proofs      map[string]uint64 `json:"proofs"` // webhooks by how they were authenticated
	Accepted    uint64            `json:"accepted"`
	Refused     uint64            `json:"refused"`
	Last        time.Time         `json:"last_accepted,omitzero"`
	LastRefused time.Time         `json:"last_refused,omitzero"`
	LastResult  string            `json:"last_refusal,omitempty"` // why, as relay_webhooks_received_total calls it
}

// SourceList is all sources in force.
type SourceList struct {
	Sources []SourceStatus `json:"sources"`
	Since   time.Time      `json:"since"` // when the counts began
}

// sources lists them: GET /api/v1/sources.
func (a *api) sources(context.Context, *question) (any, error) { return a.relay.Sources(), nil }

// ledger counts what came from each source.
type ledger struct {
	began time.Time

	mu       sync.Mutex
	bySource map[string]*SourceStatus
}

func newLedger() *ledger { return &ledger{began: time.Now(), bySource: map[string]*SourceStatus{}} }

// of returns the counts of a source. The lock is held.
func (l *ledger) of(source string) *SourceStatus {
	s := l.bySource[source]
	if s == nil {
		s = &SourceStatus{Name: source, Proofs: map[string]uint64{}}
		l.bySource[source] = s
	}
	return s
}

// webhook counts the result of one request.
func (l *ledger) webhook(source, result string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.of(source)
	if result == "accepted" {
		s.Accepted++
		s.Last = now.UTC()
		return
	}
	s.Refused++
	s.LastRefused, s.LastResult = now.UTC(), result
}

// proof counts how a request was authenticated.
func (l *ledger) proof(source, by string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(source).Proofs[by]++
}

// Sources returns the counts of the current sources, sorted by name.
func (d *Door) Sources() SourceList {
	list := SourceList{Sources: []SourceStatus{}, Since: d.seen.began.UTC()}
	named := map[string][]string{}
	for _, s := range *d.sources.Load() {
		named[s.Name] = s.Paths
	}
	d.seen.mu.Lock()
	defer d.seen.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(named)) {
		status := *d.seen.of(name)
		status.Paths, status.Proofs = named[name], maps.Clone(status.Proofs)
		list.Sources = append(list.Sources, status)
	}
	return list
}
