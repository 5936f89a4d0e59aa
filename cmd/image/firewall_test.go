package main

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maximumSize of the firewall's image, unpacked: every node holds it, every
// tenant pod starts from it.
const maximumSize = 15_000_000

func firewallRecipe(t *testing.T) recipe {
	t.Helper()
	triplet, err := debianTriplet()
	if err != nil {
		t.Skip("the firewall image cannot be built here:", err)
	}
	if err := checkTools(triplet, tools(), extensions()); err != nil {
		t.Skip("the firewall image cannot be built here:", err)
	}
	chosen, err := choose(recipes(), []string{"firewall"})
	if err != nil {
		t.Fatal(err)
	}
	return chosen[0]
}

func TestFirewallImage(t *testing.T) {
	r := firewallRecipe(t)
	archive := buildArchive(t, r, t.TempDir())
	img, files := readArchive(t, archive)

	t.Run("configuration", func(t *testing.T) {
		testConfiguration(t, img, v1.Config{Entrypoint: []string{"/bulkhead-firewall"}, User: "0:0", Env: []string{"PATH=/usr/sbin"}})
	})
	t.Run("size", func(t *testing.T) {
		size := 0
		for _, e := range files {
			size += len(e.data)
		}
		if size > maximumSize {
			t.Errorf("%d bytes, want at most %d", size, maximumSize)
		}
	})
	t.Run("programs", func(t *testing.T) {
		testPrograms(t, files, "/bulkhead-firewall", "/usr/sbin/xtables-legacy-multi", "/usr/sbin/xtables-nft-multi")
	})
	t.Run("links", func(t *testing.T) { testLinks(t, files) })
	t.Run("libraries", func(t *testing.T) { testLibraries(t, files) })
	t.Run("reproducible", func(t *testing.T) { testReproducible(t, r, img) })
	t.Run("runs", func(t *testing.T) { testFirewallRuns(t, files) })
}

func testLinks(t *testing.T, files rootfs) {
	links := 0
	for name, e := range files {
		if e.mode.Type() != os.ModeSymlink {
			continue
		}
		links++
		if _, ok := files[path.Join(path.Dir(name), e.target)]; !ok {
			t.Errorf("%s points to %s, which is not in the image", name, e.target)
		}
	}
	if links != 18 { // two families, three backends with the default, three actions
		t.Errorf("%d links, want 18", links)
	}
}

// testLibraries looks up in the image what every ELF file in it needs.
func testLibraries(t *testing.T, files rootfs) {
	triplet, err := debianTriplet()
	if err != nil {
		t.Fatal(err)
	}
	dirs := append(libraryDirs(triplet), "/lib64")
	count := 0
	for name, e := range files {
		f, err := elf.NewFile(bytes.NewReader(e.data))
		if err != nil {
			continue // not an ELF file
		}
		count++
		needed, err := f.ImportedLibraries()
		if err != nil {
			t.Fatal(err)
		}
		for _, soname := range needed {
			if !slices.ContainsFunc(dirs, func(dir string) bool { _, ok := files[path.Join(dir, soname)]; return ok }) {
				t.Errorf("%s needs %s, which is not in the image", name, soname)
			}
		}
		for _, segment := range f.Progs {
			if segment.Type != elf.PT_INTERP {
				continue
			}
			loader, err := io.ReadAll(segment.Open())
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := files[strings.TrimRight(string(loader), "\x00")]; !ok {
				t.Errorf("%s is started by %s, which is not in the image", name, loader)
			}
		}
	}
	if want := 1 + len(tools()) + len(extensions()); count < want {
		t.Errorf("%d ELF files, want more than %d", count, want)
	}
}
