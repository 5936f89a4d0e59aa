// Package host sees to it that the machine has the programs which the test bed takes from the distribution: the
// container runtime, CNI plugins and netfilter tools. On Debian and its kin, as root, it installs what is missing;
// elsewhere it says what is missing and which package has it.
package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
)

// Path is where the test bed's commands look for programs. An unprivileged shell's PATH often lacks the sbin folders.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// CNIDir is where Debian's containernetworking-plugins puts the CNI plugins.
const CNIDir = "/usr/lib/cni"

// requirement is a program and the Debian package that has it.
type requirement struct{ program, debian string }

func requirements() []requirement {
	return []requirement{
		{"containerd", "containerd"},
		{"ctr", "containerd"},
		{"runc", "runc"},
		{CNIDir + "/ptp", "containernetworking-plugins"},
		{CNIDir + "/loopback", "containernetworking-plugins"},
		{CNIDir + "/host-local", "containernetworking-plugins"},
		{CNIDir + "/macvlan", "containernetworking-plugins"},
		{"xtables-nft-multi", "iptables"},
		{"xtables-legacy-multi", "iptables"},
		{"nft", "nftables"},
		{"ipset", "ipset"},
		{"conntrack", "conntrack"},
		{"busybox", "busybox-static"},
		{"ip", "iproute2"},
		{"nsenter", "util-linux"},
		{"mount", "mount"},
		{"ldd", "libc-bin"},
	}
}

// Unsupported says why no cluster can be started here, or "" if one can. It is the reason of skipped tests.
func Unsupported() string {
	switch {
	case runtime.GOOS != "linux":
		return "the test bed's cluster needs Linux, this is " + runtime.GOOS
	case os.Geteuid() != 0:
		return "the test bed's cluster needs root, for network namespaces, mounts and cgroups"
	}
	return ""
}

// Prepare installs what is missing, or fails with a list of it.
func Prepare(ctx context.Context, log *progress.Log) error {
	if reason := Unsupported(); reason != "" {
		return errors.New(reason)
	}
	absent := missing()
	if len(absent) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("there is no apt-get to install what is missing: %s", describe(absent))
	}
	packages := packagesOf(absent)
	err := log.Step("install "+strings.Join(packages, " "), func() error {
		if err := aptGet(ctx, "update"); err != nil {
			return err
		}
		return aptGet(ctx, append([]string{"install", "--yes", "--no-install-recommends"}, packages...)...)
	})
	if err != nil {
		return err
	}
	if absent = missing(); len(absent) > 0 {
		return fmt.Errorf("still missing after apt-get install: %s", describe(absent))
	}
	return nil
}

func missing() []requirement {
	var absent []requirement
	for _, r := range requirements() {
		if _, err := Look(r.program); err != nil {
			absent = append(absent, r)
		}
	}
	return absent
}

// Look finds a program by name in Path, or by its absolute path.
func Look(program string) (string, error) {
	if filepath.IsAbs(program) {
		return exec.LookPath(program)
	}
	for _, dir := range strings.Split(Path, ":") {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not in %s", program, Path)
}

func packagesOf(absent []requirement) []string {
	var packages []string
	for _, r := range absent {
		packages = append(packages, r.debian)
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}

func describe(absent []requirement) string {
	var parts []string
	for _, r := range absent {
		parts = append(parts, fmt.Sprintf("%s (Debian package %s)", r.program, r.debian))
	}
	return strings.Join(parts, ", ")
}

func aptGet(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, "apt-get", args...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, &output)
	}
	return nil
}
