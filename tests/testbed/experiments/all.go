package experiments

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/faults"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/install"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
)

// step is one of a run's.
type step struct {
	key, name string
	do        func(context.Context) error
}

// run is one run of experiments on a cluster of its own.
type run struct {
	cluster *cluster.Cluster
	report  *results.Report
}

// Demo plays five of the thesis' experiments with addressing identity, two with addressing cidr in the same cluster,
// without and with Bulkhead, and measures how long pods take to start.
func Demo(ctx context.Context, repository string, log *progress.Log) (*results.Report, error) {
	options := cluster.Options{Repository: repository, Ranges: parts(), Log: log}
	identity := selection{checks: []string{"security-1", "security-2", "security-6", "security-7", "security-8"}}
	fixed := selection{a: carol, b: dave, checks: []string{"security-1", "security-2"}, suffix: "-cidr", qualifier: ", addressing cidr"}
	return play(ctx, options, func(r *run) []step {
		return []step{
			{"dns", "install DNS", r.dns},
			{"certManager", "install cert-manager", r.certManager},
			{"prepare", "prepare namespaces and images", r.prepare},
			{"without", "play without Bulkhead", r.verify(false, identity)},
			{"withoutCIDR", "play without Bulkhead, with fixed ranges", r.verify(false, fixed)},
			{"startsWithout", "start pods", r.measure(false)},
			{"bulkhead", "install Bulkhead", r.bulkhead},
			{"with", "play with Bulkhead, addressing identity", r.verify(true, identity)},
			{"withCIDR", "play with Bulkhead, addressing cidr", r.verify(true, fixed)},
			{"startsWith", "start pods", r.measure(true)},
			{"uninstall", "uninstall Bulkhead and start a pod", r.uninstall},
		}
	})
}

// Choice is what of All or AllCIDR is played.
type Choice struct {
	Only     []string      // what has these ids; empty for all
	ReuseFor time.Duration // how long addresses change hands
}

// ReuseFor is how long addresses change hands in the end-to-end test.
const ReuseFor = time.Minute

// All plays all of verify's checks with addressing identity, on the plainest network: one bridge and one range for all
// pods. Those with Services are played in both of kube-proxy's modes. What becomes of pods when addresses are used again
// and when the webhook comes and goes is played too, and what is done to firewalls by force.
func All(ctx context.Context, repository string, choice Choice, log *progress.Log) (*results.Report, error) {
	options, only := cluster.Options{Repository: repository, Log: log}, choice.Only
	lived := slices.Concat(faults.LiveIDs(), faults.IDs())
	services := selection{checks: throughServices(), suffix: "-nftables", qualifier: ", kube-proxy in nftables mode"}
	if len(only) > 0 {
		lived, services.checks = intersect(lived, only), intersect(services.checks, only)
	}
	everything := selection{checks: slices.DeleteFunc(slices.Clone(only), func(id string) bool { return slices.Contains(lived, id) })}
	return play(ctx, options, func(r *run) []step {
		onServices, onChecks := len(services.checks) > 0, len(only) == 0 || len(everything.checks) > 0
		return slices.Concat(
			when(true,
				step{"dns", "install DNS", r.dns},
				step{"certManager", "install cert-manager", r.certManager},
				step{"prepare", "prepare namespaces and images", r.prepare}),
			when(onChecks, step{"without", "play without Bulkhead", r.verify(false, everything)}),
			when(len(lived) > 0, step{"liveWithout", "play faults and the life of addresses without Bulkhead", r.faults(false, lived, choice)}),
			when(onServices,
				step{"proxyNFTables", "kube-proxy in nftables mode", r.proxyMode(cluster.ProxyNFTables)},
				step{"withoutNFTables", "play Services without Bulkhead", r.verify(false, services)}),
			when(true, step{"bulkhead", "install Bulkhead", r.bulkhead}),
			when(onServices,
				step{"withNFTables", "play Services with Bulkhead", r.verify(true, services)},
				step{"proxyIPTables", "kube-proxy in iptables mode", r.proxyMode(cluster.ProxyIPTables)}),
			when(onChecks, step{"with", "play with Bulkhead", r.verify(true, everything)}),
			when(len(lived) > 0, step{"liveWith", "play faults and the life of addresses with Bulkhead", r.faults(true, lived, choice)}),
			when(true, step{"uninstall", "uninstall Bulkhead and start a pod", r.uninstall}))
	})
}

// AllCIDR plays with addressing cidr, on routed links: verify's checks of packets and Services, those between pods again
// over their second interfaces, and of the faults those that are only here or have more than one interface to look after.
func AllCIDR(ctx context.Context, repository string, choice Choice, log *progress.Log) (*results.Report, error) {
	options, only := cluster.Options{Repository: repository, Ranges: Ranges(), Routed: true, Second: SecondRanges(), Log: log}, choice.Only
	forced := append(faults.RangedIDs(), "sidecar-killed", "build-hangs", "tampering")
	first := selection{checks: union(betweenPods(), without(throughServices(), "S2-public")), suffix: "-cidr", qualifier: ", addressing cidr"}
	second := selection{checks: betweenPods(), iface: cluster.SecondInterface, suffix: "-macvlan", qualifier: ", over macvlan"}
	if len(only) > 0 {
		forced, first.checks, second.checks = intersect(union(forced, faults.IDs()), only), intersect(first.checks, only), intersect(second.checks, only)
	}
	return play(ctx, options, func(r *run) []step {
		return slices.Concat(
			when(true,
				step{"dns", "install DNS", r.dns},
				step{"certManager", "install cert-manager", r.certManager},
				step{"prepare", "prepare namespaces and images", r.prepare}),
			when(len(first.checks) > 0, step{"without", "play without Bulkhead", r.verify(false, first)}),
			when(len(second.checks) > 0, step{"withoutMacvlan", "play without Bulkhead, over macvlan", r.verify(false, second)}),
			when(len(forced) > 0, step{"faultsWithout", "play faults without Bulkhead", r.faults(false, forced, choice)}),
			when(true, step{"bulkhead", "install Bulkhead", r.bulkhead}),
			when(len(first.checks) > 0, step{"with", "play with Bulkhead", r.verify(true, first)}),
			when(len(second.checks) > 0, step{"withMacvlan", "play with Bulkhead, over macvlan", r.verify(true, second)}),
			when(len(forced) > 0, step{"faultsWith", "play faults with Bulkhead", r.faults(true, forced, choice)}),
			when(true, step{"uninstall", "uninstall Bulkhead and start a pod", r.uninstall}))
	})
}

// when returns the steps if they are to be taken.
func when(taken bool, steps ...step) []step {
	if !taken {
		return nil
	}
	return steps
}

// throughServices are the checks for which it matters how kube-proxy does its work.
func throughServices() []string {
	return []string{"security-3", "security-4", "security-5", "S1", "S2", "S2-load-balancer", "S2-public", "S2-probe-ports", "S3", "S4"}
}

// betweenPods are the checks for which it matters on which interface packets leave and arrive.
func betweenPods() []string {
	return []string{"security-1", "security-2", "security-5", "security-6", "security-7", "security-8",
		"P2", "P3", "P4", "P5", "P6", "P7", "P9", "P13", "D2", "D7", "L1", "L2", "L16"}
}

func union(ids, others []string) []string {
	return slices.Concat(ids, slices.DeleteFunc(slices.Clone(others), func(id string) bool { return slices.Contains(ids, id) }))
}

func without(ids []string, one string) []string {
	return slices.DeleteFunc(ids, func(id string) bool { return id == one })
}

func intersect(ids, others []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !slices.Contains(others, id) })
}

// play starts a cluster, takes the steps and takes the cluster down again. An error means that the run could not be
// done; experiments that did not pass are in the report. The repository must hold what `make image build` makes.
func play(ctx context.Context, options cluster.Options, steps func(*run) []step) (_ *results.Report, err error) {
	if err := install.CheckBuilt(options.Repository); err != nil {
		return nil, err
	}
	report := results.New(options.Log)
	began := time.Now()
	c, err := cluster.Start(ctx, options)
	if err != nil {
		return nil, err
	}
	report.Time("start", time.Since(began))
	for _, step := range steps(&run{cluster: c, report: report}) {
		if err = report.Step(step.key, step.name, func() error { return step.do(ctx) }); err != nil {
			break
		}
	}
	if err != nil || len(report.Failed()) > 0 {
		logs, keepErr := c.KeepLogs()
		options.Log.Printf("the components' and pods' logs are in %s", logs)
		err = errors.Join(err, keepErr)
	}
	err = errors.Join(err, report.Step("teardown", "take the cluster down", c.Stop))
	report.Time("total", time.Since(began))
	return report, err
}

func (r *run) dns(ctx context.Context) error         { return install.DNS(ctx, r.cluster) }
func (r *run) certManager(ctx context.Context) error { return install.CertManager(ctx, r.cluster) }
func (r *run) prepare(ctx context.Context) error     { return Prepare(ctx, r.cluster) }
func (r *run) bulkhead(ctx context.Context) error    { return InstallBulkhead(ctx, r.cluster) }

func (r *run) verify(protected bool, chosen selection) func(context.Context) error {
	return func(ctx context.Context) error { return verify(ctx, r.cluster, chosen, protected, r.report) }
}

func (r *run) faults(protected bool, ids []string, choice Choice) func(context.Context) error {
	return func(ctx context.Context) error {
		return faults.Play(ctx, r.cluster, ids, choice.ReuseFor, protected, r.report)
	}
}

func (r *run) proxyMode(mode cluster.ProxyMode) func(context.Context) error {
	return func(ctx context.Context) error { return r.cluster.SetProxyMode(ctx, mode) }
}
