// Package imports holds the import rules of the house: who may import whom. It has
// no code but its test.
package imports

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/tools/go/packages"
)

const module = "github.com/bulkhead-dev/bulkhead"

// rule bounds what the packages of a folder import directly. Since every package of
// ours is bounded, so is what they import by way of each other.
type rule struct {
	// folder under the module's root, with all below it.
	folder string
	// ours are the folders of this module that may be imported, with all below.
	ours []string
	// theirs are the modules and packages that may be imported, with all below;
	// the standard library always may.
	theirs []string
}

// anything stands for no bound on other people's packages.
const anything = ""

// The first rule whose folder holds a package counts.
var rules = []rule{
	{folder: "api", ours: []string{"api"}, theirs: []string{"k8s.io/api", "k8s.io/apimachinery", "sigs.k8s.io/json", "sigs.k8s.io/yaml", "github.com/google/go-containerregistry/pkg/name"}},
	{folder: "certs", theirs: []string{anything}},
	// Text of JSON, as bytes.
	{folder: "internal/rawjson"},
	{folder: "rego", ours: []string{"rego", "internal/rawjson"}, theirs: []string{"github.com/open-policy-agent/opa"}},
	// The contract between webhook and sidecar.
	{folder: "sidecar/config"},
	// The contract between the webhook's feed and the sidecar.
	{folder: "feed/protocol"},
	// Who belongs to whom hangs on no Kubernetes.
	{folder: "feed/peers", ours: []string{"feed/protocol"}},
	{folder: "feed", ours: []string{"feed", "api", "sidecar/config"}, theirs: []string{anything}},
	{folder: "sidecar", ours: []string{"sidecar", "feed/protocol"}, theirs: sidecarLibraries},
	{folder: "webhook", ours: []string{"webhook", "internal/rawjson", "rego", "api", "certs", "feed/protocol", "sidecar/config"}, theirs: []string{anything}},
	{folder: "verify/packet"},
	{folder: "verify/probe", ours: []string{"verify/packet"}, theirs: sidecarLibraries},
	{folder: "check", ours: []string{"check", "webhook", "rego", "api", "feed/protocol", "sidecar/config"}, theirs: []string{anything}},
	{folder: "verify", ours: []string{"verify", "api", "sidecar/config"}, theirs: []string{anything}},
	{folder: "cmd/bulkhead-probe", ours: []string{"verify/probe"}, theirs: sidecarLibraries},
	{folder: "cmd/bulkhead-firewall", ours: []string{"sidecar", "feed/protocol"}, theirs: sidecarLibraries},
	{folder: "cmd", ours: []string{"api", "certs", "check", "verify", "feed", "rego", "sidecar", "webhook", "cmd/image"}, theirs: []string{anything}},
	{folder: "charts", theirs: []string{anything}},
	{folder: "docs", ours: []string{"rego"}, theirs: []string{anything}},
	{folder: "tests", ours: []string{"verify/packet", "api", "certs", "feed", "rego", "sidecar", "webhook", "tests"}, theirs: []string{anything}},
}

// sidecarLibraries keep the sidecar small: it runs in every pod.
var sidecarLibraries = []string{"github.com/coreos/go-iptables", "github.com/vishvananda/netlink", "golang.org/x/sys"}

func TestImportRules(t *testing.T) {
	config := &packages.Config{Dir: root(t), Mode: packages.NeedName | packages.NeedImports}
	loaded, err := packages.Load(config, "./...")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range loaded {
		for _, err := range p.Errors {
			t.Errorf("%s: %v", p.PkgPath, err)
		}
		folder := strings.TrimPrefix(p.PkgPath, module+"/")
		index := slices.IndexFunc(rules, func(r rule) bool { return within(folder, r.folder) })
		if index < 0 {
			t.Errorf("%s: no rule says what it may import", p.PkgPath)
			continue
		}
		seen[rules[index].folder] = true
		for path := range p.Imports {
			if !rules[index].allows(path) {
				t.Errorf("%s imports %s: the rule of %s does not allow it", p.PkgPath, path, rules[index].folder)
			}
		}
	}
	// A rule that holds for nothing hides a package that moved away from it.
	for _, folder := range []string{"api", "certs", "rego", "feed/protocol", "sidecar/config", "sidecar", "webhook", "check", "verify/probe", "verify", "cmd/bulkhead-probe", "cmd/bulkhead-firewall", "cmd"} {
		if !seen[folder] {
			t.Errorf("no package under %s", folder)
		}
	}
}

func TestRulesCanRefuse(t *testing.T) {
	for name, test := range map[string]struct {
		folder, path string
		allowed      bool
	}{
		"standard library":            {"sidecar", "net/netip", true},
		"its own":                     {"sidecar", module + "/sidecar/rules", true},
		"client-go in the sidecar":    {"sidecar", "k8s.io/client-go/rest", false},
		"OPA in the sidecar":          {"cmd/bulkhead-firewall", "github.com/open-policy-agent/opa/v1/rego", false},
		"Kubernetes in the rules":     {"rego", "k8s.io/api/core/v1", false},
		"the feed's server":           {"sidecar", module + "/feed", false},
		"what it says":                {"sidecar", module + "/feed/protocol", true},
		"the sidecar in the webhook":  {"webhook", module + "/sidecar/apply", false},
		"its contract in the webhook": {"webhook", module + "/sidecar/config", true},
		"ours in certs":               {"certs", module + "/api/v1alpha1", false},
		"a command":                   {"webhook", module + "/cmd/bulkhead-webhook", false},
		"tests":                       {"cmd", module + "/tests/imports", false},
		"a name that begins alike":    {"sidecar", module + "/sidecarextra", false},
		"a library that begins alike": {"sidecar", "golang.org/x/system", false},
		"the root of the module":      {"webhook", module, false},
	} {
		t.Run(name, func(t *testing.T) {
			index := slices.IndexFunc(rules, func(r rule) bool { return r.folder == test.folder })
			if got := rules[index].allows(test.path); got != test.allowed {
				t.Errorf("allowed: %t", got)
			}
		})
	}
}

// k8s.io/kubernetes is no library: what requires it inherits its replace
// directives, and the whole of it.
func TestGoModDoesNotRequireKubernetes(t *testing.T) {
	path := filepath.Join(root(t), "go.mod")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := modfile.Parse(path, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	if file.Module.Mod.Path != module {
		t.Errorf("module is %s, not %s", file.Module.Mod.Path, module)
	}
	for _, require := range file.Require {
		if require.Mod.Path == "k8s.io/kubernetes" {
			t.Errorf("go.mod requires %s", require.Mod)
		}
	}
	if len(file.Replace) > 0 {
		t.Errorf("go.mod replaces modules, which go install of our commands would not see: %v", file.Replace)
	}
}

func (r rule) allows(path string) bool {
	if path == module || strings.HasPrefix(path, module+"/") {
		folder := strings.TrimPrefix(path, module+"/")
		return slices.ContainsFunc(r.ours, func(ours string) bool { return within(folder, ours) })
	}
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(r.theirs, func(theirs string) bool { return theirs == anything || within(path, theirs) })
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// root is the folder of go.mod.
func root(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return folder
}
