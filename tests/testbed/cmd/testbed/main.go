// Command testbed starts a real Kubernetes cluster on this machine, for the demo and for a person to try things in.
//
// Exit codes: 0 all went well, 1 something failed or an experiment did not pass, 2 wrong usage,
// 130 interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/experiments"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
)

const usage = `usage: testbed COMMAND [flags]

A single-node Kubernetes cluster of upstream's binaries, in namespaces of its own: nothing of it reaches the
machine's network, and nothing is left when it ends. Needs Linux, root and Go.

commands:
  packages  install what is missing of the distribution's packages and stop; "make image" needs them too
  build     compile the cluster's binaries into .cache and stop
  up        start a cluster with cert-manager and Bulkhead in it (--bare: without), until Ctrl-C
  demo      play five of the thesis' security experiments with addressing identity, and two again with cidr, without
            and with Bulkhead; results in out/demo.json
  play      play all experiments and attacks without and with Bulkhead; results in out/experiments.json
  down      remove what a crashed run left behind

flags:
  --repository DIR   the Bulkhead repository (default: found upwards from here)
  --only IDS         play: the experiments and faults with these ids alone, comma-separated
  --reuse-for TIME   play: how long address-reuse hands addresses on, such as 5m (default: 1m)
  --cidr             up, play: tenants with addressing cidr, each in a range of its own; play has second interfaces
                     then, and results in out/experiments-cidr.json
  --bare             up: neither cert-manager nor Bulkhead
  --second           up: a second interface for every pod, net1, in one network by macvlan
  --proxy-mode MODE  up: kube-proxy's, iptables (the default) or nftables
  --control-plane    up: no node, and nothing installed: etcd, API server and controller manager alone
  --api-server FLAG  up: another flag of the API server, "--disable-admission-plugins=PodSecurity"; may be given again
`

// settings are the flags, read.
type settings struct {
	repository   string
	bare         bool
	second       bool
	cidr         bool
	controlPlane bool
	proxyMode    string
	apiServer    []string
	only         []string
	reuseFor     time.Duration
	log          *progress.Log
}

// command is one of the subcommands.
type command func(context.Context, settings) error

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	commands := map[string]command{"packages": packages, "build": buildOnly, "up": up, "demo": demo, "play": playAll, "down": down}
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	if args[0] == "--help" || args[0] == "-h" || args[0] == "help" {
		fmt.Fprint(stdout, usage)
		return 0
	}
	chosen, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(stderr, "testbed: unknown command %q\n\n%s", args[0], usage)
		return 2
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	s := settings{log: progress.New(stdout)}
	flags.StringVar(&s.repository, "repository", "", "")
	flags.BoolVar(&s.bare, "bare", false, "")
	flags.BoolVar(&s.cidr, "cidr", false, "")
	flags.BoolVar(&s.second, "second", false, "")
	flags.BoolVar(&s.controlPlane, "control-plane", false, "")
	flags.DurationVar(&s.reuseFor, "reuse-for", experiments.ReuseFor, "")
	flags.StringVar(&s.proxyMode, "proxy-mode", "", "")
	flags.Func("only", "", func(ids string) error {
		s.only = append(s.only, strings.Split(ids, ",")...)
		return nil
	})
	flags.Func("api-server", "", func(flag string) error {
		s.apiServer = append(s.apiServer, flag)
		return nil
	})
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case err != nil || flags.NArg() > 0:
		if err == nil {
			err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
		}
		fmt.Fprintf(stderr, "testbed %s: %v\n\n%s", args[0], err, usage)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := s.findRepository()
	if err == nil {
		err = chosen(ctx, s)
	}
	if err != nil {
		fmt.Fprintf(stderr, "testbed %s: %v\n", args[0], told(ctx, err))
		if ctx.Err() != nil {
			return exitInterrupted
		}
		return 1
	}
	return 0
}

// exitInterrupted is 128 and the signal's number, as shells have it.
const exitInterrupted = 128 + int(syscall.SIGINT)

// told is what a person has to know of an error. After Ctrl-C whatever was going on fails, and what matters is only
// whether something is left.
func told(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if left := (*cluster.StopError)(nil); errors.As(err, &left) {
		return fmt.Errorf("interrupted, and something of the cluster may be left; \"make down\" removes it: %w", left)
	}
	return errors.New("interrupted")
}

// findRepository makes the repository's path absolute; without one it is the nearest folder above with a test bed.
func (s *settings) findRepository() error {
	if s.repository != "" {
		absolute, err := filepath.Abs(s.repository)
		s.repository = absolute
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "tests", "testbed", "go.mod")); err == nil {
			s.repository = dir
			return nil
		}
		if dir == filepath.Dir(dir) {
			return errors.New("not inside the Bulkhead repository; name it with --repository")
		}
	}
}
