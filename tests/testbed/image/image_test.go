package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestParseLDD(t *testing.T) {
	tests := map[string]struct {
		output string
		want   []string
		fails  bool
	}{
		"usual": {
			output: "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n",
			want:   []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"},
		},
		"missing": {output: "\tlibipset.so.13 => not found\n", fails: true},
		"empty":   {},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseLDD(test.output)
			if (err != nil) != test.fails || !slices.Equal(got, test.want) {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
		})
	}
}

func TestTarHasParentsFirstAndIsStable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("binary"), 0o755); err != nil {
		t.Fatal(err)
	}
	root := Root{"/usr/bin/program": {Copy: file}, "/bin/link": {Link: "../usr/bin/program"}}
	content, err := root.tar()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for reader := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
	want := []string{"bin/", "usr/", "usr/bin/", "bin/link", "usr/bin/program"}
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	again, err := root.tar()
	if err != nil || !bytes.Equal(again, content) {
		t.Errorf("the same root packed differently the second time (%v)", err)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "certmanager")
	if err := os.WriteFile(binary, []byte("binary"), 0o755); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "images.tar")
	images := CertManager(binary, "v1.0.0")
	if err := Write(archive, images...); err != nil {
		t.Fatal(err)
	}
	for _, want := range images {
		tag, err := name.NewTag(want.Name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tarball.ImageFromPath(archive, &tag)
		if err != nil {
			t.Fatal(err)
		}
		config, err := got.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(config.Config.Entrypoint, want.Entrypoint) || config.Config.User != want.User || config.OS != "linux" {
			t.Errorf("%s: got %+v", want.Name, config)
		}
	}
}
