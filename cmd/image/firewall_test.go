package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
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
	if err := checkTools(triplet); err != nil {
		t.Skip("the firewall image cannot be built here:", err)
	}
	chosen, err := choose(recipes(), []string{"firewall"})
	if err != nil {
		t.Fatal(err)
	}
	return chosen[0]
}

// buildArchive builds an image as main does and returns the archive's name.
func buildArchive(t *testing.T, r recipe, dir string) string {
	t.Helper()
	o := options{registry: "registry.local/bulkhead", tag: "test", version: "test", output: dir}
	var out bytes.Buffer
	if err := buildImage(t.Context(), o, r, t.TempDir(), &out); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	return filepath.Join(dir, r.name+".tar")
}

func readArchive(t *testing.T, archive string) (v1.Image, rootfs) {
	t.Helper()
	img, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	content := mutate.Extract(img)
	defer content.Close()
	files := rootfs{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if err == io.EOF {
			return img, files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		files[path.Clean("/"+header.Name)] = entry{mode: header.FileInfo().Mode(), data: data, target: header.Linkname}
	}
}

func TestFirewallImage(t *testing.T) {
	r := firewallRecipe(t)
	archive := buildArchive(t, r, t.TempDir())
	img, files := readArchive(t, archive)

	t.Run("configuration", func(t *testing.T) {
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		want := v1.Config{Entrypoint: []string{"/bulkhead-firewall"}, User: "0:0", Env: []string{"PATH=/usr/sbin"}, Labels: config.Config.Labels}
		if diff := cmp.Diff(want, config.Config); diff != "" {
			t.Error("(-want +got):\n", diff)
		}
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
	t.Run("programs", func(t *testing.T) { testPrograms(t, files) })
	t.Run("links", func(t *testing.T) { testLinks(t, files) })
	t.Run("libraries", func(t *testing.T) { testLibraries(t, files) })
	t.Run("reproducible", func(t *testing.T) {
		first, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		again, _ := readArchive(t, buildArchive(t, r, t.TempDir()))
		second, err := again.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if first != second {
			t.Errorf("built twice: %s and %s", first, second)
		}
	})
	t.Run("runs", func(t *testing.T) { testFirewallRuns(t, files) })
}

// testPrograms finds no program but ours: no shell, no interpreter, nothing
// setuid, nothing that others may write.
func testPrograms(t *testing.T, files rootfs) {
	var programs []string
	for name, e := range files {
		if e.mode&(os.ModeSetuid|os.ModeSetgid) != 0 || e.mode.Type() != os.ModeSymlink && e.mode.Perm()&0o022 != 0 {
			t.Errorf("%s has mode %s", name, e.mode)
		}
		if e.mode.IsRegular() && e.mode.Perm()&0o111 != 0 && !strings.Contains(path.Base(name), ".so") {
			programs = append(programs, name)
		}
	}
	slices.Sort(programs)
	want := []string{"/bulkhead-firewall", "/usr/sbin/ipset", "/usr/sbin/xtables-legacy-multi", "/usr/sbin/xtables-nft-multi"}
	if diff := cmp.Diff(want, programs); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
	if !files["/run"].mode.IsDir() {
		t.Error("/run is no directory")
	}
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
