package experiments

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/install"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
)

// podsMeasured is how many pods' starts are timed, each half; the median is reported.
const podsMeasured = 6

// run is one run of all experiments.
type run struct {
	cluster *cluster.Cluster
	log     *progress.Log
	report  Report
}

// Run starts a cluster, plays every experiment without and with Bulkhead, and takes the cluster down again. An error
// means that the run could not be done; experiments that did not pass are in the report. The repository must hold
// Bulkhead's built images.
func Run(ctx context.Context, repository string, log *progress.Log) (report Report, err error) {
	if err := install.CheckArchives(repository); err != nil {
		return Report{}, err
	}
	r := &run{log: log, report: newReport()}
	began := time.Now()
	c, err := cluster.Start(ctx, cluster.Options{Repository: repository, Ranges: Ranges(), Log: log})
	if err != nil {
		return Report{}, err
	}
	r.cluster = c
	r.report.time("start", time.Since(began))
	err = r.play(ctx)
	if err != nil || !r.report.Passed() {
		logs, keepErr := c.KeepLogs()
		log.Printf("the components' and pods' logs are in %s", logs)
		err = errors.Join(err, keepErr)
	}
	err = errors.Join(err, r.step("teardown", "take the cluster down", c.Stop))
	r.report.time("total", time.Since(began))
	return r.report, err
}

func (r *run) play(ctx context.Context) error {
	steps := []struct {
		key, name string
		do        func() error
	}{
		{"dns", "install DNS", func() error { return install.DNS(ctx, r.cluster) }},
		{"certManager", "install cert-manager", func() error { return install.CertManager(ctx, r.cluster) }},
		{"prepare", "prepare namespaces and images", func() error { return Prepare(ctx, r.cluster) }},
		{"without", "play without Bulkhead", func() error { return r.half(ctx, false) }},
		{"bulkhead", "install Bulkhead", func() error { return InstallBulkhead(ctx, r.cluster) }},
		{"with", "play with Bulkhead", func() error { return r.half(ctx, true) }},
		{"uninstall", "uninstall Bulkhead and start a pod", func() error { return r.uninstall(ctx) }},
	}
	for _, step := range steps {
		if err := r.step(step.key, step.name, step.do); err != nil {
			return err
		}
	}
	return nil
}

// step is a step of the log whose time is in the report too.
func (r *run) step(key, name string, do func() error) error {
	err := r.log.Step(name, do)
	r.report.time(key, r.log.Took(name))
	return err
}

// half plays every experiment once. One that fails does not keep the others from being played.
func (r *run) half(ctx context.Context, protected bool) error {
	s := &stage{Cluster: r.cluster, protected: protected}
	for _, e := range all() {
		script := e.without
		if protected {
			script = e.with
		}
		outcome, detail, err := script(ctx, s)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			detail = err.Error()
		}
		r.report.record(e, protected, outcome, detail)
		r.log.Printf("    %-10s %-50s %s", e.id, e.name, outcome)
		if err := s.clear(ctx); err != nil {
			return err
		}
	}
	median, err := s.medianStart(ctx)
	if err != nil {
		return fmt.Errorf("measure how long a pod takes to start: %w", err)
	}
	key := "podReadyWithout"
	if protected {
		key = "podReadyWith"
	}
	r.report.time(key, median)
	return nil
}

// medianStart measures the time from a pod's creation until it is Ready, one pod after the other. The kubelet looks
// once a second at what its containers do, so the starts are spread evenly over that second: one right after the other
// they would all meet it at the same moment of its round.
func (s *stage) medianStart(ctx context.Context) (time.Duration, error) {
	var took []time.Duration
	for i := range podsMeasured {
		if err := waitForPhase(ctx, time.Second*time.Duration(i)/podsMeasured); err != nil {
			return 0, err
		}
		began := time.Now()
		if _, err := s.start(ctx, role{alice, "client", nil}); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
		if err := s.clear(ctx); err != nil {
			return 0, err
		}
	}
	slices.Sort(took)
	return (took[podsMeasured/2-1] + took[podsMeasured/2]) / 2, nil
}

// waitForPhase waits until so much of the current second of the clock has passed.
func waitForPhase(ctx context.Context, phase time.Duration) error {
	now := time.Now()
	next := now.Truncate(time.Second).Add(phase)
	if next.Before(now) {
		next = next.Add(time.Second)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Until(next)):
		return nil
	}
}

// uninstall checks that the cluster is as before when Bulkhead has gone: pods start, and nothing is injected.
func (r *run) uninstall(ctx context.Context) error {
	if err := install.UninstallBulkhead(ctx, r.cluster); err != nil {
		return err
	}
	s := &stage{Cluster: r.cluster}
	pods, err := s.start(ctx, role{alice, "client", nil})
	if err != nil {
		return err
	}
	if injected := pods[0].Spec.InitContainers; len(injected) > 0 {
		return fmt.Errorf("a new pod still gets a sidecar: %v", injected)
	}
	return nil
}
