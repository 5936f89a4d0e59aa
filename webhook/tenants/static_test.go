package tenants

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const aliceManifest = `
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: alice}
spec: {namespaces: [alice], addressing: {mode: cidr, cidrs: [172.16.1.0/24]}}
`

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestLoad(t *testing.T) {
	folder := writeFiles(t, map[string]string{
		"a.yaml":         "---\n" + aliceManifest + "---\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: alice}\n",
		"more/b.yml":     strings.NewReplacer("alice", "bob", ".1.0", ".2.0").Replace(aliceManifest),
		"more/c.json":    `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"anything": true}}`,
		"README.md":      "not YAML: [",
		"more/empty.yml": "# nothing\n",
	})
	static, err := Load(testConfig(), folder)
	if err != nil {
		t.Fatal(err)
	}
	for namespace, want := range map[string]string{"alice": "alice", "bob": "bob"} {
		owner, err := static.Owner(t.Context(), namespace)
		if err != nil || owner == nil || owner.Name != want || len(owner.Problems) > 0 {
			t.Errorf("owner of %s: %+v, %v", namespace, owner, err)
		}
	}
	if owner, err := static.Owner(t.Context(), "default"); owner != nil || err != nil {
		t.Errorf("owner of default: %+v, %v", owner, err)
	}
	if problems := static.Problems(newTestTenant("carol", "172.16.1.0/24", namespaces("bob"))); len(problems) != 2 {
		t.Errorf("problems of a candidate: %s", Texts(problems))
	}
	if problems := static.Problems(newTestTenant("alice", "172.16.1.0/25")); len(problems) != 0 {
		t.Errorf("problems of an update: %s", Texts(problems))
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		manifest string
		want     string
	}{
		"an unknown field":   {strings.Replace(aliceManifest, "namespaces:", "namespace:", 1), `unknown field "spec.namespace"`},
		"a doubled field":    {aliceManifest + "metadata: {name: bob}\n", `"metadata" already set`},
		"an unknown kind":    {strings.Replace(aliceManifest, "kind: Tenant", "kind: Tennant", 1), "unknown kind Tennant"},
		"an unknown version": {strings.Replace(aliceManifest, "v1alpha1", "v1", 1), "unknown kind Tenant of bulkhead.dev/v1"},
		"a list":             {"apiVersion: v1\nkind: List\nitems: []\n", "document of its own"},
		"no kind":            {"apiVersion: v1\n", "kind is missing"},
		"no name":            {strings.Replace(aliceManifest, "name: alice", "labels: {}", 1), "metadata.name is missing"},
		"no YAML":            {"a: [", "a.yaml: document 1"},
		"a wrong type":       {strings.Replace(aliceManifest, "[alice]", "alice", 1), "spec.namespaces"},
		"one twice":          {aliceManifest + "---\n" + aliceManifest, `tenant "alice" is defined twice`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(testConfig(), writeFiles(t, map[string]string{"a.yaml": test.manifest}))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error lacks %q: %v", test.want, err)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		_, err := Load(testConfig(), writeFiles(t, map[string]string{"a.yaml": "kind: Pod\n---\na: [\n", "b.json": "{"}))
		for _, want := range []string{"a.yaml: document 1", "document 2", "b.json"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error lacks %q: %v", want, err)
			}
		}
	})
	t.Run("no folder", func(t *testing.T) {
		if _, err := Load(testConfig(), "/nowhere"); err == nil {
			t.Error("no error")
		}
	})
}
