package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The table of values stands between these lines of README.md.
const (
	tableBegin = "<!-- values: written by `go run ./charts/generate` -->\n"
	tableEnd   = "<!-- end of values -->\n"
)

// valuesTable makes a Markdown table with one row for each value that can be
// set by itself.
func valuesTable(values []value) string {
	var table strings.Builder
	table.WriteString("| Value | Default | What it is |\n|---|---|---|\n")
	writeRows(&table, values)
	return table.String()
}

func writeRows(table *strings.Builder, values []value) {
	for _, v := range values {
		if len(v.children) > 0 {
			writeRows(table, v.children)
			continue
		}
		fmt.Fprintf(table, "| `%s` | `%s` | %s |\n", v.path, defaultText(v.node), strings.ReplaceAll(v.description, "|", `\|`))
	}
}

// defaultText is a default as JSON, which is YAML too.
func defaultText(node *yaml.Node) string {
	var decoded any
	if err := node.Decode(&decoded); err != nil {
		return node.Value
	}
	text, err := json.Marshal(decoded)
	if err != nil {
		return node.Value
	}
	return string(text)
}

func insertTable(readme []byte, table string) ([]byte, error) {
	before, rest, found := bytes.Cut(readme, []byte(tableBegin))
	_, after, ended := bytes.Cut(rest, []byte(tableEnd))
	if !found || !ended {
		return nil, fmt.Errorf("README.md: no lines %q and %q for the table of values", tableBegin, tableEnd)
	}
	return fmt.Appendf(nil, "%s%s%s%s%s", before, tableBegin, table, tableEnd, after), nil
}
