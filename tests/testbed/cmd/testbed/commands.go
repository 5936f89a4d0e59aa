package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/install"
)

func buildOnly(ctx context.Context, s settings) error {
	binaries, err := cluster.Build(ctx, cluster.Options{Repository: s.repository, Log: s.log})
	for name, path := range binaries {
		s.log.Printf("%s: %s", name, path)
	}
	return err
}

func down(context.Context, settings) error {
	return cluster.Clean()
}

func up(ctx context.Context, s settings) (err error) {
	c, err := cluster.Start(ctx, cluster.Options{Repository: s.repository, Ranges: map[string][]string{"alice": {"172.16.1.0/24", "fd00:1::/64"}}, Log: s.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	if !s.bare {
		if err := s.log.Step("install cert-manager", func() error { return install.CertManager(ctx, c) }); err != nil {
			return err
		}
	}
	s.log.Printf("\nexport KUBECONFIG=%s\nalias kubectl=%s\n\nCtrl-C ends the cluster.", c.Kubeconfig(), c.KubectlPath())
	<-ctx.Done()
	fmt.Println()
	return s.log.Step("take the cluster down", c.Stop)
}

func demo(context.Context, settings) error { return errors.New("x") }
