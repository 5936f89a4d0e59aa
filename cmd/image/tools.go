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

// sbin holds the host's tools, in the images as on Debian.
const sbin = "/usr/sbin"

// tool is a program of the host that goes into an image, and the names that it
// goes by.
type tool struct {
	program string
	pkg     string // Debian package
	links   []string
}

// extensionDir is where Debian's iptables looks for extensions.
func extensionDir(triplet string) string { return path.Join("/usr/lib", triplet, "xtables") }

// addTools adds programs and iptables extensions of the host, with the libraries
// that they need and what dpkg knows of their packages.
func (r rootfs) addTools(ctx context.Context, tools []tool, extensions []string) error {
	triplet, err := debianTriplet()
	if err != nil {
		return err
	}
	if err := checkTools(triplet, tools, extensions); err != nil {
		return err
	}
	var sources []string // ELF files of the host that went into the image
	for _, t := range tools {
		program := path.Join(sbin, t.program)
		if err := r.copyFile(program, 0o755, program); err != nil {
			return err
		}
		for _, link := range t.links {
			r.addSymlink(path.Join(sbin, link), t.program)
		}
		sources = append(sources, program)
	}
	for _, extension := range extensions {
		file := path.Join(extensionDir(triplet), extension)
		if err := r.copyFile(file, 0o644, file); err != nil {
			return err
		}
		sources = append(sources, file)
	}
	libraries, err := resolveLibraries(sources, libraryDirs(triplet))
	if err != nil {
		return err
	}
	for _, library := range libraries {
		if err := r.copyFile(library, 0o755, library); err != nil {
			return err
		}
	}
	return addPackages(ctx, r, slices.Concat(sources, libraries))
}

// checkTools names all that the host lacks, and the packages that hold it.
func checkTools(triplet string, tools []tool, extensions []string) error {
	var problems []error
	var packages []string
	need := func(file, pkg string) {
		if _, err := os.Stat(file); err != nil {
			problems = append(problems, err)
			packages = append(packages, pkg)
		}
	}
	for _, t := range tools {
		need(path.Join(sbin, t.program), t.pkg)
	}
	for _, extension := range extensions {
		need(path.Join(extensionDir(triplet), extension), "iptables")
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(packages)
	return fmt.Errorf("this host lacks what goes into the image; on Debian: apt-get install %s: %w",
		strings.Join(slices.Compact(packages), " "), errors.Join(problems...))
}
