package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// image makes an image of one layer.
func (r recipe) image(files rootfs, version string) (v1.Image, error) {
	var layerTar bytes.Buffer
	if err := files.writeTar(&layerTar); err != nil {
		return nil, fmt.Errorf("write the layer: %w", err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layerTar.Bytes())), nil
	})
	if err != nil {
		return nil, fmt.Errorf("make the layer: %w", err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("append the layer: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = platform()
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.History = []v1.History{{Created: config.Created, CreatedBy: "go run ./cmd/image " + r.name}}
	config.Config = v1.Config{
		Entrypoint: []string{"/" + r.binary()},
		User:       r.user,
		Env:        r.environ,
		Labels: map[string]string{
			"org.opencontainers.image.title":    r.title,
			"org.opencontainers.image.source":   "https://" + module,
			"org.opencontainers.image.version":  version,
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, fmt.Errorf("set the configuration: %w", err)
	}
	return img, nil
}

// writeArchive writes an image as `docker load` and `ctr images import` read
// it. It appears under its name only when it is whole.
func writeArchive(img v1.Image, tag, file string) error {
	ref, err := name.NewTag(tag, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("name the image: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make the output directory: %w", err)
	}
	part := file + ".part"
	defer os.Remove(part)
	if err := tarball.WriteToFile(part, ref, img); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.Rename(part, file)
}

// report prints one line about an image.
func report(out io.Writer, img v1.Image, tag, file string) error {
	digest, err := img.Digest()
	if err != nil {
		return fmt.Errorf("compute the digest: %w", err)
	}
	layers, err := img.Layers()
	if err != nil {
		return fmt.Errorf("list the layers: %w", err)
	}
	var compressed, unpacked int64
	for _, layer := range layers {
		size, err := layer.Size()
		if err != nil {
			return fmt.Errorf("measure the layer: %w", err)
		}
		content, err := layer.Uncompressed()
		if err != nil {
			return fmt.Errorf("read the layer: %w", err)
		}
		n, err := io.Copy(io.Discard, content)
		if err != nil {
			return fmt.Errorf("read the layer: %w", err)
		}
		compressed, unpacked = compressed+size, unpacked+n
	}
	_, err = fmt.Fprintf(out, "%s: %s, manifest %s, %.1f MB compressed, %.1f MB unpacked\n",
		tag, file, digest, float64(compressed)/1e6, float64(unpacked)/1e6)
	return err
}
