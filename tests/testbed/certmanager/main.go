// Command certmanager is cert-manager's controller, cainjector and webhook in one binary, chosen by the first
// argument. It runs in the test bed's pods, installed by cert-manager's own chart.
//
// It is upstream's code with upstream's behaviour for what Bulkhead needs (SelfSigned and CA issuers, certificates,
// injection of CA bundles, validation), but not a distribution: ACME, Vault and Venafi issuers and leader election
// are left out.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/spf13/pflag"
	logsapi "k8s.io/component-base/logs/api/v1"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	components := map[string]func(context.Context, []string) error{
		"controller": runController,
		"cainjector": runCAInjector,
		"webhook":    runWebhook,
	}
	if len(os.Args) < 2 || components[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "usage: %s controller|cainjector|webhook [flags]\n", os.Args[0])
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	logf.InitLogs()
	ctrl.SetLogger(logf.Log)
	if err := components[os.Args[1]](logf.NewContext(ctx, logf.Log, os.Args[1]), os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "cert-manager %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// parse reads the flags that a component knows. The chart passes more (leader election, ACME solver images); they
// concern what this build leaves out and are skipped.
func parse(flags *pflag.FlagSet, logging *logsapi.LoggingConfiguration, args []string) error {
	flags.ParseErrorsAllowlist.UnknownFlags = true
	if err := flags.Parse(args); err != nil {
		return err
	}
	return logf.ValidateAndApply(logging)
}
