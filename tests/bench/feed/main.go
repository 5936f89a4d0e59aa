//go:build linux

// Feed measures addressing by identity at size: an etcd and an API server, both real,
// with many tenants, pods and Services, written through the API server; the real
// bulkhead-webhook outside of the cluster; and sidecars, which are simulated: each has a
// connection, a TLS session and a pod-bound token of its own and speaks the stream's
// protocol, but applies to a set in memory. What the kernel takes to change a set is
// measured by tests/bench/dataplane.
//
//	growth     with the tenants: the cluster is filled by steps, a replica started at each
//	changes    pods come and go in tenants of which every pod has a sidecar: the time
//	           from the API server's event to the applied set
//	reconnect  the replica is killed, and all sidecars find another, with their jitter
//	           and without
//	growth     with the changes a second, and with the pods of a tenant
//
// It writes bench-feed.json and its details. It listens on the loopback only, and all
// its programs end with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const usage = `Usage: feed [flags]

Measures the identity feed with a real API server and simulated sidecars, and writes
bench-feed.json, bench-feed-details.json and bench-feed.svg. Progress on stderr. Takes about 18 minutes
and 10 GiB of memory.

Flags:
`

// options are the flags.
type options struct {
	out, kubernetes, crds         string
	tenants, pods, podsPerService int
	sidecars, writers             int
	changes                       float64
	time, stepTime                time.Duration
	noGrowth                      bool
}

func (o *options) add(flags *flag.FlagSet) {
	flags.StringVar(&o.out, "out", "out", "folder to write to")
	flags.StringVar(&o.kubernetes, "kubernetes", "", "the test bed's binary of Kubernetes; empty: the newest below .cache/testbed")
	flags.StringVar(&o.crds, "crds", "charts/bulkhead/crds", "folder of the CRDs")
	flags.IntVar(&o.tenants, "tenants", 1000, "tenants, of a namespace each")
	flags.IntVar(&o.pods, "pods", 100, "pods of a tenant")
	flags.IntVar(&o.podsPerService, "pods-per-service", 10, "pods of a Service")
	flags.IntVar(&o.sidecars, "sidecars", 2000, "sidecars, of tenants all of whose pods have one; more than the pods of one tenant")
	flags.IntVar(&o.writers, "writers", 32, "clients that write to the API server at a time")
	flags.Float64Var(&o.changes, "changes", 50, "pods that come or go in a second")
	flags.DurationVar(&o.time, "time", time.Minute, "how long they do")
	flags.DurationVar(&o.stepTime, "step-time", 10*time.Second, "how long they do in each step of the growth")
	flags.BoolVar(&o.noGrowth, "no-growth", false, "leave out the steps of the growth")
}

func (o *options) validate() error {
	if o.tenants < 1 || o.pods < 1 || o.podsPerService < 1 || o.writers < 1 || o.changes <= 0 || o.time <= 0 || o.stepTime <= 0 {
		return errors.New("all sizes must be more than 0")
	}
	if o.sidecars < o.pods || o.sidecars > o.tenants*o.pods {
		return errors.New("--sidecars is not between --pods and all pods")
	}
	if o.kubernetes != "" {
		return nil
	}
	var err error
	o.kubernetes, err = newest(filepath.Join(".cache", "testbed", "kubernetes-*"))
	return err
}

// newest is the youngest of the files.
func newest(pattern string) (string, error) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("there is no %s: make bench-feed makes it (%v)", pattern, err)
	}
	ages := map[string]time.Time{}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return "", err
		}
		ages[file] = info.ModTime()
	}
	return slices.MaxFunc(files, func(a, b string) int { return ages[a].Compare(ages[b]) }), nil
}

func main() {
	var o options
	flags := flag.NewFlagSet("feed", flag.ExitOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage); flags.PrintDefaults() }
	o.add(flags)
	_ = flags.Parse(os.Args[1:])
	if err := o.validate(); err != nil || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, errors.Join(err))
		flags.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	found, err := run(ctx, o)
	if found != nil && found.Details.Main != nil {
		err = errors.Join(err, found.write(o.out))
		found.print(os.Stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "feed: %v\n", err)
		os.Exit(1)
	}
}
