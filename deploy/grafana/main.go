// Command grafana prints the dashboard of relay, which it makes of panels.tsv:
//
//	go run ./deploy/grafana > deploy/grafana/relay-overview.json
package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

//go:embed panels.tsv
var table string

func main() {
	text, err := dashboard(table)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = os.Stdout.Write(text) // nobody is left to tell
}

type object = map[string]any

// columns are the panels beside each other, and their size; Grafana's grid has 24
// units in a row.
const columns, width, height = 3, 8, 8

// dashboard is the JSON of the dashboard for a table of row, title, unit, legend and
// query.
func dashboard(table string) ([]byte, error) {
	var panels []object
	var row string
	x, y := 0, 0
	add := func(p object) {
		p["id"] = len(panels) + 1
		panels = append(panels, p)
	}
	_, lines, _ := strings.Cut(table, "\n") // the first line names the columns
	for line := range strings.Lines(lines) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 {
			return nil, fmt.Errorf("panels.tsv: %d columns, not 5: %s", len(f), line)
		}
		if f[0] != row {
			if row != "" {
				y += height
			}
			row, x = f[0], 0
			add(object{"type": "row", "title": row, "collapsed": false, "panels": []object{}, "gridPos": object{"x": 0, "y": y, "w": 24, "h": 1}})
			y++
		} else if x == columns {
			x, y = 0, y+height
		}
		add(panel(f[1], f[2], f[3], f[4], object{"x": x * width, "y": y, "w": width, "h": height}))
		x++
	}
	text, err := json.MarshalIndent(object{
		"uid": "relay-overview", "title": "relay", "tags": []string{"relay"}, "schemaVersion": 39, "version": 1, "editable": true,
		"refresh": "30s", "time": object{"from": "now-6h", "to": "now"}, "timezone": "browser",
		"templating": object{"list": variables()}, "panels": panels,
	}, "", "  ")
	return append(text, '\n'), err
}

var source = object{"type": "prometheus", "uid": "$datasource"}

func panel(title, unit, legend, query string, at object) object {
	return object{
		"type": "timeseries", "title": title, "datasource": source, "gridPos": at,
		"fieldConfig": object{"defaults": object{"unit": unit, "min": 0, "custom": object{"fillOpacity": 10, "showPoints": "never"}}, "overrides": []object{}},
		"options":     object{"legend": object{"displayMode": "list", "placement": "bottom"}, "tooltip": object{"mode": "multi"}},
		"targets":     []object{{"refId": "A", "datasource": source, "expr": query, "legendFormat": legend}},
	}
}

// variables are the choices at the top of the dashboard.
func variables() []object {
	label := func(name, query string) object {
		return object{
			"type": "query", "name": name, "datasource": source, "query": query, "refresh": 2, "sort": 1,
			"multi": true, "includeAll": true, "allValue": ".*", "current": object{"text": "All", "value": "$__all"},
		}
	}
	return []object{
		{"type": "datasource", "name": "datasource", "query": "prometheus"},
		label("job", "label_values(relay_build_info, job)"),
		label("instance", `label_values(relay_build_info{job=~"$job"}, instance)`),
		label("destination", `label_values(relay_deliveries_total{job=~"$job"}, destination)`),
	}
}
