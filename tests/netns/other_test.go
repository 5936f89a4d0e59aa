//go:build !linux

package netns

import "testing"

func TestThreats(t *testing.T) {
	t.Skip("network namespaces and iptables need Linux")
}
