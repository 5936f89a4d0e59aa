package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
)

// kyvernoModule is below the root of ours: a module of its own, for all that Kyverno
// depends on.
const kyvernoModule = "tests/bench/admission/kyverno"

// deniedByKyverno are the fixtures that pass PSA at its latest version and not Kyverno's
// podSecurity rule, whose checks are a copy (github.com/kyverno/pod-security-admission)
// of before version 1.37's sysctls and more: by level and name.
var deniedByKyverno = [...]string{"baseline procmount1", "baseline sysctls1", "restricted restrictedvolumes0", "restricted sysctls1"}

// measureKyverno has Kyverno's own webhook answer the same reviews, in a program of its
// own. Where it cannot be built or run, or does not decide as it should, the rest still
// counts.
func (b *bench) measureKyverno(ctx context.Context) error {
	if b.noKyverno {
		b.results.skip("kyverno", "--no-kyverno")
		return nil
	}
	dir, binary, err := b.buildKyverno(ctx)
	if err != nil {
		b.results.skip("kyverno", err.Error())
		return context.Cause(ctx)
	}
	for _, policies := range []struct{ name, file string }{
		{"kyverno", "podsecurity.yaml"},
		{"kyverno_patterns", "patterns.yaml"},
	} {
		if err := b.runKyverno(ctx, policies.name, binary, filepath.Join(dir, policies.file)); err != nil {
			b.results.skip(policies.name, err.Error())
		}
		report.Progress("  %s", policies.name)
	}
	return context.Cause(ctx)
}

// buildKyverno returns the module's folder and the program.
func (b *bench) buildKyverno(ctx context.Context) (dir, binary string, err error) {
	report.Progress("  building Kyverno")
	module, err := moduleFolder(ctx)
	if err != nil {
		return "", "", err
	}
	dir, binary = filepath.Join(module, kyvernoModule), filepath.Join(b.dir, "kyverno")
	if out, err := exec.CommandContext(ctx, "go", "build", "-C", dir, "-ldflags", "-s -w", "-o", binary, ".").CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("go build in %s: %w: %s", kyvernoModule, err, lastLine(out))
	}
	return dir, binary, nil
}

// runKyverno measures with the policies, and makes sure that they decide as they should.
func (b *bench) runKyverno(ctx context.Context, name, binary, policies string) error {
	var reviews, out bytes.Buffer
	for i := range b.deck {
		reviews.Write(b.deck[i].create)
		reviews.WriteByte('\n')
	}
	log, err := os.Create(filepath.Join(b.dir, name+".log")) // denials are logged, which is part of a review
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.CommandContext(ctx, binary, "--policies", policies, "--rounds", strconv.Itoa(b.rounds))
	command.Stdin, command.Stdout, command.Stderr = &reviews, &out, log
	if err := command.Run(); err != nil {
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%s: %w: %s", name, err, lastLine(said))
	}
	var found struct {
		Version     string            `json:"version"`
		Denied      []string          `json:"denied"`
		Times       [][]time.Duration `json:"times_ns"`
		Allocs      float64           `json:"allocs"`
		ProcessorUs float64           `json:"processor_us"`
	}
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, &out)
	}
	if len(found.Denied) != len(b.deck) || len(found.Times) != len(b.deck) {
		return fmt.Errorf("%s answered %d of %d reviews", name, len(found.Denied), len(b.deck))
	}
	refused, err := b.kyvernoDecisions(found.Denied)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	times, violations := map[string][]time.Duration{}, 0
	for i, s := range b.deck {
		times[s.set] = append(times[s.set], found.Times[i]...)
		if found.Denied[i] != "" {
			violations++
		}
	}
	b.results.reviews(name, times)
	b.results.Summary.Allocs[name], b.results.Details.ProcessorTime[name] = report.Round(found.Allocs, 0), report.Round(found.ProcessorUs, 1)
	b.results.Details.Denied[name] = violations
	b.results.note(fmt.Sprintf("%s is the handler of Kyverno %s's validating webhook, from AdmissionReview bytes to response bytes, in a process of its own: %d violations in %d reviews", name, found.Version, violations, len(b.deck)))
	if len(refused) > 0 {
		b.results.note(fmt.Sprintf("%s denies fixtures that pass PSA, of which it has an older copy: %s", name, strings.Join(refused, ", ")))
	}
	return nil
}

// kyvernoDecisions makes sure that the decisions are those of the Pod Security Standards:
// nothing that they forbid is let through, and nothing else is denied but what Kyverno is
// known to deny, which is returned by name.
func (b *bench) kyvernoDecisions(denied []string) (refused []string, err error) {
	for i, s := range b.deck {
		is := denied[i] != ""
		if is == (s.set == failingSet) {
			continue
		}
		if name := fixtureName(s); is && s.set == passingSet && slices.Contains(deniedByKyverno[:], name) {
			refused = append(refused, name)
			continue
		}
		return nil, fmt.Errorf("%s %s is denied: %t: %s", s.level, s.set, is, s.pod)
	}
	return refused, nil
}

// fixtureName is the level and the pod's name.
func fixtureName(s sample) string {
	var pod struct{ Metadata struct{ GenerateName string } }
	_ = json.Unmarshal(s.pod, &pod) // it is one of ours
	return s.level + " " + strings.TrimSuffix(pod.Metadata.GenerateName, "-")
}
