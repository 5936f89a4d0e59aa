package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bulkhead-dev/bulkhead/check"
)

// checkFlags are the flags of check.
type checkFlags struct {
	options check.Options
	files   []string
	output  string
}

// checkOutputs are the forms of the result.
var checkOutputs = []string{"text", "json", "sarif", "junit"}

func newCheckCommand() *cobra.Command {
	f := checkFlags{}
	command := &cobra.Command{
		Use:   "check -f FILE…",
		Short: "Decide manifests as Bulkhead in a cluster would, without one",
		Long: `check reads manifests from files, folders and standard input, puts the firewall in as
the webhook does, and tells of every object, or workload whose pods, would be refused.

Tenants, Namespaces, LimitRanges and a BulkheadConfiguration among the manifests are
taken into account; --tenant and --config name others. Where neither says whose the
namespaces are, all are taken for a tenant's with defaults, and that is said.

Exit code 0: nothing would be refused; warnings are told (and fail with --strict, as it
does if nothing was judged). 1: something would be. 2: there is no result: a file that cannot be read, YAML that is
broken, a flag that is wrong, no objects at all.`,
		Example: `  # Files and folders
  bulkhead check -f deploy/ -f extra.yaml

  # What kustomize or helm makes, for a tenant of the cluster's configuration
  kustomize build overlays/prod | bulkhead check -f - --tenant tenants/alice.yaml --config config.yaml

  # For GitHub's code scanning
  bulkhead check -f deploy/ -o sarif > bulkhead.sarif`,
		RunE: func(command *cobra.Command, args []string) error { return f.run(command, args) },
	}
	f.addFlags(command.Flags())
	return command
}

func (f *checkFlags) addFlags(flags *pflag.FlagSet) {
	o := &f.options
	flags.StringArrayVarP(&f.files, "file", "f", nil, "manifests: a `file`, a folder, or - for standard input; may be repeated, and left out")
	flags.StringVar(&o.Tenant, "tenant", "", "`file` or folder with Tenants; or a tenant's name, that of one with defaults if no manifest defines it")
	flags.StringVar(&o.Config, "config", "", "`file` of kind BulkheadConfiguration; empty: defaults")
	flags.StringVarP(&o.Namespace, "namespace", "n", "", "`namespace` of objects that name none; empty: the tenant's first, or default")
	flags.StringVar(&o.CustomRules, "custom-rules", "", "`folder` of Rego modules in packages bulkhead.custom.*")
	flags.BoolVar(&o.Strict, "strict", false, "warnings and notes fail too, and a run in which nothing was judged")
	flags.StringVarP(&f.output, "output", "o", "text", "`form` of the result: "+strings.Join(checkOutputs, ", "))
}

func (f *checkFlags) run(command *cobra.Command, args []string) error {
	if !slices.Contains(checkOutputs, f.output) {
		return fmt.Errorf("--output %s: want one of %s", f.output, strings.Join(checkOutputs, ", "))
	}
	f.options.Files = append(f.files, args...)
	f.options.Stdin, f.options.Progress = command.InOrStdin(), command.ErrOrStderr()
	report, err := check.Run(command.Context(), f.options)
	if err != nil {
		return err
	}
	for _, note := range report.Notes {
		fmt.Fprintln(command.ErrOrStderr(), "bulkhead:", note)
	}
	write := map[string]func(io.Writer) error{
		"text":  report.WriteText,
		"json":  report.WriteJSON,
		"sarif": func(w io.Writer) error { return report.WriteSARIF(w, version) },
		"junit": report.WriteJUnit,
	}[f.output]
	if err := write(command.OutOrStdout()); err != nil {
		return err
	}
	if f.output != "text" {
		fmt.Fprintln(command.ErrOrStderr(), report.Summary())
	}
	if !report.Passed {
		return errFailed
	}
	return nil
}
