package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// rootfs is an image's file tree: absolute, clean paths to what lies there. All
// belongs to root and is writable by nobody else.
type rootfs map[string]entry

// entry is a file, a symbolic link (target set) or a directory (mode says so).
type entry struct {
	mode   fs.FileMode
	data   []byte
	target string
}

// addFile adds a file and the directories above it.
func (r rootfs) addFile(name string, mode fs.FileMode, data []byte) {
	r.addDirectory(path.Dir(name))
	r[name] = entry{mode: mode.Perm(), data: data}
}

// copyFile adds a file with the content of one of the host's, links followed.
func (r rootfs) copyFile(name string, mode fs.FileMode, source string) error {
	data, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	r.addFile(name, mode, data)
	return nil
}

func (r rootfs) addSymlink(name, target string) {
	r.addDirectory(path.Dir(name))
	r[name] = entry{mode: fs.ModeSymlink | 0o777, target: target}
}

// addDirectory adds a directory and those above it.
func (r rootfs) addDirectory(name string) {
	for ; name != "/"; name = path.Dir(name) {
		r[name] = entry{mode: fs.ModeDir | 0o755}
	}
}

// paths are sorted: a directory comes before what is in it.
func (r rootfs) paths() []string { return slices.Sorted(maps.Keys(r)) }

// writeTar writes the tree as a layer.
func (r rootfs) writeTar(w io.Writer) error {
	tw := tar.NewWriter(w)
	for _, name := range r.paths() {
		e := r[name]
		header := &tar.Header{
			Name:     strings.TrimPrefix(name, "/"),
			Mode:     int64(e.mode.Perm()),
			ModTime:  time.Unix(0, 0),
			Format:   tar.FormatUSTAR,
			Typeflag: tar.TypeReg,
			Size:     int64(len(e.data)),
		}
		switch e.mode.Type() {
		case fs.ModeDir:
			header.Typeflag = tar.TypeDir
			header.Name += "/"
		case fs.ModeSymlink:
			header.Typeflag = tar.TypeSymlink
			header.Linkname = e.target
		}
		if err := tw.WriteHeader(header); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if _, err := tw.Write(e.data); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return tw.Close()
}

// writeDirectory writes the tree below a directory, which must be empty or not
// exist: files left over from before would end up in the image.
func (r rootfs) writeDirectory(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the root: %w", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the root: %w", err)
	}
	if len(left) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	for _, name := range r.paths() {
		e, target := r[name], filepath.Join(dir, name)
		switch e.mode.Type() {
		case fs.ModeDir:
			err = os.Mkdir(target, 0o755)
		case fs.ModeSymlink:
			err = os.Symlink(e.target, target)
		default:
			// Chmod as well: WriteFile's mode is cut by the umask.
			err = errors.Join(os.WriteFile(target, e.data, e.mode), os.Chmod(target, e.mode))
		}
		if err != nil {
			return fmt.Errorf("write the root: %w", err)
		}
	}
	return nil
}
