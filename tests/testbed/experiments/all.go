package experiments

import (
	"context"
	"errors"
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

// Demo plays five of the thesis' experiments, without and with Bulkhead, and measures how long pods take to start.
func Demo(ctx context.Context, repository string, log *progress.Log) (*results.Report, error) {
	options := cluster.Options{Repository: repository, Ranges: Ranges(), Log: log}
	chosen := selection{checks: []string{"security-1", "security-2", "security-6", "security-7", "security-8"}}
	return play(ctx, options, func(r *run) []step {
		return []step{
			{"dns", "install DNS", r.dns},
			{"certManager", "install cert-manager", r.certManager},
			{"prepare", "prepare namespaces and images", r.prepare},
			{"without", "play without Bulkhead", r.verify(false, chosen)},
			{"startsWithout", "start pods", r.measure(false)},
			{"bulkhead", "install Bulkhead", r.bulkhead},
			{"with", "play with Bulkhead", r.verify(true, chosen)},
			{"startsWith", "start pods", r.measure(true)},
			{"uninstall", "uninstall Bulkhead and start a pod", r.uninstall},
		}
	})
}

// All plays everything that there is: all of verify's checks, the ones with Services in both of kube-proxy's modes, all
// again between the pods' second interfaces, and the faults.
func All(ctx context.Context, repository string, log *progress.Log) (*results.Report, error) {
	options := cluster.Options{Repository: repository, Ranges: Ranges(), Second: SecondRanges(), Log: log}
	everything := selection{}
	second := selection{iface: cluster.SecondInterface, suffix: "-macvlan", qualifier: ", over macvlan"}
	services := selection{checks: []string{"security-3", "security-4"}, suffix: "-nftables", qualifier: ", kube-proxy in nftables mode"}
	return play(ctx, options, func(r *run) []step {
		return []step{
			{"dns", "install DNS", r.dns},
			{"certManager", "install cert-manager", r.certManager},
			{"prepare", "prepare namespaces and images", r.prepare},
			{"without", "play without Bulkhead", r.verify(false, everything)},
			{"withoutMacvlan", "play without Bulkhead, over macvlan", r.verify(false, second)},
			{"faultsWithout", "play faults without Bulkhead", r.faults(false)},
			{"proxyNFTables", "kube-proxy in nftables mode", r.proxyMode(cluster.ProxyNFTables)},
			{"withoutNFTables", "play Services without Bulkhead", r.verify(false, services)},
			{"bulkhead", "install Bulkhead", r.bulkhead},
			{"withNFTables", "play Services with Bulkhead", r.verify(true, services)},
			{"proxyIPTables", "kube-proxy in iptables mode", r.proxyMode(cluster.ProxyIPTables)},
			{"with", "play with Bulkhead", r.verify(true, everything)},
			{"withMacvlan", "play with Bulkhead, over macvlan", r.verify(true, second)},
			{"faultsWith", "play faults with Bulkhead", r.faults(true)},
			{"uninstall", "uninstall Bulkhead and start a pod", r.uninstall},
		}
	})
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

func (r *run) faults(protected bool) func(context.Context) error {
	return func(ctx context.Context) error { return faults.Play(ctx, r.cluster, protected, r.report) }
}

func (r *run) proxyMode(mode cluster.ProxyMode) func(context.Context) error {
	return func(ctx context.Context) error { return r.cluster.SetProxyMode(ctx, mode) }
}
