//go:build linux

package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// block adds rules of the thesis' kind, for a cluster without Bulkhead: whoever may flush a firewall has to have one to
// flush.
func block(ctx context.Context, _ attempt, targets []string) ([]Answer, error) {
	var answers []Answer
	for _, target := range targets {
		address, err := netip.ParseAddr(target)
		if err != nil {
			return nil, err
		}
		program := "iptables"
		if address.Is6() {
			program = "ip6tables"
		}
		for chain, match := range map[string]string{"INPUT": "-s", "OUTPUT": "-d"} {
			if said, err := run(ctx, program, "-w", "-A", chain, match, target, "-j", "DROP"); err != nil {
				return nil, fmt.Errorf("%w: %s", err, said)
			}
		}
		answers = append(answers, Answer{Target: target, Outcome: Reached})
	}
	return answers, nil
}

// backends are the four iptables; what one has set the others neither show nor flush.
func backends() []string {
	return []string{"iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"}
}

// flush takes every rule of the filter tables away, and lets the chains accept what falls through: experiments 6 and 7
// of the thesis, and with a process of another pod number 8. It is done if one backend let it.
func flush(ctx context.Context, a attempt, _ []string) ([]Answer, error) {
	if a.process != "" {
		if err := enter(a.process); err != nil {
			if outcome, known := judge(err); known {
				return []Answer{{Outcome: outcome, Detail: err.Error()}}, nil
			}
			return nil, err
		}
	}
	var said []string
	answer := Answer{Outcome: Refused}
	for _, program := range backends() {
		out, err := run(ctx, program, "-w", "-F")
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			return nil, err // iptables is missing, which proves nothing
		}
		if err != nil {
			first, _, _ := strings.Cut(out, "\n")
			said = append(said, first)
			continue
		}
		answer.Outcome = Reached
		for _, chain := range []string{"INPUT", "OUTPUT", "FORWARD"} {
			if out, err := run(ctx, program, "-w", "-P", chain, "ACCEPT"); err != nil {
				return nil, fmt.Errorf("%w: %s", err, out)
			}
		}
	}
	if answer.Outcome == Refused {
		answer.Detail = said[0]
	}
	return []Answer{answer}, nil
}

// enter brings this thread, and the programs that it starts, into the network namespace of the first process below a
// proc file system whose command line holds a pattern: what nsenter does (experiment 8). The thread stays there: it is
// never unlocked, and ends with its goroutine.
func enter(process string) error {
	folder, pattern := filepath.Split(process)
	lines, err := filepath.Glob(filepath.Join(folder, "[0-9]*", "cmdline"))
	if err != nil {
		return err
	}
	for _, line := range lines {
		content, err := os.ReadFile(line)
		// Its own command line holds the pattern too, behind the folder.
		if err != nil || !bytes.Contains(content, []byte(pattern)) || bytes.Contains(content, []byte(process)) {
			continue // ended meanwhile, or another one
		}
		namespace, err := os.Open(filepath.Join(filepath.Dir(line), "ns", "net"))
		if err != nil {
			return fmt.Errorf("open the namespace of %s: %w", pattern, err)
		}
		defer namespace.Close()
		runtime.LockOSThread()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the namespace of %s: %w", pattern, err)
		}
		return nil
	}
	return fmt.Errorf("no process below %s has %q in its command line", folder, pattern)
}

// run runs a program of the image and returns what it said.
func run(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), err
}
