package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const chart = "../bulkhead"

func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := generate(chart)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(chart, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not current; run go run ./charts/generate (-want +got):\n%s", name, diff)
		}
	}
}

func TestReadValuesRefuses(t *testing.T) {
	for name, test := range map[string]struct{ yaml, want string }{
		"no description":    {"# A map.\na:\n  b: 1\n", "values.yaml: a.b has no description"},
		"only a schema":     {"# @schema {\"minimum\": 1}\na: 1\n", "values.yaml: a has no description"},
		"null":              {"# A null.\na:\n", "values.yaml: a: a default of type !!null says nothing of its type"},
		"list of something": {"# A list.\na: []\n", "values.yaml: a: no @schema says what is in the list"},
		"schema not JSON":   {"# A number.\n# @schema {minimum: 1}\na: 1\n", "values.yaml: a: @schema: invalid character 'm' looking for beginning of object key string"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(file, []byte(test.yaml), 0o644); err != nil {
				t.Fatal(err)
			}
			values, err := readValues(file)
			if err == nil {
				_, err = valuesSchema(values, nil)
			}
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}
