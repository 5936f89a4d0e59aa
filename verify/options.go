package verify

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
)

// Options say where and what to verify.
type Options struct {
	Config *rest.Config // of a user who may do what rights.go lists

	Baseline bool // the cluster has no Bulkhead, and the attacks must work
	Existing bool // the namespaces exist and stay; with Bulkhead they belong to two Tenants
	Keep     bool // leave everything there for a look
	Replace  bool // take away what another run left, even if that may still be running

	A, B      Side
	Networks  []string // NAMESPACE/NAME of Multus' networks, for every pod
	Image     string   // of the probe
	Node      string   // for all pods; empty: where the scheduler puts them
	Interface string   // whose addresses are attacked; empty: the pods' own

	Outside []string // HOST:PORT of HTTP servers outside the cluster that tenants may reach
	Checks  []string // ids of checks or threats; empty: all
	Skip    []string // ids of checks or threats

	Timeout  time.Duration // for everything but the tidying up
	Progress io.Writer     // lines for a person
}

// Side is one of the two tenants. A is the one that is attacked, mostly.
type Side struct {
	Namespace   string
	CIDRs       []netip.Prefix    // that the IPAM gives to the namespace; none: addressing identity
	Annotations map[string]string // of the namespace, for the IPAM
	public      []string          // Services that the Tenant of an existing namespace names so
}

// DefaultImage is what `make image` calls the probe.
const DefaultImage = "registry.local/bulkhead/probe:dev"

// NewOptions are the defaults.
func NewOptions() Options {
	return Options{
		A: Side{Namespace: "bulkhead-verify-a"}, B: Side{Namespace: "bulkhead-verify-b"},
		Image: DefaultImage, Timeout: 5 * time.Minute, Progress: io.Discard,
	}
}

// Validate returns all that is wrong.
func (o *Options) Validate() error {
	var errs []error
	for i, side := range []Side{o.A, o.B} {
		flag := []string{"-a", "-b"}[i]
		for _, problem := range validation.IsDNS1123Label(side.Namespace) {
			errs = append(errs, fmt.Errorf("--namespace%s %q: %s", flag, side.Namespace, problem))
		}
		switch {
		case o.Existing && len(side.Annotations) > 0:
			errs = append(errs, fmt.Errorf("--annotate%s: with --existing the namespaces are left as they are", flag))
		case (o.Existing || o.Baseline) && len(side.CIDRs) > 0:
			errs = append(errs, fmt.Errorf("--cidrs%s: not needed with --existing or --baseline", flag))
		}
	}
	if (len(o.A.CIDRs) == 0) != (len(o.B.CIDRs) == 0) {
		errs = append(errs, errors.New("--cidrs-a and --cidrs-b belong together: both for tenants with addressing cidr, neither for identity"))
	}
	if o.A.Namespace == o.B.Namespace {
		errs = append(errs, fmt.Errorf("--namespace-a and --namespace-b are both %s", o.A.Namespace))
	}
	for _, a := range o.A.CIDRs {
		for _, b := range o.B.CIDRs {
			if a.Overlaps(b) {
				errs = append(errs, fmt.Errorf("--cidrs-a %s and --cidrs-b %s overlap", a, b))
			}
		}
	}
	for _, network := range o.Networks {
		if namespace, name, _ := strings.Cut(network, "/"); namespace == "" || name == "" {
			errs = append(errs, fmt.Errorf("--network %s: want NAMESPACE/NAME", network))
		}
	}
	for _, outside := range o.Outside {
		if host, port, err := net.SplitHostPort(outside); err != nil || host == "" || port == "" {
			errs = append(errs, fmt.Errorf("--outside %s: want HOST:PORT", outside))
		}
	}
	if o.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("--timeout %s: want more than nothing", o.Timeout))
	}
	_, err := choose(checks(), o.Checks, o.Skip)
	return errors.Join(append(errs, err)...)
}

// choose returns the checks of these ids, all for none, without those to skip. An id that is no check's stands for the
// checks that answer to the threat of that id.
func choose(all []check, want, skip []string) ([]check, error) {
	wanted, err := selection(all, want)
	if err != nil {
		return nil, err
	}
	unwanted, err := selection(all, skip)
	if err != nil {
		return nil, err
	}
	var chosen []check
	for _, c := range all {
		if (len(want) == 0 || wanted[c.id]) && !unwanted[c.id] {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("no check is left to play")
	}
	return chosen, nil
}

// selection finds the ids of the checks that are meant.
func selection(all []check, ids []string) (map[string]bool, error) {
	selected := map[string]bool{}
	for _, id := range ids {
		meant := only(all, func(c check) bool { return c.id == id })
		if len(meant) == 0 {
			meant = only(all, func(c check) bool { return slices.Contains(c.threats, id) })
		}
		if len(meant) == 0 {
			return nil, fmt.Errorf("no check has the id %q or answers to a threat of that id", id)
		}
		for _, c := range meant {
			selected[c.id] = true
		}
	}
	return selected, nil
}
