package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

// sbin holds the firewall's tools, in the image as on Debian.
const sbin = "/usr/sbin"

// tool is a program that the sidecar runs, and the names that it goes by.
type tool struct {
	program string
	pkg     string // Debian package
	links   []string
}

// tools are what the sidecar runs: iptables for both backends, ipset. The plain
// names are the nft backend, Bulkhead's default.
func tools() []tool {
	return []tool{
		{"xtables-nft-multi", "iptables", append(iptablesNames(""), iptablesNames("-nft")...)},
		{"xtables-legacy-multi", "iptables", iptablesNames("-legacy")},
		{"ipset", "ipset", nil},
	}
}

func iptablesNames(backend string) []string {
	var names []string
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, action := range []string{"", "-restore", "-save"} {
			names = append(names, family+backend+action)
		}
	}
	return names
}

// extensions are the iptables modules that the sidecar's rules name by -m, and
// "standard" for verdicts and jumps. iptables loads them from extensionDir when a
// rule names them; a test holds the list to the rules.
func extensions() []string {
	return []string{
		"libip6t_icmp6.so",
		"libipt_icmp.so",
		"libxt_comment.so",
		"libxt_multiport.so",
		"libxt_set.so",
		"libxt_standard.so",
		"libxt_tcp.so",
	}
}

// extensionDir is where Debian's iptables looks for extensions.
func extensionDir(triplet string) string { return path.Join("/usr/lib", triplet, "xtables") }

// firewallLayout is the sidecar's tree: the binary, the tools with their
// libraries and extensions, /run for the legacy backend's lock, and no shell:
// whoever gets into it finds nothing to run but the firewall.
func firewallLayout(ctx context.Context, binary string) (rootfs, error) {
	triplet, err := debianTriplet()
	if err != nil {
		return nil, err
	}
	if err := checkTools(triplet); err != nil {
		return nil, err
	}
	files := rootfs{}
	if err := files.copyFile("/bulkhead-firewall", 0o755, binary); err != nil {
		return nil, err
	}
	files.addDirectory("/run")

	var sources []string // ELF files of the host that went into the image
	for _, t := range tools() {
		program := path.Join(sbin, t.program)
		if err := files.copyFile(program, 0o755, program); err != nil {
			return nil, err
		}
		for _, link := range t.links {
			files.addSymlink(path.Join(sbin, link), t.program)
		}
		sources = append(sources, program)
	}
	for _, extension := range extensions() {
		file := path.Join(extensionDir(triplet), extension)
		if err := files.copyFile(file, 0o644, file); err != nil {
			return nil, err
		}
		sources = append(sources, file)
	}
	libraries, err := resolveLibraries(sources, libraryDirs(triplet))
	if err != nil {
		return nil, err
	}
	for _, library := range libraries {
		if err := files.copyFile(library, 0o755, library); err != nil {
			return nil, err
		}
	}
	if err := addPackages(ctx, files, slices.Concat(sources, libraries)); err != nil {
		return nil, err
	}
	return files, nil
}

// checkTools names all that the host lacks, and the packages that hold it.
func checkTools(triplet string) error {
	var problems []error
	var packages []string
	need := func(file, pkg string) {
		if _, err := os.Stat(file); err != nil {
			problems = append(problems, err)
			packages = append(packages, pkg)
		}
	}
	for _, t := range tools() {
		need(path.Join(sbin, t.program), t.pkg)
	}
	for _, extension := range extensions() {
		need(path.Join(extensionDir(triplet), extension), "iptables")
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(packages)
	return fmt.Errorf("this host lacks what goes into the image; on Debian: apt-get install %s: %w",
		strings.Join(slices.Compact(packages), " "), errors.Join(problems...))
}
