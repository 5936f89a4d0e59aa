//go:build linux

package netns

import (
	"testing"

	network "github.com/bulkhead-dev/bulkhead/tests/namespace"
)

// namespace is a network namespace of a test, which fails where it cannot be used.
type namespace struct {
	*network.Namespace
}

func newNamespace(t testing.TB, name string) *namespace {
	t.Helper()
	n, err := network.New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return &namespace{n}
}

func (n *namespace) must(t testing.TB, f func() error) {
	t.Helper()
	if err := n.Do(f); err != nil {
		t.Fatalf("in namespace %s: %v", n.Name, err)
	}
}

// sh runs a shell command in the namespace and returns its output.
func (n *namespace) sh(t testing.TB, command string) string {
	t.Helper()
	out, err := n.Shell(command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wire joins two namespaces by a veth pair, up at both ends.
func wire(t testing.TB, one *namespace, oneName string, other *namespace, otherName string) {
	t.Helper()
	if err := network.Wire(one.Namespace, oneName, other.Namespace, otherName); err != nil {
		t.Fatal(err)
	}
}
