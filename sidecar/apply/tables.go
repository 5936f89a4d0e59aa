//go:build linux

package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-iptables/iptables"

	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Tables is the filter table of one family, as far as Applier needs it.
type Tables interface {
	// List returns the policies, chains and rules in the words of
	// `iptables -S`.
	List() ([]string, error)
	// Restore executes what iptables-save would have written, without
	// flushing what is not named in it: wholly or, on error, not at all.
	Restore(ctx context.Context, transaction string) error
}

const (
	// patience bounds each run of a tool; they take milliseconds.
	patience = 10 * time.Second
	// lockSeconds bounds the wait for legacy iptables' lock.
	lockSeconds = 5
)

// wholeTable stands where go-iptables wants the name of a chain: iptables -S
// without a name lists the whole table, and an option is not taken for one. One
// listing instead of one for each chain is the difference between 3 and 30 ms.
const wholeTable = "--wait"

// filterTable is the real one. go-iptables lists, with the version's own way of
// waiting for the lock; it has no restore, so that is run beside it. Nothing here
// asks go-iptables whether a rule or a chain exists: it takes exit code 1 for
// "absent", which is also how iptables says that it failed.
type filterTable struct {
	iptables *iptables.IPTables
	restore  string
}

// openTable finds the tools of a family and backend in PATH.
func openTable(backend Backend, family rules.Family) (Tables, error) {
	command, protocol := "iptables", iptables.ProtocolIPv4
	if family == rules.IPv6 {
		command, protocol = "ip6tables", iptables.ProtocolIPv6
	}
	command += "-" + string(backend)
	tool, err := iptables.New(iptables.Path(command), iptables.IPFamily(protocol), iptables.Timeout(lockSeconds))
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", command, err)
	}
	restore, err := exec.LookPath(command + "-restore")
	if err != nil {
		return nil, fmt.Errorf("find %s-restore: %w", command, err)
	}
	return &filterTable{iptables: tool, restore: restore}, nil
}

func (t *filterTable) List() ([]string, error) {
	lines, err := t.iptables.List("filter", wholeTable)
	if err != nil {
		return nil, fmt.Errorf("list the filter table: %w", err)
	}
	return lines, nil
}

func (t *filterTable) Restore(ctx context.Context, transaction string) error {
	_, err := runTool(ctx, transaction, t.restore, "--noflush", "--wait", strconv.Itoa(lockSeconds))
	return err
}

// runTool runs a tool with standard input and returns its standard output. An
// error carries what the tool said.
func runTool(ctx context.Context, stdin, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, path, args...)
	command.Stdin = strings.NewReader(stdin)
	command.Stdout = &stdout
	command.Stderr = &stderr
	if err := command.Run(); err != nil {
		if said := strings.TrimSpace(stderr.String()); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return "", fmt.Errorf("run %s: %w", strings.Join(command.Args, " "), errors.Join(err, ctx.Err()))
	}
	return stdout.String(), nil
}
