package main

import (
	"archive/tar"
	"bytes"
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

func testConfiguration(t *testing.T, img v1.Image, want v1.Config) {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want.Labels = config.Config.Labels
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
	if version := want.Labels["org.opencontainers.image.version"]; version != "test" {
		t.Errorf("labelled as version %q", version)
	}
}

// testReproducible builds an image again, elsewhere.
func testReproducible(t *testing.T, r recipe, img v1.Image) {
	t.Helper()
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
}

// testPrograms finds no program but these: no shell, no interpreter, nothing
// setuid, nothing that others may write.
func testPrograms(t *testing.T, files rootfs, want ...string) {
	t.Helper()
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
	if diff := cmp.Diff(want, programs); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
}
