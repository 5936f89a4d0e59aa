package build

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Target is one binary of the test bed. Exactly one of Dir and Install is set.
type Target struct {
	// Name is the binary's file name.
	Name string
	// Dir is a package's folder inside the test bed; a module's root where the binary has a module of its own.
	Dir string
	// Install is "package@version", built by go install from a published module.
	Install string
	// LDFlags are given to the linker besides -s -w.
	LDFlags string
}

// The names of the targets.
const (
	Kubernetes  = "kubernetes"
	CertManager = "certmanager"
	CoreDNS     = "coredns"
	Helm        = "helm"
	Pause       = "pause"
	IPAM        = "bulkhead-testbed-ipam"
	Second      = "bulkhead-testbed-second"
	Outside     = "bulkhead-testbed-outside"
	Stream      = "bulkhead-testbed-stream"
)

// Targets lists the test bed's binaries. testbed is the folder tests/testbed of the repository.
func Targets(testbed string) ([]Target, error) {
	kubernetes := filepath.Join(testbed, "kubernetes")
	version, err := RequiredVersion(kubernetes, "k8s.io/kubernetes")
	if err != nil {
		return nil, err
	}
	flags, err := kubernetesLDFlags(version)
	if err != nil {
		return nil, err
	}
	return []Target{
		{Name: Pause, Dir: filepath.Join(testbed, "node", "pause")},
		{Name: IPAM, Dir: filepath.Join(testbed, "node", "ipam")},
		{Name: Second, Dir: filepath.Join(testbed, "node", "second")},
		{Name: Outside, Dir: filepath.Join(testbed, "node", "outside")},
		{Name: Stream, Dir: filepath.Join(testbed, "node", "stream")},
		{Name: Kubernetes, Dir: kubernetes, LDFlags: flags},
		{Name: CertManager, Dir: filepath.Join(testbed, "certmanager")},
		{Name: CoreDNS, Dir: filepath.Join(testbed, "coredns")},
		{Name: Helm, Install: "helm.sh/helm/v4/cmd/helm@v4.3.1"},
	}, nil
}

// kubernetesLDFlags sets what `kubectl version` and the API server's /version tell. Without it the version is v0.0.0
// and the kubelet is refused as too old, as is every chart with a kubeVersion.
func kubernetesLDFlags(version string) (string, error) {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) != 3 {
		return "", fmt.Errorf("kubernetes version %q is not vMAJOR.MINOR.PATCH", version)
	}
	var flags []string
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags,
			fmt.Sprintf("-X %s.gitVersion=%s", pkg, version),
			fmt.Sprintf("-X %s.gitMajor=%s", pkg, parts[0]),
			fmt.Sprintf("-X %s.gitMinor=%s", pkg, parts[1]))
	}
	return strings.Join(flags, " "), nil
}

// RequiredVersion reads from dir's go.mod which version of a module it requires.
func RequiredVersion(dir, module string) (string, error) {
	file, err := os.Open(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", err
	}
	lines := bufio.NewScanner(file)
	version := ""
	for version == "" && lines.Scan() {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "require "))
		if len(fields) >= 2 && fields[0] == module && strings.HasPrefix(fields[1], "v") {
			version = fields[1]
		}
	}
	if err := errors.Join(lines.Err(), file.Close()); err != nil {
		return "", fmt.Errorf("read %s: %w", file.Name(), err)
	}
	if version == "" {
		return "", fmt.Errorf("%s does not require %s", file.Name(), module)
	}
	return version, nil
}
