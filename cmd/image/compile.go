package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// module is the path of the module whose commands are compiled.
const module = "github.com/bulkhead-dev/bulkhead"

// compile builds a command of this module as a static binary in dir and returns
// its path. Build paths and version control state are left out, so that the
// same source gives the same bytes anywhere.
func compile(ctx context.Context, command, version, dir string) (string, error) {
	binary := filepath.Join(dir, command)
	goos, goarch := platform()
	cmd := exec.CommandContext(ctx, "go", "build",
		"-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version="+version,
		"-o", binary, module+"/cmd/"+command)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	cmd.Stdout = os.Stderr
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("compile %s: %w", command, err)
	}
	return binary, nil
}
