package cluster

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestParseHierarchies(t *testing.T) {
	tests := map[string]struct {
		mountinfo string
		want      []string
	}{
		"v2": {"31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n", []string{"/sys/fs/cgroup"}},
		"v1, hybrid": {`25 24 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
27 25 0:24 / /sys/fs/cgroup/memory rw,relatime shared:1 master:2 - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/unified rw - cgroup2 none rw
`, []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"}},
		"mounted over itself": {"1 0 0:1 / /sys/fs/cgroup rw - cgroup2 none rw\n2 1 0:1 / /sys/fs/cgroup rw - cgroup2 none rw\n", []string{"/sys/fs/cgroup"}},
		"none":                {"1 0 8:1 / / rw - ext4 /dev/sda rw\n", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := parseHierarchies(test.mountinfo); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// A saved process must not be taken for another one that has got its pid since.
func TestProcessIsItselfOnlyWithItsStartTime(t *testing.T) {
	ticks, _, err := startTime(os.Getpid())
	if err != nil {
		t.Skipf("no proc_pid_stat(5) here: %v", err)
	}
	if self := (process{PID: os.Getpid(), StartTime: ticks}); !self.alive() {
		t.Error("this process is not alive")
	}
	other := process{PID: os.Getpid(), StartTime: ticks - 1}
	if other.alive() {
		t.Error("a process that began earlier is taken for this one")
	}
	if err := other.kill(); err != nil {
		t.Error(err)
	}
}

func TestNetworkWithoutIPv6(t *testing.T) {
	network := newNetwork(Options{Ranges: map[string][]string{"alice": {"172.16.1.0/24", "fd00:1::/64"}}, Routed: true})
	network.dropIPv6()
	want := "NODE4=10.250.0.1/24 ROUTER4=10.250.0.254/24 OUTSIDE4=203.0.113.10 SERVICES4=10.96.0.0/16"
	if got := strings.Join(network.scriptVariables(), " "); got != want {
		t.Errorf("environment of node.sh: %s", got)
	}
	config, err := network.cniConfig()
	if err != nil || strings.Contains(string(config), "fd00") {
		t.Errorf("got %s, %v", config, err)
	}
	addresses, err := network.apiServerAddresses()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, address := range addresses {
		got = append(got, address.String())
	}
	if want := []string{"127.0.0.1", "10.250.0.1", "10.96.0.1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNetworkKeepsTheCallersRanges(t *testing.T) {
	ranges := map[string][]string{"alice": {"172.16.1.0/24", "fd00:1::/64"}}
	network := newNetwork(Options{Ranges: ranges})
	network.dropIPv6()
	if len(ranges["alice"]) != 2 {
		t.Errorf("the caller's ranges were changed to %v", ranges)
	}
}
