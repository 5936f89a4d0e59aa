// Package build makes the test bed's binaries from Go modules and keeps them in a cache folder.
//
// A binary's file name holds a hash of everything that it is made from (the Go version, the flags, the sources and
// go.sum of its folder), so a warm run compiles nothing and asks no module proxy, and a changed source or version
// cannot be served from the cache. Older binaries of the same name are removed.
package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
)

// Cache builds into a folder.
type Cache struct {
	Dir string
	Log *progress.Log
}

// All builds every target and returns the binaries' paths by target name.
func (c Cache) All(ctx context.Context, targets []Target) (map[string]string, error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	goVersion, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return nil, fmt.Errorf("ask go for its version (is Go installed and in PATH?): %w", err)
	}
	paths := map[string]string{}
	for _, target := range targets {
		key, err := target.key(strings.TrimSpace(string(goVersion)))
		if err != nil {
			return nil, fmt.Errorf("hash the sources of %s: %w", target.Name, err)
		}
		path := filepath.Join(c.Dir, target.Name+"-"+key)
		paths[target.Name] = path
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := c.Log.Step("build "+target.Name, func() error { return c.build(ctx, target, path) }); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// key is a short hash of what the binary is made from.
func (t Target) key(goVersion string) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, goVersion, runtime.GOARCH, t.Name, t.Install, t.LDFlags)
	if t.Dir != "" {
		err := filepath.WalkDir(t.Dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			fmt.Fprintf(hash, "%s %d\n%s", entry.Name(), len(content), content)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// build makes one binary beside its final place and moves it there, so that an interrupted build leaves none behind.
func (c Cache) build(ctx context.Context, target Target, path string) error {
	work, err := os.MkdirTemp(c.Dir, "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	built := filepath.Join(work, target.Name)
	args := []string{"-trimpath", "-ldflags", strings.TrimSpace("-s -w " + target.LDFlags)}
	var command *exec.Cmd
	if target.Install != "" {
		command = exec.CommandContext(ctx, "go", append(append([]string{"install"}, args...), target.Install)...)
		command.Dir = work
	} else {
		command = exec.CommandContext(ctx, "go", append(append([]string{"build"}, args...), "-o", built, ".")...)
		command.Dir = target.Dir
	}
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOBIN="+work)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, &output)
	}
	older, err := filepath.Glob(filepath.Join(c.Dir, target.Name+"-*"))
	if err != nil {
		return err
	}
	for _, old := range older {
		if err := os.Remove(old); err != nil {
			return fmt.Errorf("remove an older build: %w", err)
		}
	}
	return os.Rename(built, path)
}
