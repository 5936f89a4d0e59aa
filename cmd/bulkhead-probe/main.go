//go:build linux

// bulkhead-probe is what runs in the pods of `bulkhead verify`; see package
// verify/probe.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/verify/probe"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := probe.Run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bulkhead-probe:", err)
		os.Exit(1)
	}
}
