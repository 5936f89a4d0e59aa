// Package docs holds the papers to the code: what docs/threat-model.md names must
// exist, and what exists must be named there.
package docs

import (
	"bufio"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/rego"
)

const repository = "../.."

// threats reads the rows of the threat model: the row's text by threat id.
func threats(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.Open(filepath.Join(repository, "docs", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	row := regexp.MustCompile(`^\| ([PSDLA][0-9]+) \|`)
	rows := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		match := row.FindStringSubmatch(lines.Text())
		if match == nil {
			continue
		}
		if rows[match[1]] != "" {
			t.Errorf("threat %s has two rows", match[1])
		}
		rows[match[1]] = lines.Text()
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestThreatModelNamesEveryRule holds rules and rows together, both ways.
func TestThreatModelNamesEveryRule(t *testing.T) {
	engine, err := rego.New(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := threats(t)
	rules := map[string][]string{} // threats by rule id
	for _, rule := range engine.Rules() {
		rules[rule.ID] = rule.Threats
		for _, threat := range rule.Threats {
			if !strings.Contains(rows[threat], "`"+rule.ID+"`") {
				t.Errorf("rule %s says that it answers to %s, whose row does not name it", rule.ID, threat)
			}
		}
	}
	named := regexp.MustCompile("`((?:fw|pss|svc)-[a-z-]+)`")
	for threat, row := range rows {
		for _, match := range named.FindAllStringSubmatch(row, -1) {
			if _, ok := rules[match[1]]; !ok {
				t.Errorf("the row of %s names rule %s, which does not exist", threat, match[1])
			}
		}
	}
}

// TestThreatModelNamesRealTests: a test that a row names is declared somewhere.
func TestThreatModelNamesRealTests(t *testing.T) {
	declared := declaredTests(t)
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	for threat, row := range threats(t) {
		tests := named.FindAllStringSubmatch(row, -1)
		if len(tests) == 0 && strings.Contains(row, "| stopped") {
			t.Errorf("threat %s is said to be stopped, and no test shows it", threat)
		}
		for _, match := range tests {
			if !slices.Contains(declared, match[1]) {
				t.Errorf("the row of %s names %s, which no test file declares", threat, match[1])
			}
		}
	}
}

// TestFirewallCommentsNameThreats: what the rules of the firewall answer to has a
// row.
func TestFirewallCommentsNameThreats(t *testing.T) {
	rows := threats(t)
	golden, err := filepath.Glob(filepath.Join(repository, "sidecar", "rules", "testdata", "*.txt"))
	if err != nil || len(golden) == 0 {
		t.Fatalf("no golden files of the firewall: %v", err)
	}
	intent := regexp.MustCompile(`# ([^:]+):`)
	id := regexp.MustCompile(`\b[PSDLA][0-9]+\b`)
	for _, path := range golden {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range intent.FindAllStringSubmatch(string(content), -1) {
			for _, threat := range id.FindAllString(match[1], -1) {
				if rows[threat] == "" {
					t.Errorf("%s names threat %s, which has no row", path, threat)
				}
			}
		}
	}
}

func declaredTests(t *testing.T) []string {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	var names []string
	err := filepath.WalkDir(repository, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == ".cache" || entry.Name() == ".git" || entry.Name() == "out") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		content, err := os.ReadFile(path)
		for _, match := range function.FindAllStringSubmatch(string(content), -1) {
			names = append(names, match[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
