//go:build linux

// Bulkhead-firewall is the sidecar: it holds the rules of one pod. It is injected
// twice, as an init container that brings the rules in and exits, and as a native
// sidecar that keeps them there.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/apply"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/droplog"
	"github.com/bulkhead-dev/bulkhead/sidecar/ipset"
	"github.com/bulkhead-dev/bulkhead/sidecar/nftables"
	"github.com/bulkhead-dev/bulkhead/sidecar/peers"
	"github.com/bulkhead-dev/bulkhead/sidecar/pod"
	"github.com/bulkhead-dev/bulkhead/sidecar/report"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
	"github.com/bulkhead-dev/bulkhead/sidecar/run"
	"github.com/bulkhead-dev/bulkhead/sidecar/watch"
)

const usage = `Usage: bulkhead-firewall COMMAND [` + outside + `]

Holds the firewall of the pod whose network namespace it runs in. It needs uid 0,
NET_ADMIN and NET_RAW, and reads its configuration from the environment variable
` + config.EnvVar + `.

Commands:
  init      bring the rules in, verify them and exit
  run       the same, then watch and repair them until SIGTERM; they stay
  version   print the version

` + outside + ` says that the network namespace which the program finds itself in is
meant, though it is not the first process of a container: without it init and run
touch nothing there, for the namespace may be a machine's.

Exit status: 0 done, 1 failed (all traffic is then dropped), 2 wrong usage.
`

// outside lets init and run work outside a container, as tests do in network
// namespaces of their own. In a pod nobody can set it: the containers' arguments are
// compared with what the webhook injects.
const outside = "--outside-a-pod"

const (
	// interval is how soon an altered ipset is found, which no event tells.
	interval = time.Second
	// count is how often dropped packets are counted.
	count = 10 * time.Second
	// slimming is how often memory is given back.
	slimming = time.Minute
	// leaseNote is the kernel's note of the lease, which outlives the process as the
	// sets do: for as long they count when it starts again.
	leaseNote = "bulkhead-lease"
	// retry is the pause after a failed repair.
	retry = time.Second
	// patience is how long init waits for the peers: the pod starts without, too,
	// and has them when they come.
	patience = 5 * time.Second
)

// version is set by the linker.
var version = "devel"

func main() {
	os.Exit(start(os.Args[1:], os.Stdout, os.Stderr))
}

// start runs a command and returns the exit status.
func start(args []string, stdout, stderr io.Writer) int {
	anywhere := len(args) == 2 && args[1] == outside
	if len(args) != 1 && !anywhere {
		fmt.Fprint(stderr, usage)
		return 2
	}
	var err error
	switch args[0] {
	case "-h", "-help", "--help", "help":
		_, err = fmt.Fprint(stdout, usage)
	case "version":
		_, err = fmt.Fprintln(stdout, version)
	case "init", "run":
		// The first process of its PID namespace, as every container's is unless the
		// pod shares one, which is refused (threat D5).
		if os.Getpid() != 1 && !anywhere {
			fmt.Fprintf(stderr, "bulkhead-firewall: this is not the first process of a container, and the firewall would be that of the machine or of whoever's network namespace this is; %s if that is meant\n", outside)
			return 2
		}
		err = protect(stdout, stderr, args[0] == "run")
	default:
		fmt.Fprintf(stderr, "bulkhead-firewall: unknown command %q\n%s", args[0], usage)
		return 2
	}
	if err != nil {
		fmt.Fprintf(stderr, "bulkhead-firewall: %v\n", err)
		return 1
	}
	return 0
}

// protect brings the rules in, and keeps them there if asked to.
func protect(stdout, stderr io.Writer, keep bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	applier, log, err := open(stderr)
	if err != nil {
		return err
	}
	c, err := config.Parse([]byte(os.Getenv(config.EnvVar)))
	if err != nil {
		return errors.Join(err, applier.Guard(ctx))
	}
	// The tools that are run from here on need not drag it along.
	if err := os.Unsetenv(config.EnvVar); err != nil {
		return errors.Join(err, applier.Guard(ctx))
	}
	logged, err := droplog.Available(rules.LogGroup)
	if err != nil {
		return errors.Join(err, applier.Guard(ctx))
	}
	firewall := &run.Firewall{
		Config:   c,
		Enforcer: applier,
		Look: func() (rules.Pod, error) {
			found, err := pod.Read()
			found.Log = logged
			return found, err
		},
		Interval: interval,
		Spent:    spent,
		Retry:    retry,
		Count:    count,
		Log:      log,
	}
	if keep {
		// A sidecar lives in every pod and works for milliseconds: collect early
		// rather than let the heap grow to Go's usual 4 MiB.
		debug.SetGCPercent(25)
		// Before the rules, or a change right behind them would go unseen.
		if firewall.Changes, err = watch.Changes(ctx); err != nil {
			return errors.Join(err, applier.Guard(ctx))
		}
		if logged {
			tell(ctx, log, stdout, c.Tenant)
		}
		if c.Feed != nil {
			client, err := report.New(c.Feed, log)
			if err != nil {
				return errors.Join(err, applier.Guard(ctx))
			}
			firewall.Reporter = client
			// It says itself what it cannot send, and outlives Watch by what is left.
			defer during(context.WithoutCancel(ctx), client.Run)()
		}
	}
	var follow func(context.Context)
	if c.Addressing == config.Identity {
		notes, adopt := &ipset.Sets{}, time.Duration(0)
		if keep {
			if adopt, err = notes.Noted(leaseNote); err != nil {
				return errors.Join(err, applier.Guard(ctx))
			}
		}
		client, err := peers.New(c.Feed, adopt, log)
		if err != nil {
			return errors.Join(err, applier.Guard(ctx))
		}
		client.Addresses = addresses
		client.Renewed = func(lease time.Duration) {
			if err := notes.Note(leaseNote, lease); err != nil {
				log.Warn("the lease is not noted: a restart would close the pod until the feed is heard again", "error", err.Error())
			}
		}
		if keep {
			client.Lapsed = func(l protocol.Lapse) { firewall.Reporter.Report(ctx, protocol.Record{Lapse: &l}) }
		}
		firewall.Peers, follow = client, client.Run
	}
	if err := firewall.Ensure(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	if follow != nil { // not before: a guard that stands stops the stream too
		// To the end, so that what is applied last is acknowledged.
		defer during(context.WithoutCancel(ctx), follow)()
	}
	if !keep {
		return firewall.Await(context.WithoutCancel(ctx), patience)
	}
	go rest(ctx, log)
	return firewall.Watch(ctx)
}

// spent is the processor's time that this process has used, and the tools that it ran.
func spent() time.Duration {
	var all time.Duration
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var usage unix.Rusage
		if err := unix.Getrusage(who, &usage); err != nil {
			continue // getrusage(2) fails for what is no such number or address
		}
		all += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return all
}

// addresses are those of the pod that it may tell the feed.
func addresses() ([]netip.Addr, error) {
	found, err := pod.Read()
	if err != nil {
		return nil, err
	}
	global := slices.DeleteFunc(found.Addresses, func(a netip.Addr) bool { return !protocol.ValidAddress(a) })
	return global[:min(len(global), protocol.MaxAddresses)], nil
}

// during runs what ends with its context, until the function returned is called, which
// waits for the end.
func during(ctx context.Context, runs func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { runs(ctx) })
	return func() { cancel(); running.Wait() }
}

// rest keeps the sidecar small until the context ends.
func rest(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(slimming)
	defer ticker.Stop()
	for {
		if err := slim(); err != nil {
			log.Warn("memory is not given back", "error", err.Error())
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// open finds what drives this kernel's firewall. If it cannot, it closes the pod as far
// as that goes without.
func open(stderr io.Writer) (*apply.Applier, *slog.Logger, error) {
	backend, err := apply.DetectBackend()
	if err != nil {
		return nil, nil, err
	}
	ipv6, err := pod.HasIPv6()
	if err == nil {
		var applier *apply.Applier
		if applier, err = apply.Open(backend, ipv6); err == nil {
			return applier, slog.New(slog.NewJSONHandler(stderr, nil)).With("backend", string(backend)), nil
		}
	}
	if backend == apply.NFTables {
		err = errors.Join(err, (&nftables.Kernel{}).Guard())
	}
	return nil, nil, err
}

// tell writes a line for each flow that is dropped. The firewall does without, if it
// must.
func tell(ctx context.Context, log *slog.Logger, stdout io.Writer, tenant string) {
	file, err := droplog.Listen(rules.LogGroup)
	if err != nil {
		log.Warn("dropped packets are not told of", "tenant", tenant, "error", err.Error())
		return
	}
	lines := droplog.NewLog(slog.New(slog.NewJSONHandler(stdout, nil)).With("tenant", tenant))
	go func() {
		if err := lines.Read(ctx, file); err != nil {
			log.Warn("dropped packets are not told of any longer", "tenant", tenant, "error", err.Error())
		}
	}()
}
