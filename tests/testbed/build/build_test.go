package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRequiredVersion(t *testing.T) {
	tests := map[string]struct {
		goMod, want string
	}{
		"single require": {"module m\n\nrequire k8s.io/kubernetes v1.36.3\n", "v1.36.3"},
		"in a block":     {"module m\n\nrequire (\n\texample.com/a v1.0.0\n\tk8s.io/kubernetes v1.36.3 // indirect\n)\n", "v1.36.3"},
		"only replaced":  {"module m\n\nreplace k8s.io/kubernetes => k8s.io/kubernetes v1.36.3\n", ""},
		"longer path":    {"module m\n\nrequire k8s.io/kubernetes/v2 v2.0.0\n", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "go.mod"), test.goMod)
			got, err := RequiredVersion(dir, "k8s.io/kubernetes")
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestKubernetesLDFlags(t *testing.T) {
	flags, err := kubernetesLDFlags("v1.36.3")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"-X k8s.io/component-base/version.gitVersion=v1.36.3",
		"-X k8s.io/component-base/version.gitMinor=36",
		"-X k8s.io/client-go/pkg/version.gitMajor=1",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("%q lacks %q", flags, want)
		}
	}
	if _, err := kubernetesLDFlags("devel"); err == nil {
		t.Error("a version that is none was accepted")
	}
}

// A binary must not be served from the cache when anything that it is made from has changed.
func TestKeyFollowsTheSources(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.go"), "package main")
	write(t, filepath.Join(dir, "go.sum"), "a v1.0.0")
	target := Target{Name: "x", Dir: dir}
	key := func(target Target, goVersion string) string {
		t.Helper()
		key, err := target.key(goVersion)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first := key(target, "go1.26.0")
	if again := key(target, "go1.26.0"); again != first {
		t.Errorf("the key of unchanged sources changed from %s to %s", first, again)
	}
	write(t, filepath.Join(dir, "main_test.go"), "package main")
	if tested := key(target, "go1.26.0"); tested != first {
		t.Error("a test file changed the key")
	}
	changed := map[string]string{
		"Go version": key(target, "go1.26.1"),
		"flags":      key(Target{Name: "x", Dir: dir, LDFlags: "-X a=b"}, "go1.26.0"),
	}
	write(t, filepath.Join(dir, "go.sum"), "a v1.0.1")
	changed["go.sum"] = key(target, "go1.26.0")
	write(t, filepath.Join(dir, "go.sum"), "a v1.0.0")
	write(t, filepath.Join(dir, "other.go"), "package main")
	changed["a new file"] = key(target, "go1.26.0")
	for what, got := range changed {
		if got == first {
			t.Errorf("%s: the key did not change", what)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
