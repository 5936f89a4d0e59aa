package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestCurrent fails on a page that is missing, stale or left over.
func TestCurrent(t *testing.T) {
	const update = "run: go run ./docs/rules/generate"
	want, err := pages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		have, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Errorf("%v; %s", err, update)
		} else if string(have) != want[name] {
			t.Errorf("docs/rules/%s is stale; %s", name, update)
		}
	}
	files, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if _, ok := want[filepath.Base(path)]; !ok {
			t.Errorf("docs/rules/%s is of no rule; %s", filepath.Base(path), update)
		}
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	leftOver := filepath.Join(dir, "pss-of-the-past.md")
	if err := os.WriteFile(leftOver, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(leftOver); !os.IsNotExist(err) {
		t.Errorf("the page of a rule that is no more is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "pss-privileged.md")); err != nil {
		t.Error(err)
	}
}
