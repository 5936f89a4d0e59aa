package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"
)

// maxInput bounds all manifests of a run together.
const maxInput = 64 << 20

// maxObjects bounds the documents of a file and the items of a List.
const maxObjects = 100_000

// stdinName is what reports call standard input.
const stdinName = "stdin"

// input reads manifests until there is more than maxInput of them.
type input struct {
	stdin io.Reader
	left  int64
}

// read returns the objects of the files, folders and standard input that are named. The
// error lists all that is wrong, each with file and line.
func (in *input) read(ctx context.Context, names []string) ([]*object, error) {
	var objects []*object
	var errs []error
	for _, name := range names {
		found, err := in.readOne(ctx, name)
		objects, errs = append(objects, found...), append(errs, err)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return objects, errors.Join(errs...)
}

func (in *input) readOne(ctx context.Context, name string) ([]*object, error) {
	if name == "-" {
		return in.parse(ctx, stdinName, in.stdin)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return in.readFile(ctx, name)
	}
	var objects []*object
	var errs []error
	err = filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			return ctx.Err()
		}
		found, err := in.readFile(ctx, path)
		objects, errs = append(objects, found...), append(errs, err)
		return ctx.Err()
	})
	return objects, errors.Join(append(errs, err)...)
}

func (in *input) readFile(ctx context.Context, path string) ([]*object, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return in.parse(ctx, path, file)
}

func (in *input) parse(ctx context.Context, name string, from io.Reader) ([]*object, error) {
	data, err := readAll(ctx, io.LimitReader(from, in.left+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if in.left -= int64(len(data)); in.left < 0 {
		in.left = 0
		return nil, fmt.Errorf("%s: more than %d MiB of manifests: check them in parts", name, maxInput>>20)
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s: is not UTF-8, but perhaps UTF-16, as some editors and PowerShell write it: convert it", name)
	}
	documents, err := split(name, data)
	if err != nil {
		return nil, err
	}
	var objects []*object
	var errs []error
	for _, document := range documents {
		found, err := document.objects()
		objects, errs = append(objects, found...), append(errs, err)
	}
	return objects, errors.Join(errs...)
}

// readAll returns when the context ends, even if the other end of a pipe is silent.
func readAll(ctx context.Context, from io.Reader) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := io.ReadAll(from)
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
