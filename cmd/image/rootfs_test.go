package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func exampleRootfs() rootfs {
	files := rootfs{}
	files.addFile("/usr/sbin/tool", 0o755, []byte("tool"))
	files.addSymlink("/usr/sbin/alias", "tool")
	files.addFile("/etc/passwd", 0o644, []byte("root"))
	files.addDirectory("/run")
	return files
}

func TestRootfsTar(t *testing.T) {
	var first, second bytes.Buffer
	if err := exampleRootfs().writeTar(&first); err != nil {
		t.Fatal(err)
	}
	if err := exampleRootfs().writeTar(&second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same tree gave different bytes")
	}
	var names []string
	for reader := tar.NewReader(&first); ; {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 0 {
			t.Errorf("%s: owner %d:%d, time %s; want root and the epoch", header.Name, header.Uid, header.Gid, header.ModTime)
		}
		names = append(names, header.Name)
	}
	want := []string{"etc/", "etc/passwd", "run/", "usr/", "usr/sbin/", "usr/sbin/alias", "usr/sbin/tool"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error("entries (-want +got):\n", diff)
	}
}

func TestRootfsDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	if err := exampleRootfs().writeDirectory(dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "usr/sbin/alias"))
	if err != nil || string(data) != "tool" {
		t.Errorf("read through the link: %q, %v", data, err)
	}
	info, err := os.Stat(filepath.Join(dir, "usr/sbin/tool"))
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("tool has mode %v, %v", info.Mode(), err)
	}
	if err := exampleRootfs().writeDirectory(dir); err == nil {
		t.Error("wrote over what was there")
	}
}
