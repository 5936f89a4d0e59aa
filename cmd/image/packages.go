package main

import (
	"context"
	"fmt"
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

// owners returns the packages that own files of the host, sorted.
func owners(ctx context.Context, files []string) ([]string, error) {
	var packages []string
	for _, file := range files {
		pkg, err := owner(ctx, file)
		if err != nil {
			return nil, err
		}
		packages = append(packages, pkg)
	}
	slices.Sort(packages)
	return slices.Compact(packages), nil
}

// owner asks dpkg for a file by all paths that it may have been packaged under:
// since /lib became a link to /usr/lib, packages use the one or the other.
func owner(ctx context.Context, file string) (string, error) {
	resolved, err := filepath.EvalSymlinks(file)
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", file, err)
	}
	for _, candidate := range []string{file, resolved, strings.TrimPrefix(resolved, "/usr")} {
		out, err := exec.CommandContext(ctx, "dpkg-query", "--search", candidate).Output()
		if err != nil {
			continue // not packaged under this path
		}
		pkg, _, ok := strings.Cut(string(out), ": ")
		if ok {
			return pkg, nil
		}
	}
	return "", fmt.Errorf("no package owns %s", file)
}
