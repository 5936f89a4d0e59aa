// bulkhead is the command line of the person who runs Bulkhead in a cluster. Under
// the name kubectl-bulkhead in the PATH it is `kubectl bulkhead` too.
//
// Results go to stdout, progress and errors to stderr. The exit codes are each
// subcommand's own; 2 always means that it could not do what was asked.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "devel"

const (
	exitFailed = 1
	exitCannot = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once, but not the echo of the first: timeout(1)
	// and others send one to the program and one to its group.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	err := newCommand(filepath.Base(os.Args[0])).ExecuteContext(ctx)
	if err == nil {
		return
	}
	if !errors.Is(err, errFailed) {
		fmt.Fprintln(os.Stderr, "bulkhead:", err)
		os.Exit(exitCannot)
	}
	os.Exit(exitFailed)
}

// errFailed is a result that is no success, and that was told already.
var errFailed = errors.New("failed")

func newCommand(program string) *cobra.Command {
	annotations := map[string]string{}
	if strings.HasPrefix(program, "kubectl-") {
		annotations[cobra.CommandDisplayNameAnnotation] = "kubectl bulkhead"
	}
	root := &cobra.Command{
		Use:           "bulkhead",
		Short:         "Look after Bulkhead, which isolates the tenants of a cluster",
		Annotations:   annotations,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, command.CommandPath())
	})
	root.AddCommand(newCheckCommand(), newVerifyCommand(), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(command.OutOrStdout(), version)
			return err
		},
	})
	return root
}

// noSuchCommand refuses what is no subcommand, and says where there are some.
func noSuchCommand(command *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	meant := ""
	if like := command.SuggestionsFor(args[0]); len(like) > 0 {
		meant = fmt.Sprintf(" (is %s meant?)", like[0])
	}
	return fmt.Errorf("unknown command %q%s; see %s --help", args[0], meant, command.CommandPath())
}
