// Package report is what the benchmarks below tests/bench have in common: steps whose
// progress a person sees, distributions in a few figures, the machine that they were
// measured on, and the files they are written to. What is measured, and the names of the
// figures, are each benchmark's own.
package report

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Step is a part of a benchmark.
type Step struct {
	Title string
	Do    func(context.Context) error
}

// Run takes the steps one after another, up to the first that fails.
func Run(ctx context.Context, steps []Step) error {
	for _, step := range steps {
		began := time.Now()
		Progress("%s", step.Title)
		if err := step.Do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.Title, err)
		}
		Progress("  took %s", time.Since(began).Round(time.Second))
	}
	return nil
}

// Progress tells a person how far the benchmark is, as a line on stderr.
func Progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Machine is what a benchmark ran on.
type Machine struct {
	Processors int    `json:"processors"`
	Go         string `json:"go"`
	LoadBefore string `json:"load_before"`
	LoadAfter  string `json:"load_after"`
}

// ThisMachine describes the machine before anything is measured.
func ThisMachine() Machine {
	return Machine{Processors: runtime.NumCPU(), Go: runtime.Version(), LoadBefore: load()}
}

// End completes the description when all is measured.
func (m *Machine) End() { m.LoadAfter = load() }

// load is the machine's load average; empty where it cannot be told.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// Write writes a benchmark's summary to NAME.json in the folder, which it makes, what
// that was made of to NAME-details.json, and a picture of it to NAME.svg.
func Write(dir, name string, summary, details any, picture string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for suffix, value := range map[string]any{"": summary, "-details": details} {
		data, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+suffix+".json"), append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, name+".svg"), []byte(picture), 0o644)
}
