package main

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestWebhookImage(t *testing.T) {
	chosen, err := choose(recipes(), []string{"webhook"})
	if err != nil {
		t.Fatal(err)
	}
	img, files := readArchive(t, buildArchive(t, chosen[0], t.TempDir()))

	testConfiguration(t, img, v1.Config{Entrypoint: []string{"/bulkhead-webhook"}, User: "65532:65532"})
	testPrograms(t, files, "/bulkhead-webhook")
	if diff := cmp.Diff([]string{"/bulkhead-webhook", "/etc", "/etc/group", "/etc/passwd"}, files.paths()); diff != "" {
		t.Error("files (-want +got):\n", diff)
	}
	binary, err := elf.NewFile(bytes.NewReader(files["/bulkhead-webhook"].data))
	if err != nil {
		t.Fatal(err)
	}
	for _, segment := range binary.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Error("the binary is not static, and the image holds no library")
		}
	}
	t.Run("arguments", func(t *testing.T) { testArguments(t, files["/bulkhead-webhook"].data) })
}

// testArguments: what the chart's pods say to the webhook's image are subcommands
// and flags that its binary knows.
func testArguments(t *testing.T, binary []byte) {
	if goos, goarch := platform(); runtime.GOOS != goos || runtime.GOARCH != goarch {
		t.Skipf("a binary for %s/%s does not run here", goos, goarch)
	}
	program := filepath.Join(t.TempDir(), "bulkhead-webhook")
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	rendered, err := os.ReadFile("../../charts/testdata/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	arguments := map[string][]string{}
	for document := range strings.SplitSeq(string(rendered), "\n---\n") {
		var object struct {
			Kind string         `json:"kind"`
			Spec corev1.PodSpec `json:"spec"`
		}
		var deployment appsv1.Deployment
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			continue // another kind, whose spec is no pod's
		}
		if object.Kind == "Deployment" {
			if err := yaml.Unmarshal([]byte(document), &deployment); err != nil {
				t.Fatal(err)
			}
			object.Spec = deployment.Spec.Template.Spec
		}
		for _, container := range object.Spec.Containers {
			arguments[container.Name] = container.Args
		}
	}
	if len(arguments) != 2 {
		t.Fatalf("containers %v, want webhook and selftest", arguments)
	}
	for name, args := range arguments {
		// Flags are read from left to right: --help is reached if all before it
		// are known.
		out, err := exec.CommandContext(t.Context(), program, append(expand(args), "--help")...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %v\n%s", name, args, err, out)
		}
		if args[0] == "selftest" && !strings.Contains(string(out), "bulkhead-webhook selftest [flags]") {
			t.Errorf("%s: there is no subcommand selftest:\n%s", name, out)
		}
	}
}

// expand stands in for the kubelet, which replaces $(NAME) in arguments: here
// only the port, which must be a number.
func expand(args []string) []string {
	var expanded []string
	for _, arg := range args {
		expanded = append(expanded, strings.ReplaceAll(arg, "$(BULKHEAD_WEBHOOK_SERVICE_PORT)", "443"))
	}
	return expanded
}
