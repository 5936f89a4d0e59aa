package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/verify"
)

// verifyFlags are the flags of verify that are not options as they are.
type verifyFlags struct {
	cluster
	options verify.Options
	a, b    sideFlags
	output  string
}

type sideFlags struct{ cidrs, annotations []string }

func newVerifyCommand() *cobra.Command {
	f := verifyFlags{options: verify.NewOptions()}
	command := &cobra.Command{
		Use:   "verify [--cidrs-a CIDR,… --cidrs-b CIDR,…]",
		Short: "Prove on a live cluster that tenants are isolated",
		Long: `verify makes two tenants in the cluster, lets each attack the other by all the ways
round a firewall that Bulkhead knows of, prints what was tried, expected and seen,
and takes everything away again, also after Ctrl-C.

It makes two namespaces, two Tenants and about six small pods; with --baseline, on a
cluster without Bulkhead, also privileged ones, which flush nothing but firewalls that
the run itself has made. The Tenants have addressing identity, or with --cidrs-a and
--cidrs-b addressing cidr: then your IPAM must give pods in the two namespaces
addresses from these ranges. With --existing you let it use namespaces of two tenants
of yours.

Exit code 0: all is as expected; known limits and what was not played are told.
1: something is not, or could not be shown. 2: the run could not be made.`,
		Example: `  # On a cluster with Bulkhead
  bulkhead verify --image registry.example/bulkhead/probe:dev

  # The same for addressing cidr
  bulkhead verify --cidrs-a 172.16.3.0/24 --cidrs-b 172.16.4.0/24 --image registry.example/bulkhead/probe:dev

  # Before Bulkhead is installed: do the attacks work here at all?
  bulkhead verify --baseline --image registry.example/bulkhead/probe:dev

  # A few checks, as JSON
  bulkhead verify --existing --namespace-a alice --namespace-b bob --checks security-1,D7 -o json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return f.run(command) },
	}
	f.addFlags(command.Flags())
	return command
}

func (f *verifyFlags) addFlags(flags *pflag.FlagSet) {
	o := &f.options
	f.cluster.addFlags(flags)
	flags.StringVar(&o.A.Namespace, "namespace-a", o.A.Namespace, "`namespace` of the tenant that is attacked")
	flags.StringVar(&o.B.Namespace, "namespace-b", o.B.Namespace, "`namespace` of the attacker")
	flags.StringSliceVar(&f.a.cidrs, "cidrs-a", nil, "for addressing cidr: `ranges` that the IPAM gives to namespace A")
	flags.StringSliceVar(&f.b.cidrs, "cidrs-b", nil, "for addressing cidr: `ranges` that the IPAM gives to namespace B")
	flags.StringArrayVar(&f.a.annotations, "annotate-a", nil, "annotation `key=value` for namespace A, for the IPAM; may be repeated")
	flags.StringArrayVar(&f.b.annotations, "annotate-b", nil, "annotation `key=value` for namespace B, for the IPAM; may be repeated")
	flags.StringSliceVar(&o.Networks, "network", nil, "further networks of every pod, as `namespace/name` of Multus")
	flags.BoolVar(&o.Existing, "existing", false, "use the namespaces as they are: make neither them nor Tenants, and leave both")
	flags.BoolVar(&o.Baseline, "baseline", false, "the cluster has no Bulkhead, and the attacks must work")
	flags.StringVar(&o.Image, "image", o.Image, "`image` of the probe")
	flags.StringVar(&o.Node, "node", "", "`node` for all pods; empty: the scheduler chooses")
	flags.StringVar(&o.Interface, "interface", "", "attack the pods' addresses on this second `interface`")
	flags.StringSliceVar(&o.Outside, "outside", nil, "`host:port` of HTTP servers outside the cluster that tenants must reach")
	flags.StringSliceVar(&o.Checks, "checks", nil, "`ids` of the checks, or of threats, to play; empty: all")
	flags.StringSliceVar(&o.Skip, "skip", nil, "`ids` of the checks, or of threats, to leave out")
	flags.DurationVar(&o.Timeout, "timeout", o.Timeout, "how long the run may take")
	flags.BoolVar(&o.Keep, "keep", false, "leave everything there for a look")
	flags.BoolVar(&o.Replace, "replace", false, "take away what another run left, even if it may be going on")
	flags.StringVarP(&f.output, "output", "o", "table", "`form` of the result: table or json")
}

func (f *verifyFlags) run(command *cobra.Command) error {
	if err := f.complete(); err != nil {
		return err
	}
	config, err := f.config()
	if err != nil {
		return err
	}
	// What client-go says of broken connections is in the errors too.
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	f.options.Config, f.options.Progress = config, command.ErrOrStderr()
	report, err := verify.Run(command.Context(), f.options)
	if len(report.Experiments) == 0 {
		return err
	}
	write := report.WriteTable
	if f.output == "json" {
		write = report.WriteJSON
	}
	if err := errors.Join(err, write(command.OutOrStdout())); err != nil {
		return err
	}
	if !report.Passed {
		return errFailed
	}
	return nil
}

// complete reads what the flags hold as text. All that is wrong is told at once.
func (f *verifyFlags) complete() error {
	var errs []error
	if f.output != "table" && f.output != "json" {
		errs = append(errs, fmt.Errorf("--output %s: want table or json", f.output))
	}
	for _, side := range []struct {
		name  string
		flags *sideFlags
		into  *verify.Side
	}{{"-a", &f.a, &f.options.A}, {"-b", &f.b, &f.options.B}} {
		for _, text := range side.flags.cidrs {
			cidr, err := netip.ParsePrefix(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("--cidrs%s: %q is not a CIDR, e.g. 172.16.3.0/24", side.name, text))
				continue
			}
			if cidr != cidr.Masked() {
				errs = append(errs, fmt.Errorf("--cidrs%s: %s has bits beyond its length; is %s meant?", side.name, cidr, cidr.Masked()))
			}
			side.into.CIDRs = append(side.into.CIDRs, cidr)
		}
		var err error
		side.into.Annotations, err = parsePairs("--annotate"+side.name, side.flags.annotations)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return f.options.Validate()
}

// parsePairs reads key=value.
func parsePairs(flag string, texts []string) (map[string]string, error) {
	pairs := map[string]string{}
	for _, text := range texts {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return nil, fmt.Errorf("%s %s: want key=value", flag, text)
		}
		pairs[key] = value
	}
	return pairs, nil
}
