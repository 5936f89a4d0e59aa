// Package image writes container images without a container engine or a registry: one uncompressed layer, as a
// docker-archive that `ctr images import` reads. Programs of the machine's own distribution are packed together with
// the shared libraries that ldd names.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"sort"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Root is an image's file system: what is at each absolute path.
type Root map[string]Entry

// Entry is a file copied from the machine, or a link. Exactly one of the fields is set.
type Entry struct {
	Copy string // path on this machine; its permissions are kept
	Link string // target of a symbolic link
}

// Image is a name, a file system and what runs in it.
type Image struct {
	Name       string // e.g. registry.local/bulkhead/probe:dev
	Root       Root
	Entrypoint []string
	User       string // "" is root
}

// Write writes images to one docker-archive at path. Images with equal roots share their layer.
func Write(path string, images ...Image) error {
	tagged := map[name.Tag]v1.Image{}
	layers := map[string]v1.Layer{}
	for _, i := range images {
		tag, err := name.NewTag(i.Name)
		if err != nil {
			return err
		}
		content, err := i.Root.tar()
		if err != nil {
			return fmt.Errorf("pack %s: %w", i.Name, err)
		}
		layer := static.NewLayer(content, types.DockerUncompressedLayer)
		digest, err := layer.Digest()
		if err != nil {
			return err
		}
		if shared, ok := layers[digest.String()]; ok {
			layer = shared
		}
		layers[digest.String()] = layer
		image, err := mutate.AppendLayers(empty.Image, layer)
		if err != nil {
			return err
		}
		config, err := image.ConfigFile()
		if err != nil {
			return err
		}
		config = config.DeepCopy()
		config.OS, config.Architecture = "linux", runtime.GOARCH
		config.Config = v1.Config{Entrypoint: i.Entrypoint, User: i.User, Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}
		if image, err = mutate.ConfigFile(image, config); err != nil {
			return err
		}
		tagged[tag] = image
	}
	return tarball.MultiWriteToFile(path, tagged)
}

// tar writes the root sorted and without times, so that equal roots give equal layers.
func (r Root) tar() ([]byte, error) {
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for _, dir := range r.dirs() {
		err := writer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755})
		if err != nil {
			return nil, err
		}
	}
	paths := make([]string, 0, len(r))
	for at := range r {
		paths = append(paths, at)
	}
	sort.Strings(paths)
	for _, at := range paths {
		if err := r[at].write(writer, at[1:]); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

func (e Entry) write(writer *tar.Writer, name string) error {
	if e.Link != "" {
		return writer.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: e.Link, Mode: 0o777})
	}
	info, err := os.Stat(e.Copy)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(e.Copy)
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(info.Mode().Perm()), Size: int64(len(content))}
	if err := writer.WriteHeader(header); err != nil {
		return err
	}
	_, err = writer.Write(content)
	return err
}

// dirs lists every folder above an entry, parents first.
func (r Root) dirs() []string {
	var all []string
	for at := range r {
		for dir := path.Dir(at); dir != "/"; dir = path.Dir(dir) {
			all = append(all, dir)
		}
	}
	sort.Strings(all)
	return slices.Compact(all)
}
