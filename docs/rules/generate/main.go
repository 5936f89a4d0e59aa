// Command generate writes docs/rules from the METADATA of the Rego rules: one page a
// rule, named by its id, and a README that lists them. Run it in the repository's
// root: go run ./docs/rules/generate
package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/bulkhead-dev/bulkhead/rego"
)

//go:embed pages.tmpl
var templates string

func main() {
	if err := run(context.Background(), "docs/rules"); err != nil {
		fmt.Fprintln(os.Stderr, "generate rule pages:", err)
		os.Exit(1)
	}
}

// run writes all pages into dir and removes those of rules that are no more.
func run(ctx context.Context, dir string) error {
	want, err := pages(ctx)
	if err != nil {
		return err
	}
	have, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return err
	}
	for _, path := range have {
		if _, ok := want[filepath.Base(path)]; !ok {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for name, text := range want {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pages returns the text of every page, by file name.
func pages(ctx context.Context) (map[string]string, error) {
	engine, err := rego.New(ctx, nil)
	if err != nil {
		return nil, err
	}
	parsed, err := template.New("").Funcs(template.FuncMap{"join": strings.Join}).Parse(templates)
	if err != nil {
		return nil, err
	}
	result := map[string]string{}
	render := func(file, name string, data any) error {
		var text strings.Builder
		if err := parsed.ExecuteTemplate(&text, name, data); err != nil {
			return err
		}
		result[file] = strings.TrimSpace(text.String()) + "\n"
		return nil
	}
	if err := render("README.md", "index", engine.Rules()); err != nil {
		return nil, err
	}
	for _, rule := range engine.Rules() {
		if err := render(rule.ID+".md", "rule", rule); err != nil {
			return nil, err
		}
	}
	return result, nil
}
