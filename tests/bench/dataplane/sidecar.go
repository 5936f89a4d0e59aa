//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
	"github.com/bulkhead-dev/bulkhead/tests/namespace"
)

// sidecar is a running bulkhead-firewall.
type sidecar struct {
	command *exec.Cmd
	lines   chan line
}

// line is what it logged, and when.
type line struct {
	at   time.Time
	text string
}

// command is the sidecar in a namespace that is not a pod's. It ends with this
// program.
func command(ctx context.Context, o options, subcommand string, c *config.Config) (*exec.Cmd, error) {
	text, err := c.Encode()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, o.firewall, subcommand, "--outside-a-pod")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), config.EnvVar + "=" + text}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us alone
	return cmd, nil
}

// start runs the sidecar and waits until its rules are in place.
func start(ctx context.Context, o options, at *namespace.Namespace, c *config.Config) (*sidecar, error) {
	cmd, err := command(ctx, o, "run", c)
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = write, write
	err = at.Do(cmd.Start)
	if err := errors.Join(err, write.Close()); err != nil {
		return nil, errors.Join(err, read.Close())
	}
	s := &sidecar{cmd, make(chan line, 10000)}
	go func() {
		defer close(s.lines)
		defer read.Close()
		for scanner := bufio.NewScanner(read); scanner.Scan(); {
			s.lines <- line{time.Now(), scanner.Text()}
		}
	}()
	return s, nil
}

// says waits for a line with the words.
func (s *sidecar) says(words string, patience time.Duration) (time.Time, error) {
	deadline := time.After(patience)
	last := ""
	for {
		select {
		case l, open := <-s.lines:
			if !open {
				return time.Time{}, fmt.Errorf("the sidecar ended: %s", last)
			}
			if strings.Contains(l.text, words) {
				return l.at, nil
			}
			last = l.text
		case <-deadline:
			return time.Time{}, fmt.Errorf("the sidecar does not say %q; its last word was %s", words, last)
		}
	}
}

// kill ends it as the kernel does that runs out of memory.
func (s *sidecar) kill() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
	for range s.lines {
	}
}

// resident is its memory in MiB.
func (s *sidecar) resident() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for text := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(text, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return report.Round(kib/1024, 2), err
		}
	}
	return 0, errors.New("no VmRSS in the process' status")
}

// measureStarts is the time from the start of bulkhead-init to its end, each time in
// a pod that has no rules yet.
func measureStarts(ctx context.Context, o options, r *results) error {
	var took []float64
	for range o.starts {
		p, err := newPair()
		if err != nil {
			return err
		}
		cmd, err := command(ctx, o, "init", tenant(10))
		if err == nil {
			var out []byte
			err = p.server.Do(func() (err error) {
				began := time.Now()
				out, err = cmd.CombinedOutput()
				took = append(took, report.In(time.Millisecond, time.Since(began)))
				return err
			})
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
		}
		if err := errors.Join(err, p.close()); err != nil {
			return err
		}
	}
	r.Details.StartMs = spreadOf(took)
	r.Summary.Start = r.Details.StartMs.P50
	return nil
}

// measureUpdates adds and removes one peer of 100,000.
func measureUpdates(ctx context.Context, o options, r *results) error {
	p, err := newPair()
	if err != nil {
		return err
	}
	defer p.close()
	h, filled, err := holdPeers(ctx, p.server, 100_000)
	if err != nil {
		return err
	}
	r.Details.FillMs = report.Round(filled.Milliseconds, 1)
	var took []float64
	for range o.updates {
		a, err := h.update()
		if err != nil {
			return err
		}
		took = append(took, a.Milliseconds)
	}
	r.Details.UpdateMs = spreadOf(took)
	r.Summary.Update = r.Details.UpdateMs.P50
	return h.end()
}
