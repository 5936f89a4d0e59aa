package charts

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientscheme "k8s.io/client-go/kubernetes/scheme"

	bulkheadv1alpha1 "github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// The release of the tests.
const (
	releaseName      = "bulkhead"
	releaseNamespace = "bulkhead-system"
)

// twoTenants are values that are complete: nothing to warn of but the digest.
const twoTenants = `
config:
  cluster:
    nodeCIDRs: [10.250.0.0/24]
    tenantCIDRs: [172.16.0.0/16, "fd00::/16"]
    podCIDRs: [172.16.0.0/16]
    serviceCIDRs: [10.96.0.0/16]
tenants:
  - name: alice
    spec:
      namespaces: [alice, alice-batch]
      addressing: {mode: cidr, cidrs: [172.16.1.0/24, "fd00:1::/64"]}
      podSecurity: {enforce: restricted}
      shared: [ingress]
      egress: {metadata: deny, nodes: deny, external: allow}
      enforcement: enforce
  - name: bob
    spec:
      namespaces: [bob]
      addressing: {mode: cidr, cidrs: [172.16.2.0/24]}
`

// helm runs helm with values on stdin and returns what it wrote.
func helm(t testing.TB, values string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), findHelm(t), append(args, "--namespace", releaseNamespace, "--values", "-")...)
	// Neither the caller's cluster nor its helm settings.
	home := t.TempDir()
	cmd.Env = []string{"HOME=" + home, "KUBECONFIG=" + filepath.Join(home, "none"), "PATH=" + os.Getenv("PATH")}
	cmd.Stdin = bytes.NewBufferString(values)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

// findHelm finds helm in the repository's tool cache or in PATH.
func findHelm(t testing.TB) string {
	t.Helper()
	cached, err := filepath.Glob("../.cache/bin/helm*")
	if err != nil {
		t.Fatal(err)
	}
	for _, candidate := range append(cached, "helm") {
		if found, err := exec.LookPath(candidate); err == nil {
			absolute, err := filepath.Abs(found)
			if err != nil {
				t.Fatal(err)
			}
			return absolute
		}
	}
	t.Skip("helm is neither in .cache/bin nor in PATH: go install helm.sh/helm/v4/cmd/helm@v4.3.1")
	return ""
}

// template renders the chart.
func template(t testing.TB, values string) string {
	t.Helper()
	stdout, stderr, err := helm(t, values, "template", releaseName, "bulkhead")
	if err != nil {
		t.Fatalf("helm template: %v\n%s", err, stderr)
	}
	return stdout
}

// objects decodes a rendering strictly into the types that the API server, or
// cert-manager, reads it as: an unknown kind or field is an error.
func objects(t testing.TB, rendered string) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientscheme.AddToScheme, certmanagerv1.AddToScheme, apiextensionsv1.AddToScheme, bulkheadv1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var all []runtime.Object
	for documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewBufferString(rendered))); ; {
		document := make([]byte, len(rendered))
		n, err := documents.Read(document)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		document = document[:n]
		var content map[string]any
		if err := yaml.Unmarshal(document, &content); err != nil {
			t.Fatal(err)
		}
		if len(content) == 0 {
			continue
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		all = append(all, object)
	}
}

// pick returns all objects of one type.
func pick[T runtime.Object](t *testing.T, all []runtime.Object) []T {
	t.Helper()
	var picked []T
	for _, object := range all {
		if typed, ok := object.(T); ok {
			picked = append(picked, typed)
		}
	}
	return picked
}

// one returns the only object of one type.
func one[T runtime.Object](t *testing.T, all []runtime.Object) T {
	t.Helper()
	picked := pick[T](t, all)
	if len(picked) != 1 {
		t.Fatalf("%d objects of type %T, want one", len(picked), *new(T))
	}
	return picked[0]
}
