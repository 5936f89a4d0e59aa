package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
)

const gator = "github.com/open-policy-agent/gatekeeper/v3/cmd/gator@v3.23.1"

// gatekeeperRules are the Pod Security Standards for Gatekeeper: a template for each
// file baseline-* and restricted-*, with lib.rego at its end.
//
//go:embed gatekeeper/*.rego
var gatekeeperRules embed.FS

const gatekeeperNote = "gatekeeper is gator bench: from decoded objects to results, without AdmissionReview, network and the webhook's own work"

// measureGatekeeper runs gator's own benchmark on the same pods, as users send them.
// Where it cannot be built or run, the rest still counts.
func (b *bench) measureGatekeeper(ctx context.Context) error {
	if b.noGatekeeper {
		b.results.skip("gatekeeper", "--no-gatekeeper")
		return nil
	}
	binary, err := b.install(ctx, gator)
	if err != nil {
		b.results.skip("gatekeeper", err.Error())
		return context.Cause(ctx)
	}
	documents := filepath.Join(b.dir, "gatekeeper.yaml")
	if err := b.writeGatekeeper(documents); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, binary, "bench", "--filename", documents, "--engine", "rego", "--iterations", strconv.Itoa(b.gatorIterations), "--warmup", "1", "--memory", "--output", "json")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		b.results.skip("gatekeeper", fmt.Sprintf("gator bench: %v: %s", err, bytes.TrimSpace(stderr.Bytes())))
		return context.Cause(ctx)
	}
	var found []struct {
		TemplateCount    int
		ObjectCount      int
		ViolationCount   int
		SkippedTemplates []string
		Latencies        struct{ P50, P99 metav1.Duration }
		MemoryStats      struct{ AllocsPerReview float64 }
	}
	if err := json.Unmarshal(out, &found); err != nil || len(found) != 1 || found[0].ViolationCount == 0 || len(found[0].SkippedTemplates) > 0 {
		b.results.skip("gatekeeper", fmt.Sprintf("gator bench's answer makes no sense (%v): %s", err, out))
		return nil
	}
	const name = "gatekeeper"
	s := &b.results.Summary
	s.P50[name] = microseconds(found[0].Latencies.P50.Duration)
	s.P99[name] = microseconds(found[0].Latencies.P99.Duration)
	s.Allocs[name] = found[0].MemoryStats.AllocsPerReview
	b.results.note(gatekeeperNote)
	b.results.note(fmt.Sprintf("gatekeeper: %d templates, %d violations in %d iterations over %d pods", found[0].TemplateCount, found[0].ViolationCount, b.gatorIterations, found[0].ObjectCount))
	return nil
}

func microseconds(d time.Duration) float64 {
	return report.Round(report.In(time.Microsecond, d), 3)
}

// install builds a program of another module.
func (b *bench) install(ctx context.Context, program string) (binary string, err error) {
	report.Progress("  building %s", program)
	command := exec.CommandContext(ctx, "go", "install", program)
	command.Dir = os.TempDir() // outside our module
	command.Env = append(os.Environ(), "GOBIN="+b.dir)
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w: %s", program, err, lastLine(out))
	}
	name, _, _ := strings.Cut(filepath.Base(program), "@")
	return filepath.Join(b.dir, name), nil
}

// writeGatekeeper writes templates, a constraint of each, and the pods.
func (b *bench) writeGatekeeper(path string) error {
	var documents []any
	rules, err := gatekeeperSources()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		documents = append(documents, template(name, rules[name]), constraint(name))
	}
	for _, s := range b.deck {
		var pod map[string]any
		if err := json.Unmarshal(s.pod, &pod); err != nil {
			return err
		}
		pod["metadata"].(map[string]any)["namespace"] = s.level
		documents = append(documents, pod)
	}
	var text bytes.Buffer
	for _, document := range documents {
		encoded, err := yaml.Marshal(document)
		if err != nil {
			return err
		}
		text.WriteString("---\n")
		text.Write(encoded)
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}

// gatekeeperSources are the templates' modules by name.
func gatekeeperSources() (map[string]string, error) {
	entries, err := gatekeeperRules.ReadDir("gatekeeper")
	if err != nil {
		return nil, err
	}
	sources := map[string]string{}
	for _, entry := range entries {
		source, err := gatekeeperRules.ReadFile("gatekeeper/" + entry.Name())
		if err != nil {
			return nil, err
		}
		sources[strings.TrimSuffix(entry.Name(), ".rego")] = string(source)
	}
	_, library, _ := strings.Cut(sources["lib"], "\n") // after its package
	delete(sources, "lib")
	for name := range sources {
		sources[name] += library
	}
	return sources, nil
}

// counts tells whether a rule is part of the level: what baseline refuses, restricted
// does too.
func counts(rule, level string) bool {
	return level == "restricted" || strings.HasPrefix(rule, "baseline-")
}

func template(name, source string) map[string]any {
	kind := strings.ReplaceAll(name, "-", "")
	return map[string]any{
		"apiVersion": "templates.gatekeeper.sh/v1",
		"kind":       "ConstraintTemplate",
		"metadata":   map[string]any{"name": kind},
		"spec": map[string]any{
			"crd": map[string]any{"spec": map[string]any{"names": map[string]any{"kind": kind}}},
			"targets": []any{map[string]any{
				"target": "admission.k8s.gatekeeper.sh",
				"code":   []any{map[string]any{"engine": "Rego", "source": map[string]any{"version": "v1", "rego": source}}},
			}},
		},
	}
}

// constraint applies a template in the namespaces of the levels that it is part of.
func constraint(name string) map[string]any {
	match := map[string]any{"kinds": []any{map[string]any{"apiGroups": []string{""}, "kinds": []string{"Pod"}}}}
	var in []string
	for _, level := range levels {
		if counts(name, level) {
			in = append(in, level)
		}
	}
	match["namespaces"] = in
	return map[string]any{
		"apiVersion": "constraints.gatekeeper.sh/v1beta1",
		"kind":       strings.ReplaceAll(name, "-", ""),
		"metadata":   map[string]any{"name": name},
		"spec":       map[string]any{"match": match},
	}
}
