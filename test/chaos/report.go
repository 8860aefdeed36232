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
	b.WriteString(promises + catalogue())
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

// table is a section with new results in place of old ones: a row for each scenario,
// then the figures of each.
func table(old string, s settings, here machine, results []result) string {
	rows, figures := parseSection(old)
	for _, r := range results {
		rows[r.name], figures[r.name] = r.row(), r.figureTable()
	}
	command := "`make chaos`"
	if s.full {
		command = "`make chaos-full`"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, on %s. One scenario alone, with another seed: `go run ./test/chaos %s-only NAME -seed N`.\n\n", command, here, map[bool]string{true: "-full "}[s.full])
	b.WriteString("| scenario | violations | most memory | seed | took | commit and day |\n|---|---|---|---|---|---|\n")
	for _, sc := range scenarios {
		b.WriteString(rows[sc.name])
	}
	for _, sc := range scenarios {
		if figures[sc.name] != "" {
			fmt.Fprintf(&b, "\n### `%s`%s\n\n%s", sc.name, map[bool]string{true: ", full"}[s.full], figures[sc.name])
		}
	}
	return b.String()
}

// parseSection is what an old section says of each scenario: its row, and its table of
// figures.
func parseSection(section string) (rows, figures map[string]string) {
	rows, figures = map[string]string{}, map[string]string{}
	summary, tables, _ := strings.Cut(section, "\n### `")
	for line := range strings.Lines(summary) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "` |"); ok && strings.HasPrefix(line, "| `") {
			rows[name] = line
		}
	}
	for part := range strings.SplitSeq(tables, "\n### `") {
		name, _, _ := strings.Cut(part, "`")
		if _, text, ok := strings.Cut(part, "\n\n"); ok {
			figures[name] = strings.TrimRight(text, "\n") + "\n"
		}
	}
	return rows, figures
}

// catalogue says what each scenario does.
func catalogue() string {
	var b strings.Builder
	b.WriteString("\n## The scenarios\n\n")
	for _, sc := range scenarios {
		fmt.Fprintf(&b, "- **`%s`**: %s\n", sc.name, sc.what)
	}
	return b.String()
}

// row is a result as a line of the table.
func (r result) row() string {
	memory, found := fmt.Sprintf("%d MiB", r.most>>20), r.kinds()
	if r.skipped != "" {
		memory, found = "", "not run: "+strings.TrimPrefix(r.skipped, "skipped: ")
	}
	return fmt.Sprintf("| `%s` | %s | %s | %d | %s | %s |\n", r.name, cell(found), memory, r.seed, r.took.Round(time.Second), r.tree)
}

// figureTable is what was counted and timed, one row a figure.
func (r result) figureTable() string {
	if len(r.figures)+len(r.times) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| figure | measured | target |\n|---|---|---|\n")
	for _, f := range r.figures {
		fmt.Fprintf(&b, "| %s | %s | |\n", cell(f.name), thousands(f.n))
	}
	for _, t := range r.times {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(t.label()), t.text(), t.goal())
	}
	return b.String()
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
