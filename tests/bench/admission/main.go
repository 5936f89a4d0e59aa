// Admission measures a review of a pod, from the bytes of an AdmissionReview to those
// of the answer, and compares it with Kubernetes' own Pod Security admission, with
// Gatekeeper and with Kyverno:
//
//	reviews  in this process, one at a time; candidates take turns on every pod, in
//	         random order, so that whatever else the machine does falls on all of them
//	tls      against bulkhead-webhook and PSA's own webhook as programs of their own,
//	         over 1, 8 and 64 connections, in turns
//	peers    Gatekeeper's gator bench on the same pods, and the handler of Kyverno's
//	         webhook on the same reviews, each a program of its own
//	memory   of bulkhead-webhook that follows 10,000 namespaces
//
// It writes bench-admission.json and its details. It listens on the loopback only.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
)

const usage = `Usage: admission [flags]

Measures reviews of pods by Bulkhead, by Kubernetes' own Pod Security admission, by
Gatekeeper and by Kyverno, and writes bench-admission.json, bench-admission-details.json
and bench-admission.svg. Progress on stderr. Takes about ten minutes, and more where the
peers must be built first: they come from Go's module proxy, and one that does not build
is skipped.

Flags:
`

// options are the flags.
type options struct {
	out             string
	rounds          int
	tlsRounds       int
	tlsTime         time.Duration
	gatorIterations int
	noGatekeeper    bool
	noKyverno       bool
	noMemory        bool
}

func main() {
	var o options
	flags := flag.NewFlagSet("admission", flag.ExitOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage); flags.PrintDefaults() }
	flags.StringVar(&o.out, "out", "out", "folder to write to")
	flags.IntVar(&o.rounds, "rounds", 60, "rounds of reviews, each of all pods by all candidates")
	flags.IntVar(&o.tlsRounds, "tls-rounds", 5, "turns of each server at each number of connections")
	flags.DurationVar(&o.tlsTime, "tls-time", 2*time.Second, "how long a turn takes")
	flags.IntVar(&o.gatorIterations, "gator-iterations", 10, "how often Gatekeeper reviews all pods")
	flags.BoolVar(&o.noGatekeeper, "no-gatekeeper", false, "leave out Gatekeeper, which takes minutes to build the first time")
	flags.BoolVar(&o.noKyverno, "no-kyverno", false, "leave out Kyverno, which takes ten minutes and 6 GiB to build the first time")
	flags.BoolVar(&o.noMemory, "no-memory", false, "leave out the memory")
	_ = flags.Parse(os.Args[1:])
	if flags.NArg() > 0 || o.rounds < 1 || o.tlsRounds < 1 || o.gatorIterations < 1 {
		flags.Usage()
		os.Exit(2)
	}
	klog.LogToStderr(false) // denials are logged, which is part of a review
	klog.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "admission: %v\n", err)
		os.Exit(1)
	}
}

// measure does it all and writes what it found.
func measure(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "bulkhead-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := newBench(ctx, o, dir)
	if err != nil {
		return err
	}
	err = report.Run(ctx, []report.Step{
		{Title: "reviews in this process", Do: b.measureReviews},
		{Title: "reviews over TLS", Do: b.measureTLS},
		{Title: "Gatekeeper", Do: b.measureGatekeeper},
		{Title: "Kyverno", Do: b.measureKyverno},
		{Title: "memory with 10,000 namespaces", Do: b.measureMemory},
	})
	if err != nil {
		return err
	}
	return b.results.write(o.out)
}

// bench is what the steps share.
type bench struct {
	options
	dir     string // for temporary files
	deck    []sample
	ours    *bulkhead
	results results
}

func newBench(ctx context.Context, o options, dir string) (*bench, error) {
	b := &bench{options: o, dir: dir, results: newResults()}
	var err error
	if b.ours, err = newBulkhead(ctx, dir); err != nil {
		return nil, err
	}
	if b.deck, err = newDeck(ctx, b.ours); err != nil {
		return nil, err
	}
	b.results.Details.Pods = len(b.deck)
	return b, nil
}
