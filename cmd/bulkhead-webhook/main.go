// bulkhead-webhook is Bulkhead's admission webhook: it puts the firewall into the
// pods of tenants and refuses what could undo it. This package is the only place
// where the server is put together; see package webhook for what it does.
//
// It exits with 0 after a drain, with 1 when something fails, and with 2 when the
// flags or the configuration are wrong.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json

	"github.com/bulkhead-dev/bulkhead/webhook/selftest"
)

// version is set by the linker.
var version = "devel"

const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx := server.SetupSignalContext()
	err := newCommand().ExecuteContext(ctx)
	logs.FlushLogs()
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) { // an error each, mostly
		fmt.Fprintln(os.Stderr, "bulkhead-webhook:", strings.TrimSuffix(line, "\n"))
	}
	if _, ok := errors.AsType[*runtimeError](err); ok {
		os.Exit(exitFailure)
	}
	os.Exit(exitUsage)
}

// runtimeError is a failure of what the flags and the configuration rightly asked
// for. Every other error of the command is the caller's.
type runtimeError struct{ err error }

func (e *runtimeError) Error() string { return e.err.Error() }
func (e *runtimeError) Unwrap() error { return e.err }

func newCommand() *cobra.Command {
	o := newOptions()
	command := &cobra.Command{
		Use:   "bulkhead-webhook --config FILE [--standalone FOLDER]",
		Short: "Admission webhook that isolates the tenants of a cluster",
		Long: `bulkhead-webhook answers AdmissionReviews by HTTPS:

  /mutate    puts the firewall's two containers into the pods of tenants, drops
             NET_RAW and sets a seccomp profile
  /validate  refuses what could undo the firewall, what breaks the tenant's level
             of the Pod Security Standards, and Tenants that do not hold

and serves /livez, /readyz and /metrics on the same port. It exits with 0 after a
drain (SIGTERM), with 1 when something fails, and with 2 when the flags or the
configuration are wrong.`,
		Example: `  # In a cluster, as the chart does
  bulkhead-webhook --config /etc/bulkhead/config/config.yaml \
    --tls-cert-file /etc/bulkhead/tls/tls.crt --tls-private-key-file /etc/bulkhead/tls/tls.key

  # Without a cluster: Tenants from manifests, a self-signed certificate
  bulkhead-webhook --config config.yaml --standalone manifests/ --bind-address 127.0.0.1`,
		Version: version,
		Args: func(command *cobra.Command, args []string) error {
			return seeHelp(command, cobra.NoArgs(command, args))
		},
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := o.validate(command.Flags()); err != nil {
				return err
			}
			return run(command.Context(), o)
		},
	}
	o.addFlags(command.Flags())
	command.SetFlagErrorFunc(seeHelp)
	command.AddCommand(atRunTime(selftest.Command()), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(command.OutOrStdout(), version)
			return err
		},
	})
	command.CompletionOptions.DisableDefaultCmd = true
	return command
}

// seeHelp says of an error of the command line, if there is one, where to read more.
func seeHelp(command *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w; see %s --help", err, command.CommandPath())
}

// failure marks an error as one of run time.
func failure(format string, args ...any) error {
	return &runtimeError{fmt.Errorf(format, args...)}
}

// atRunTime marks what goes wrong in a command, unlike what is wrong with its
// flags, as a failure of run time.
func atRunTime(command *cobra.Command) *cobra.Command {
	run := command.RunE
	command.RunE = func(command *cobra.Command, args []string) error {
		if err := run(command, args); err != nil {
			return failure("%w", err)
		}
		return nil
	}
	return command
}
