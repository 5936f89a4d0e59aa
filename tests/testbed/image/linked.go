package image

import (
	"context"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// AddProgram puts a program of this machine at path at, with the shared libraries that it needs where its loader will
// look for them.
func (r Root) AddProgram(ctx context.Context, at, program string) error {
	r[at] = Entry{Copy: program}
	return r.addLibraries(ctx, program)
}

// AddLinks puts symbolic links to target into dir, one for each name.
func (r Root) AddLinks(dir, target string, names ...string) {
	for _, name := range names {
		r[path.Join(dir, name)] = Entry{Link: target}
	}
}

// AddFiles copies the files that match a pattern to where they are on this machine.
func (r Root) AddFiles(pattern string) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, file := range files {
		r[file] = Entry{Copy: file}
	}
	return nil
}

func (r Root) addLibraries(ctx context.Context, program string) error {
	// ldd exits with 1 for a static program and says so; only the lines that name a file matter.
	output, err := exec.CommandContext(ctx, "ldd", program).CombinedOutput()
	text := string(output)
	if strings.Contains(text, "not a dynamic executable") || strings.Contains(text, "statically linked") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ldd %s: %w: %s", program, err, text)
	}
	libraries, err := parseLDD(text)
	if err != nil {
		return fmt.Errorf("ldd %s: %w", program, err)
	}
	for _, library := range libraries {
		r[library] = Entry{Copy: library}
	}
	return nil
}

// parseLDD reads lines of the forms "libc.so.6 => /lib/…/libc.so.6 (0x…)" and "/lib64/ld-linux-x86-64.so.2 (0x…)".
func parseLDD(output string) ([]string, error) {
	var libraries []string
	for line := range strings.Lines(output) {
		if strings.Contains(line, "not found") {
			return nil, fmt.Errorf("a library is missing: %s", strings.TrimSpace(line))
		}
		if _, after, ok := strings.Cut(line, "=>"); ok {
			line = after
		}
		if fields := strings.Fields(line); len(fields) > 0 && strings.HasPrefix(fields[0], "/") {
			libraries = append(libraries, fields[0])
		}
	}
	return libraries, nil
}
