package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/build"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/experiments"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/host"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/image"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/install"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
)

func packages(ctx context.Context, s settings) error {
	return host.Prepare(ctx, s.log)
}

func buildOnly(ctx context.Context, s settings) error {
	_, err := cluster.Build(ctx, s.clusterOptions())
	return err
}

func down(context.Context, settings) error {
	return cluster.Clean()
}

func demo(ctx context.Context, s settings) error {
	report, err := experiments.Demo(ctx, s.repository, s.log)
	if err != nil {
		return err
	}
	if err := show(report, s, "demo.json"); err != nil {
		return err
	}
	s.log.Printf("\nA pod is Ready %.2f s after its creation without Bulkhead, %.2f s with it (median of %d).",
		report.Timings["podReadyWithout"], report.Timings["podReadyWith"], experiments.PodsMeasured)
	return nil
}

func playAll(ctx context.Context, s settings) error {
	play, file := experiments.All, "experiments.json"
	if s.cidr {
		play, file = experiments.AllCIDR, "experiments-cidr.json"
	}
	report, err := play(ctx, s.repository, experiments.Choice{Only: s.only, ReuseFor: s.reuseFor}, s.log)
	if err != nil {
		return err
	}
	return show(report, s, file)
}

// show prints a report and writes it below out.
func show(report *results.Report, s settings, file string) error {
	path := filepath.Join(s.repository, "out", file)
	if err := errors.Join(report.Write(path), report.Print(os.Stdout)); err != nil {
		return err
	}
	if failed := report.Failed(); len(failed) > 0 {
		return fmt.Errorf("%d experiments did not pass; see %s", len(failed), path)
	}
	return nil
}

// hints are what a person needs in another terminal: paths of the kubeconfig, kubectl
// and helm, and the image of pods to try things with.
const hints = `
In another terminal:

export KUBECONFIG=%s
alias kubectl=%s
alias helm=%s

The namespaces are alice's and bob's. For example:

kubectl run server -n alice --image %[4]s --image-pull-policy IfNotPresent --command -- busybox httpd -f -p 8080 -h /etc
kubectl run client -n bob --image %[4]s --image-pull-policy IfNotPresent --command -- busybox sleep 1d
kubectl get pods -A -o wide
kubectl exec -n bob client -- timeout 3 wget -qO- http://ADDRESS:8080/hostname
helm get values bulkhead -n bulkhead-system
out/bin/bulkhead verify --existing --namespace-a alice --namespace-b bob

Ctrl-C ends the cluster.`

func up(ctx context.Context, s settings) (err error) {
	if !s.bare && !s.controlPlane {
		if err := install.CheckBuilt(s.repository); err != nil {
			return err
		}
	}
	c, err := cluster.Start(ctx, s.clusterOptions())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.log.Step("take the cluster down", c.Stop)) }()
	if s.controlPlane {
		s.log.Printf("\nexport KUBECONFIG=%s\nalias kubectl=%s\n\nCtrl-C ends it.", c.Kubeconfig(), c.KubectlPath())
		<-ctx.Done()
		return nil
	}
	if err := s.furnish(ctx, c); err != nil {
		return err
	}
	s.log.Printf(hints, c.Kubeconfig(), c.KubectlPath(), c.Binary(build.Helm), image.ToolsName)
	<-ctx.Done()
	s.log.Printf("")
	return nil
}

// furnish puts into a cluster what the demo has in it: namespaces and image, and unless it is to be bare cert-manager
// and Bulkhead with the tenants alice and bob.
func (s settings) furnish(ctx context.Context, c *cluster.Cluster) error {
	if err := s.log.Step("prepare namespaces and images", func() error { return experiments.Prepare(ctx, c) }); err != nil {
		return err
	}
	if err := s.log.Step("install DNS", func() error { return install.DNS(ctx, c) }); err != nil {
		return err
	}
	if s.bare {
		return nil
	}
	if err := s.log.Step("install cert-manager", func() error { return install.CertManager(ctx, c) }); err != nil {
		return err
	}
	return s.log.Step("install Bulkhead", func() error { return experiments.InstallBulkhead(ctx, c) })
}

func (s settings) clusterOptions() cluster.Options {
	options := cluster.Options{
		Repository: s.repository, ProxyMode: cluster.ProxyMode(s.proxyMode),
		APIServerFlags: s.apiServer, ControlPlaneOnly: s.controlPlane, Log: s.log,
	}
	if s.cidr {
		options.Ranges, options.Routed = experiments.Ranges(), true
	}
	if s.second {
		options.Second = experiments.SecondRanges()
	}
	return options
}
