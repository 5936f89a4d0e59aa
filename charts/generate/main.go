// Command generate writes what follows from the chart's values.yaml, so that it
// is said in one place:
//
//	go run ./charts/generate [CHART]
//
// The comments above a value describe it; a comment that begins with @schema
// adds JSON Schema to what the default value says. From these it writes
// values.schema.json (schema.go), where nothing may be given that is not
// described, and the table in README.md (readme.go). The schema of a tenant's
// spec is the generated CRD's (crd.go).
//
// A test fails when the written files are not current.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	chart := "charts/bulkhead"
	if len(os.Args) > 1 {
		chart = os.Args[1]
	}
	if err := run(chart); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(chart string) error {
	files, err := generate(chart)
	if err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(chart, name), data, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// generate returns the files by their names in the chart.
func generate(chart string) (map[string][]byte, error) {
	root, err := readValues(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return nil, err
	}
	tenantSpec, err := readTenantSpec(filepath.Join(chart, "crds", "bulkhead.dev_tenants.yaml"))
	if err != nil {
		return nil, err
	}
	schema, err := valuesSchema(root, tenantSpec)
	if err != nil {
		return nil, err
	}
	readme, err := os.ReadFile(filepath.Join(chart, "README.md"))
	if err != nil {
		return nil, fmt.Errorf("read the chart's README: %w", err)
	}
	readme, err = insertTable(readme, valuesTable(root))
	if err != nil {
		return nil, err
	}
	return map[string][]byte{"values.schema.json": schema, "README.md": readme}, nil
}
