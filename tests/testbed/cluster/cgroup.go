package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupName is the kubelet's cgroupRoot, below the root of every cgroup hierarchy.
const cgroupName = "bulkhead-testbed"

// hierarchies lists where cgroups are mounted: one place with cgroup v2, one per controller with v1 (cgroups(7)).
func hierarchies() ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseHierarchies(string(mounts)), nil
}

// parseHierarchies reads proc_pid_mountinfo(5): the mount point is field 5, the type the first after " - ".
func parseHierarchies(mountinfo string) []string {
	var found []string
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		fields, kinds := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kinds) == 0 || (kinds[0] != "cgroup" && kinds[0] != "cgroup2") {
			continue
		}
		if !slices.Contains(found, fields[4]) {
			found = append(found, fields[4])
		}
	}
	return found
}

// unified says whether the machine has cgroup v2 only.
func unified() (bool, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &stat); err != nil {
		return false, fmt.Errorf("statfs /sys/fs/cgroup: %w", err)
	}
	return stat.Type == unix.CGROUP2_SUPER_MAGIC, nil
}

// createCgroups makes the kubelet's root in every hierarchy; the kubelet demands that it exists.
func createCgroups() error {
	v2, err := unified()
	if err != nil {
		return err
	}
	if v2 {
		// A controller is available in a cgroup only if its parent hands it down (cgroup-v2, "Enabling and disabling").
		err := os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+cpu +cpuset +memory +pids +io"), 0o644)
		if err != nil {
			return fmt.Errorf("hand the controllers down to %s: %w", cgroupName, err)
		}
	}
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := filepath.Join(root, cgroupName)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if v2 {
			continue
		}
		// A new v1 cpuset has no processors and no memory, and takes no process before it has (cpuset(7)).
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(root, file))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, file), bytes.TrimSpace(value), 0o644)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// removeCgroups removes the kubelet's root and all below it from every hierarchy. The processes that were in them are
// dead, but the kernel may need a moment to let them go.
func removeCgroups() error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, root := range roots {
		for {
			err := removeTree(filepath.Join(root, cgroupName))
			if err == nil {
				break
			}
			if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
				return fmt.Errorf("remove cgroup: %w", err)
			}
			time.Sleep(pollInterval)
		}
	}
	return nil
}

// removeTree removes folders only: a cgroup's files go with it.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := thaw(dir); err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeTree(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return syscall.Rmdir(dir)
}

// thaw lets the processes of a cgroup die: a container that a fault has paused when Ctrl-C came is killed, but stays
// (cgroup-v1/freezer-subsystem, cgroup-v2 "cgroup.freeze").
func thaw(dir string) error {
	for file, value := range map[string]string{"freezer.state": "THAWED", "cgroup.freeze": "0"} {
		path := filepath.Join(dir, file)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}
