package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Headings of the two tables.
const (
	shortHeading = "## Short counts"
	fullHeading  = "## Full counts"
)

// writeReport writes docs/RELIABILITY.md. Rows of scenarios that were not run
// stay as they are.
func writeReport(s settings, here machine, results []result) error {
	old, err := os.ReadFile(s.report)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(s.report, []byte(report(string(old), s, here, results)), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// report is the page with new figures in it.
func report(old string, s settings, here machine, results []result) string {
	var b strings.Builder
	b.WriteString(promises)
	for _, heading := range []string{shortHeading, fullHeading} {
		section := sectionOf(old, heading)
		if full := heading == fullHeading; full == s.full {
			section = table(section, s, here, results)
		}
		if section == "" {
			section = "Not run yet.\n"
		}
		fmt.Fprintf(&b, "\n%s\n\n%s", heading, section)
	}
	return b.String()
}

// sectionOf is what stands under a heading.
func sectionOf(page, heading string) string {
	_, rest, ok := strings.Cut(page, "\n"+heading+"\n\n")
	if !ok {
		return ""
	}
	section, _, _ := strings.Cut(rest, "\n## ")
	if section = strings.TrimRight(section, "\n") + "\n"; section == "Not run yet.\n" {
		return ""
	}
	return section
}

// table is a section with the rows of new results in place of old ones.
func table(old string, s settings, here machine, results []result) string {
	rows := map[string]string{}
	for line := range strings.Lines(old) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "` |"); ok && strings.HasPrefix(line, "| `") {
			rows[name] = line
		}
	}
	for _, r := range results {
		rows[r.name] = r.row()
	}
	command := "`make chaos`"
	if s.full {
		command = "`make chaos-full`"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, on %s. One scenario alone, with another seed: `go run ./test/chaos %s-only NAME -seed N`.\n\n", command, here, map[bool]string{true: "-full "}[s.full])
	b.WriteString("| scenario | what is done | counted | timed | most memory | violations | seed | took | tree and day |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, sc := range scenarios {
		b.WriteString(rows[sc.name])
	}
	return b.String()
}

// row is a result as a line of the table.
func (r result) row() string {
	memory, times := fmt.Sprintf("%d MiB", r.most>>20), strings.Join(r.times, " · ")
	counts := r.counts()
	if r.skipped != "" {
		memory, counts = "", r.skipped
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s | %d | %s | %s |\n", r.name, cell(r.what), cell(counts), cell(times), memory, r.kinds(), r.seed, r.took.Round(time.Second), r.tree)
}

// kinds are the violations, counted by kind.
func (r result) kinds() string {
	count := map[string]int{}
	for _, v := range r.violations {
		count[v.kind]++
	}
	if len(count) == 0 {
		return "none"
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%s %s", k, thousands(count[k])))
	}
	return strings.Join(parts, ", ")
}

// cell is text that may stand in a table.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(text)
}
