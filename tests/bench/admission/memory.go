package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

var resident = regexp.MustCompile(`([0-9.]+) rss-MiB`)

// measureMemory runs the webhook's own benchmark of it.
func (b *bench) measureMemory(ctx context.Context) error {
	if b.noMemory {
		b.results.skip("rss_mib_10000_namespaces", "--no-memory")
		return nil
	}
	command := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkMemory$", "-benchtime", "1x", "github.com/bulkhead-dev/bulkhead/cmd/bulkhead-webhook")
	out, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	match := resident.FindSubmatch(out)
	if match == nil {
		return errors.New("BenchmarkMemory reports no rss-MiB:\n" + string(out))
	}
	b.results.Summary.ResidentMiB, err = strconv.ParseFloat(string(match[1]), 64)
	return err
}
