package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/image"
)

// LoadImage gives the node the images of a docker-archive.
func (c *Cluster) LoadImage(ctx context.Context, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = c.nodeExec(ctx, file, ctr("images", "import", "-")...)
	if err != nil {
		return fmt.Errorf("load %s: %w", archive, err)
	}
	return nil
}

// LoadImages builds images and gives them to the node.
func (c *Cluster) LoadImages(ctx context.Context, images ...image.Image) error {
	archive := filepath.Join(runDir, "image.tar")
	if err := image.Write(archive, images...); err != nil {
		return err
	}
	if err := c.LoadImage(ctx, archive); err != nil {
		return err
	}
	return os.Remove(archive)
}
