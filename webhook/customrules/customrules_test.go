package customrules

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"

	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// set answers with the names of its modules.
type set map[string]string

func (s set) Evaluate(context.Context, rego.Input) (rego.Result, error) {
	return rego.Result{Rules: len(s)}, nil
}

func (s set) Canonical(in rego.Input) rego.Input { return in }

// compile refuses modules that say so.
func compile(_ context.Context, modules map[string]string) (webhook.Engine, error) {
	for _, source := range modules {
		if strings.Contains(source, "bad") {
			return nil, errors.New("does not compile")
		}
	}
	return set(modules), nil
}

func write(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, source := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func modules(t *testing.T, e *Rules) int {
	t.Helper()
	result, err := e.Current().Evaluate(t.Context(), rego.Input{})
	if err != nil {
		t.Fatal(err)
	}
	return result.Rules
}

func TestReload(t *testing.T) {
	folder := t.TempDir()
	registry := metrics.NewKubeRegistry()
	write(t, folder, map[string]string{"a.rego": "good", "a_test.rego": "bad", ".a.rego.swp": "bad"})
	e, err := New(t.Context(), folder, compile, NewMetrics(registry))
	if err != nil {
		t.Fatal(err)
	}
	check := func(step string, want int, refused string) {
		t.Helper()
		if got := modules(t, e); got != want {
			t.Errorf("%s: %d modules in use, want %d", step, got, want)
		}
		if err := testutil.GatherAndCompare(registry, strings.NewReader(
			"# HELP bulkhead_custom_rules_refused [ALPHA] 1 while the custom rules that are there were refused and an older set is in use.\n"+
				"# TYPE bulkhead_custom_rules_refused gauge\nbulkhead_custom_rules_refused "+refused+"\n"), "bulkhead_custom_rules_refused"); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
	check("at start", 1, "0")
	write(t, folder, map[string]string{"b.rego": "good"})
	e.reload(t.Context())
	check("one more", 2, "0")
	write(t, folder, map[string]string{"c.rego": "bad"})
	for range 3 { // it is refused once
		e.reload(t.Context())
	}
	check("a bad one", 2, "1")
	write(t, folder, map[string]string{"c.rego": "good"})
	e.reload(t.Context())
	check("corrected", 3, "0")
	misspelt := filepath.Join(folder, "d.rgo")
	write(t, folder, map[string]string{"d.rgo": "good"})
	for range 3 { // it is told once
		e.reload(t.Context())
	}
	check("a misspelt name", 3, "1")
	if err := os.Remove(misspelt); err != nil {
		t.Fatal(err)
	}
	e.reload(t.Context())
	check("it is gone", 3, "0")
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP bulkhead_custom_rules_loads_total [ALPHA] Number of times that a changed set of custom rules was read, by result (taken or refused).
# TYPE bulkhead_custom_rules_loads_total counter
bulkhead_custom_rules_loads_total{result="refused"} 2
bulkhead_custom_rules_loads_total{result="taken"} 4
`), "bulkhead_custom_rules_loads_total"); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	e.reload(t.Context())
	check("the folder is gone", 3, "1")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, folder, map[string]string{"a.rego": "good", "b.rego": "good", "c.rego": "good"})
	e.reload(t.Context())
	check("the folder is back", 3, "0")
}

// TestProjectedVolume reads as the kubelet lays a ConfigMap out.
func TestProjectedVolume(t *testing.T) {
	folder := t.TempDir()
	for version, files := range map[string]map[string]string{"..1": {"a.rego": "good"}, "..2": {"a.rego": "good", "b.rego": "better"}} {
		if err := os.Mkdir(filepath.Join(folder, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, version), files)
	}
	link := func(version string) {
		t.Helper()
		next := filepath.Join(folder, "..next")
		if err := os.Symlink(version, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(folder, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	link("..1")
	e, err := New(t.Context(), folder, compile, NewMetrics(metrics.NewKubeRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	if got := modules(t, e); got != 1 {
		t.Errorf("%d modules", got)
	}
	link("..2")
	e.reload(t.Context())
	if got := modules(t, e); got != 2 {
		t.Errorf("%d modules after the swap", got)
	}
}

func TestNewFails(t *testing.T) {
	bad, large, misspelt, nested := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	write(t, misspelt, map[string]string{"a.rego": "good", "b.rgo": "good"})
	if err := os.Mkdir(filepath.Join(nested, "more"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, bad, map[string]string{"a.rego": "bad"})
	write(t, large, map[string]string{"a.rego": strings.Repeat("#", maxBytes+1)})
	for name, folder := range map[string]string{"a bad rule": bad, "no folder": filepath.Join(bad, "none"), "too large": large, "a misspelt name": misspelt, "a folder in it": nested} {
		t.Run(name, func(t *testing.T) {
			if e, err := New(t.Context(), folder, compile, NewMetrics(metrics.NewKubeRegistry())); err == nil || e != nil {
				t.Errorf("engine %v, error %v", e, err)
			}
		})
	}
}
