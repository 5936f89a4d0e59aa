package rego

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// readPod reads testdata/pod.json: a tenant's pod as the API server sends it to the
// webhook, with two containers, the sidecar and all defaults.
func readPod(t testing.TB) json.RawMessage {
	t.Helper()
	data, err := os.ReadFile("testdata/pod.json")
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

// tenantInput asks whether that pod may be created at level restricted. It may.
func tenantInput(t testing.TB) Input {
	t.Helper()
	pod := readPod(t)
	var parts struct {
		Spec struct {
			InitContainers []json.RawMessage `json:"initContainers"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(pod, &parts); err != nil {
		t.Fatal(err)
	}
	return Input{
		Request: Request{
			Operation: Create,
			Resource:  "pods",
			Namespace: "alice",
			User:      User{Name: "system:serviceaccount:kube-system:replicaset-controller", Groups: []string{"system:authenticated"}},
		},
		Object:  pod,
		Enforce: Level{Restricted, Latest},
		Sidecar: &Sidecar{Init: parts.Spec.InitContainers[0], Firewall: parts.Spec.InitContainers[1]},
	}
}

// podInput asks at level baseline whether a pod may be created outside any tenant.
func podInput(pod string) Input {
	return Input{Request: Request{Operation: Create, Resource: "pods"}, Object: json.RawMessage(pod), Enforce: Level{Baseline, Latest}}
}

func newTestEngine(t testing.TB, files fs.FS) *Engine {
	t.Helper()
	engine, err := newEngine(t.Context(), files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// filesWith returns the embedded files with some more.
func filesWith(t testing.TB, more map[string]string) fstest.MapFS {
	t.Helper()
	result := fstest.MapFS{}
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, path)
		result[path] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range more {
		result[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return result
}

const extraRule = "rules/firewall/extra/extra.rego"

const extraMetadata = `# METADATA
# title: Extra
# description: A rule of a test.
# custom:
#   id: fw-extra
#   severity: low
#   threat: [A4]
#   always: true
package rules.firewall.extra

`

// filesWithRule returns the embedded files with a rule fw-extra of that body.
func filesWithRule(t testing.TB, body string) fstest.MapFS {
	t.Helper()
	return filesWith(t, map[string]string{extraRule: extraMetadata + body})
}

// checkError wants an error that holds every one of the texts.
func checkError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q, want %q in it", err, text)
		}
	}
}
