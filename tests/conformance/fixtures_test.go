package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/rego"
)

// fixture is a pod of PSA's own suite, which it lets pass, or not, at the level.
type fixture struct {
	name  string // <level>/<version>/<pass or fail>/<control and number>
	pod   map[string]any
	level rego.Level
	fails bool
}

// fixtures are the golden files of k8s.io/pod-security-admission/test: for every level
// and version those that pass and fail each control.
func fixtures(t testing.TB) []fixture {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	root := filepath.Join(strings.TrimSpace(string(dir)), "test", "testdata")
	paths, err := filepath.Glob(filepath.Join(root, "*", "*", "*", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all []fixture
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(root, strings.TrimSuffix(path, ".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(filepath.ToSlash(name), "/")
		f := fixture{name: name, level: rego.Level{Name: parts[0], Version: parts[1]}, fails: parts[2] == "fail"}
		if err := yaml.Unmarshal(data, &f.pod); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		setDefaults(f.pod)
		all = append(all, f)
	}
	if len(all) < 4000 {
		t.Fatalf("only %d fixtures in %s", len(all), root)
	}
	return all
}

// setDefaults does what the API server does before admission, as far as a control
// looks at it: a volume that names no source is an emptyDir (SetDefaults_Volume).
func setDefaults(pod map[string]any) {
	volumes, _ := pod["spec"].(map[string]any)["volumes"].([]any)
	for _, volume := range volumes {
		if fields := volume.(map[string]any); len(fields) == 1 {
			fields["emptyDir"] = map[string]any{}
		}
	}
}

// TestFixtures plays them against the rules: each is let pass or not as its folder
// says, and for the reasons that PSA gives, at its own level and at two others.
func TestFixtures(t *testing.T) {
	d := newDeciders(t)
	for _, f := range fixtures(t) {
		q := question{f.pod, [3]rego.Level{f.level, {Name: rego.Restricted, Version: rego.Latest}, {Name: rego.Baseline, Version: "v1.0"}}}
		difference, answers := d.disagreement(t, q)
		if difference != "" {
			t.Errorf("%s: %s", f.name, difference)
		}
		if refused := len(answers[0]) > 0; refused != f.fails {
			t.Errorf("%s: refused: %v, for %q", f.name, refused, answers[0])
		}
	}
}
