package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckExitCodes runs the built command, as CI does.
func TestCheckExitCodes(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "bulkhead")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const head = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: a\n    image: a\n"
	warned := file("warned.yaml", head)
	refused := file("refused.yaml", head+"    securityContext: {privileged: true}\n")
	broken := file("broken.yaml", head+"    image: [\n")
	for name, test := range map[string]struct {
		args           []string
		stdin          string
		code           int
		stdout, stderr []string // parts
	}{
		"fine":           {[]string{"-f", warned}, "", 0, []string{warned + ":6: warning: pss-", "0 violations, 3 warnings."}, []string{"default configuration", "no Tenant is known"}},
		"strict":         {[]string{"-f", warned, "--strict"}, "", 1, []string{"0 violations, 3 warnings."}, nil},
		"violation":      {[]string{warned, refused}, "", 1, []string{refused + ":8: violation: pss-privileged (baseline:latest): Pod default/a: "}, nil},
		"misspelt kind":  {[]string{"-"}, "{apiVersion: v1, kind: pod, metadata: {name: a}}", 1, []string{"stdin:1: violation: invalid-object: ", "is it v1 Pod?"}, nil},
		"nothing judged": {[]string{"-", "--strict"}, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", 1, []string{"Nothing was judged"}, nil},
		"standard input": {[]string{"-f", "-"}, head + "  hostPID: true\n", 1, []string{"stdin:8: violation: pss-host-namespaces"}, nil},
		"SARIF":          {[]string{refused, "-o", "sarif"}, "", 1, []string{`"version": "2.1.0"`}, []string{"1 object judged: 1 violation"}},
		"broken":         {[]string{broken, refused}, "", 2, nil, []string{"bulkhead: " + broken + ":8: "}},
		"no file":        {[]string{folder + "/none"}, "", 2, nil, []string{"none: no such file"}},
		"no input":       {[]string{"-"}, "", 2, nil, []string{"no objects in -"}},
		"nothing asked":  {nil, "", 2, nil, []string{"no manifests"}},
		"unknown flag":   {[]string{"--fix", refused}, "", 2, nil, []string{"unknown flag: --fix"}},
		"unknown form":   {[]string{"-o", "yaml", refused}, "", 2, nil, []string{"--output yaml: want one of text, json, sarif, junit"}},
	} {
		t.Run(name, func(t *testing.T) {
			command := exec.Command(program, append([]string{"check"}, test.args...)...)
			var stdout, stderr strings.Builder
			command.Stdin, command.Stdout, command.Stderr = strings.NewReader(test.stdin), &stdout, &stderr
			err := command.Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := command.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if test.code == 2 && stdout.Len() > 0 {
				t.Errorf("a result: %s", &stdout)
			}
			for _, part := range test.stdout {
				if !strings.Contains(stdout.String(), part) {
					t.Errorf("stdout lacks %q:\n%s", part, &stdout)
				}
			}
			for _, part := range test.stderr {
				if !strings.Contains(stderr.String(), part) {
					t.Errorf("stderr lacks %q:\n%s", part, &stderr)
				}
			}
		})
	}
}
