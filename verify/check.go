package verify

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Outcome is what an attempt came to.
type Outcome string

// The outcomes.
const (
	Reached Outcome = "reached" // it got through: an answer, an arrived packet, an admitted object
	Blocked Outcome = "blocked" // it did not, by a firewall or a missing right
	Denied  Outcome = "denied"  // Bulkhead refused it at admission
)

// check is one thing that is tried. Without Bulkhead it has to end in Reached.
type check struct {
	id      string
	threats []string // of docs/threat-model.md
	name    string   // what is tried, for the table
	with    Outcome  // what it comes to with Bulkhead
	family  family   // what to look at if it does not
	limit   string   // why Reached is known not to be prevented with addressing cidr; empty: it is a failure

	baseline, protected play
}

// play is a check's script. It returns what the attempt came to and how that was seen. An error means that nothing was
// shown; a *skip that the check has no place on this cluster.
type play func(context.Context, *stage) (Outcome, string, error)

// skip is why a check is not played. It is never used for what went wrong.
type skip struct{ reason string }

func (s *skip) Error() string { return s.reason }

func skipf(format string, args ...any) error { return &skip{fmt.Sprintf(format, args...)} }

// notHere is the script of a check that cannot be played by verify.
func notHere(reason string) play {
	return func(context.Context, *stage) (Outcome, string, error) { return "", "", skipf("%s", reason) }
}

// run plays the check and judges.
func (c check) run(ctx context.Context, s *stage) Result {
	script, expected := c.baseline, Reached
	if s.protected {
		script, expected = c.protected, c.with
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	began := time.Now()
	seen, detail, err := script(ctx, s)
	if err != nil {
		seen = "" // nothing was shown
	}
	result := Result{
		ID: c.id, Name: c.name, Threats: c.threats, Expected: expected, Seen: seen, Detail: detail,
		Seconds: seconds(time.Since(began)),
	}
	result.Verdict = c.judge(s.protected, s.identity, expected, seen, err)
	switch result.Verdict {
	case Skipped:
		result.Detail = err.Error()
	case Unknown:
		result.Detail, result.Remedy = err.Error(), unknownRemedy
	case KnownLimit:
		result.Remedy = c.limit
	case Fail:
		result.Remedy = c.family.remedy(s.protected)
	}
	result.Pass = result.Verdict == Pass
	return result
}

func (c check) judge(protected, identity bool, expected, seen Outcome, err error) Verdict {
	switch skipped := (*skip)(nil); {
	case errors.As(err, &skipped):
		return Skipped
	case err != nil:
		return Unknown
	case seen == expected:
		return Pass
	case protected && expected == Blocked && seen == Denied:
		return Pass // stopped earlier than it had to be
	case protected && !identity && seen == Reached && c.limit != "":
		return KnownLimit
	}
	return Fail
}

// checkTimeout bounds one check: a pod or two that start, and attempts of seconds.
const checkTimeout = 90 * time.Second

// family says what a check hangs on.
type family int

const (
	byPackets family = iota
	byAdmission
	byBoth
	mustWork
)

const unknownRemedy = "nothing was shown, so nothing is proven: see what went wrong above and run it again; --keep leaves the pods for a look"

func (f family) remedy(protected bool) string {
	const (
		packets   = "see that Bulkhead knows all ranges of the cluster (docs/operate.md; with addressing cidr, cluster.tenantCIDRs and nodeCIDRs name all addresses of tenants and nodes), and what the sidecars say (kubectl logs POD -c bulkhead-firewall; --keep leaves the pods)"
		admission = "see that the webhook is asked about the namespace (kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o yaml), that the namespace and your user are not exempt in Bulkhead's configuration, and that the tenant's enforcement is enforce"
	)
	switch {
	case !protected:
		return "something else on this cluster stops the attack (a network policy, rp_filter, pod security): where it is in force this check says nothing of Bulkhead"
	case f == byAdmission:
		return admission
	case f == byBoth:
		return "if a pod was admitted, " + admission + "; if not, " + packets
	case f == mustWork:
		return "see that the sidecars are told of their peers (Events of the pods; with addressing cidr, that the pods' addresses lie in the tenant's ranges: kubectl get tenants -o yaml; kubectl get pods -o wide), and what the sidecar says (kubectl logs POD -c bulkhead-firewall)"
	}
	return packets
}
