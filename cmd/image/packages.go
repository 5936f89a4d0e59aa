package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// addPackages adds what scanners and licences ask for (threat A5): which Debian
// packages, in which versions, the files came from, as in distroless images
// (/var/lib/dpkg/status.d), their copyright files, and the release's name.
func addPackages(ctx context.Context, files rootfs, sources []string) error {
	packages, err := owners(ctx, sources)
	if err != nil {
		return err
	}
	for _, pkg := range packages {
		status, err := exec.CommandContext(ctx, "dpkg-query", "--status", pkg).Output()
		if err != nil {
			return fmt.Errorf("ask dpkg for package %s: %w", pkg, err)
		}
		name, _, _ := strings.Cut(pkg, ":")
		files.addFile(path.Join("/var/lib/dpkg/status.d", name), 0o644, status)
		copyright := path.Join("/usr/share/doc", name, "copyright")
		if err := files.copyFile(copyright, 0o644, copyright); err != nil {
			return err
		}
	}
	return files.copyFile("/etc/os-release", 0o644, "/etc/os-release")
}

// owners returns the packages that own files of the host, sorted. A file is
// looked for under every path that it may have been packaged as: since /lib
// became a link to /usr/lib, packages use the one or the other.
func owners(ctx context.Context, files []string) ([]string, error) {
	candidates := map[string]string{} // path as packaged: file
	for _, file := range files {
		resolved, err := filepath.EvalSymlinks(file)
		if err != nil {
			return nil, fmt.Errorf("resolve %s: %w", file, err)
		}
		for _, candidate := range []string{file, resolved, strings.TrimPrefix(resolved, "/usr")} {
			candidates[candidate] = file
		}
	}
	args := slices.Sorted(maps.Keys(candidates))
	out, err := exec.CommandContext(ctx, "dpkg-query", append([]string{"--search"}, args...)...).Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("ask dpkg for owners: %w", err) // exit 1: some candidates are in no package
	}
	owned := map[string]bool{}
	var packages []string
	for line := range strings.Lines(string(out)) {
		pkg, packaged, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if file, ok := candidates[packaged]; ok {
			owned[file] = true
			packages = append(packages, pkg)
		}
	}
	for _, file := range files {
		if !owned[file] {
			return nil, fmt.Errorf("no package owns %s", file)
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages), nil
}
