//go:build linux

// Dataplane measures the firewall on this machine, against no rules and against the
// thesis' four rules, and how soon it repairs what is done to it:
//
//	pairs     two network namespaces joined by a veth pair, rules on both ends, one
//	          pair for each variant; variants take turns in short rounds, in random
//	          order, so that whatever else the machine does falls on all of them
//	sidecar   start, memory, updates, repair under constant forbidden traffic
//
// It writes bench-dataplane.json, its details and a picture of them. All happens in
// network namespaces that end with the program, however it ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
)

const usage = `Usage: dataplane [flags]

Measures the firewall in network namespaces of its own (root, Linux, iptables, ipset,
nftables) and writes bench-dataplane.json, bench-dataplane-details.json and
bench-dataplane.svg. Progress on stderr. Takes about five minutes.

Flags:
`

// options are the flags.
type options struct {
	out, image, firewall string
	rounds, tamperings   int
	starts, updates      int
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == holdCommand {
		exit(hold(os.Args[2], os.Stdin, os.Stdout))
	}
	var o options
	flags := flag.NewFlagSet("dataplane", flag.ExitOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage); flags.PrintDefaults() }
	flags.StringVar(&o.out, "out", "out", "folder to write to")
	flags.StringVar(&o.image, "image", "out/images/firewall.tar", "the sidecar's image, for its size")
	flags.StringVar(&o.firewall, "firewall", "", "the sidecar's binary; empty builds it")
	flags.IntVar(&o.rounds, "rounds", 120, "rounds of round trips")
	flags.IntVar(&o.tamperings, "tamperings", 1000, "how often the rules are tampered with")
	flags.IntVar(&o.starts, "starts", 40, "how often the sidecar is started")
	flags.IntVar(&o.updates, "updates", 60, "how often a set of 100,000 is updated")
	_ = flags.Parse(os.Args[1:])
	if flags.NArg() > 0 {
		flags.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	exit(measure(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "dataplane: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// measure does it all and writes what it found.
func measure(ctx context.Context, o options) error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	for _, tool := range []string{"iptables-nft", "ip6tables-nft", "ipset", "nft", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w (Debian: iptables, ipset, nftables, iproute2)", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	if o.firewall == "" {
		dir, err := os.MkdirTemp("", "bulkhead-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.firewall = filepath.Join(dir, "bulkhead-firewall")
		if err := build(ctx, o.firewall); err != nil {
			return err
		}
	}
	var r results
	with := func(do func(context.Context, options, *results) error) func(context.Context) error {
		return func(ctx context.Context) error { return do(ctx, o, &r) }
	}
	err := report.Run(ctx, []report.Step{
		{Title: "traffic through no rules, the thesis' and ours", Do: with(measureTraffic)},
		{Title: "start of the sidecar", Do: with(measureStarts)},
		{Title: "updates of a set of 100,000", Do: with(measureUpdates)},
		{Title: "memory of the sidecar, and repair under fire", Do: with(measureRepairs)},
	})
	if err != nil {
		return err
	}
	if info, err := os.Stat(o.image); err == nil {
		r.Summary.ImageMB = report.Round(float64(info.Size())/1e6, 2)
	} else {
		report.Progress("no image at %s: image_mb is 0; make image builds it", o.image)
	}
	return r.write(o.out)
}

func build(ctx context.Context, binary string) error {
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "github.com/bulkhead-dev/bulkhead/cmd/bulkhead-firewall")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build the sidecar: %w\n%s", err, out)
	}
	return nil
}
