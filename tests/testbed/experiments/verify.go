package experiments

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/install"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
)

// selection says which of verify's checks to play, and how.
type selection struct {
	a, b      string   // the namespaces; alice's and bob's if empty
	checks    []string // all if there are none
	iface     string   // dial the addresses of pods' interface of this name
	suffix    string   // of the results' ids, to tell two selections of one check apart
	qualifier string   // of the results' names
}

// verdict is a check's as `bulkhead verify -o json` tells it.
type verdict struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Threats  []string        `json:"threats"`
	Expected results.Outcome `json:"expected"`
	Seen     results.Outcome `json:"seen"`
	Verdict  string          `json:"verdict"`
	Detail   string          `json:"detail"`
}

// verify runs `bulkhead verify` as a platform engineer does, on a cluster with or without Bulkhead, and records what it
// found. Checks that do not pass are in the report, not an error.
func verify(ctx context.Context, c *cluster.Cluster, chosen selection, protected bool, report *results.Report) error {
	args := []string{"verify", "--existing", "--namespace-a", cmp.Or(chosen.a, alice), "--namespace-b", cmp.Or(chosen.b, bob), "--output", "json"}
	if !protected {
		args = append(args, "--baseline")
	}
	if len(chosen.checks) > 0 {
		args = append(args, "--checks", strings.Join(chosen.checks, ","))
	}
	if chosen.iface != "" {
		args = append(args, "--interface", chosen.iface)
	}
	var outside []string
	for _, host := range append([]string{cluster.OutsideName}, c.Network().Outside[0]) {
		outside = append(outside, host+":80")
	}
	args = append(args, "--outside", strings.Join(outside, ","))

	var said, told bytes.Buffer
	command := exec.CommandContext(ctx, install.CLI(c.Options().Repository), args...)
	command.Env = []string{"KUBECONFIG=" + c.Kubeconfig()}
	command.Stdout, command.Stderr = &said, io.MultiWriter(&told, lines{c.Options().Log})
	err := command.Run()
	// 1 says that a check failed; the output says which.
	if exit := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, &told)
	}
	var found struct {
		Experiments []verdict `json:"experiments"`
	}
	if err := json.Unmarshal(said.Bytes(), &found); err != nil {
		return fmt.Errorf("parse the output of %s: %w", strings.Join(command.Args, " "), err)
	}
	if len(found.Experiments) == 0 {
		return fmt.Errorf("%s played nothing", strings.Join(command.Args, " "))
	}
	for _, v := range found.Experiments {
		// What is skipped in one half only has not been seen in both, and does not pass.
		if v.Verdict == "skipped" {
			c.Options().Log.Printf("      %-11s  %-15s %s", "skipped", v.ID+chosen.suffix, v.Detail)
			continue
		}
		report.Record(chosen.describe(v), protected, results.Half{
			Outcome: v.Seen, Detail: v.Detail, Pass: v.Verdict == "pass", Limit: v.Verdict == "known limit",
		})
	}
	return nil
}

func (s selection) describe(v verdict) results.Result {
	return results.Result{ID: v.ID + s.suffix, Name: v.Name + s.qualifier, Threats: v.Threats, Expected: v.Expected}
}

// lines sends what a program says to the log.
type lines struct{ log *progress.Log }

func (l lines) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		l.log.Printf("      %s", strings.TrimRight(line, "\n"))
	}
	return len(text), nil
}
