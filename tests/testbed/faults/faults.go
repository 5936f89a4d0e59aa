// Package faults plays, on a real cluster, what happens to a firewall from outside of its pod: it is killed, runs out of
// memory, hangs or crashes while it builds the rules, loses the kubelet, is tampered with by the node's root, or is told
// nonsense. No tenant can do these things, so `bulkhead verify` cannot play them; a node can, and does.
//
// A fault is a script of two halves: without Bulkhead, where it opens the pod (or the script would prove nothing), and
// with it. In both a stream of forbidden packets, one each millisecond and address, shows any moment without a firewall.
// The scripts end in an outcome: what came of the forbidden packets. What a script rests on is checked on the way; when
// that fails there is no outcome but an error.
package faults

import (
	"context"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
)

// play is a half of a fault: it returns what came of the forbidden packets, and what a person wants to know of how.
type play func(context.Context, *stage) (results.Outcome, string, error)

// fault is what happens, and is played twice.
type fault struct {
	id, name      string
	threats       []string
	without, with play
	expected      results.Outcome // with Bulkhead; without it always Reached
}

// forced are done to a firewall, whatever its peers come from.
func forced() []fault {
	return []fault{
		{"sidecar-killed", "the firewall's container is killed", []string{"L6", "L8"},
			naiveIsKilled, sidecarDies(killed), results.Blocked},
		{"sidecar-oom", "the firewall's container runs out of memory", []string{"L6"},
			naiveIsKilled, sidecarDies(outOfMemory), results.Blocked},
		{"build-hangs", "the firewall hangs and crashes while the rules are built", []string{"L1", "L16"},
			nativeSidecarHangs, buildHangs(nothingMore), results.Blocked},
		{"build-kubelet", "the kubelet restarts while the rules are built", []string{"L16"},
			postStartAndKubelet, buildHangs(restartKubelet), results.Blocked},
		{"kubelet-restart", "the kubelet is killed and restarted under running pods", []string{"L6"},
			unprotected, kubeletRestarts, results.Blocked},
		{"pod-restarts", "the application, then the whole sandbox of a pod is killed", []string{"L1", "L6"},
			unprotected, podRestarts, results.Blocked},
		{"tampering", "the node's root tampers with a pod's rules", []string{"L7"},
			thesisRulesFlushed, tampering, results.Blocked},
	}
}

// ranged are of addressing cidr.
func ranged() []fault {
	return []fault{
		{"wrong-range", "a pod's address is not in its tenant's ranges", []string{"L1"},
			unprotected, wrongRange, results.NotStarted},
		{"overlap", "a tenant claims another tenant's range", []string{"L11"},
			unprotected, overlap, results.Denied},
	}
}

// lived is what becomes of live peers: with addressing identity, on one range for all pods.
func lived() []fault {
	return []fault{
		{"address-reuse", "a pod gets the address of another tenant's pod that has just gone", []string{"S7"},
			addressIsInherited, addressIsUsedAgain, results.Blocked},
		{"feed-gone", "the webhook goes for longer than a lease, and comes back", []string{"S7"},
			unprotected, feedGone, results.Blocked},
		{"upgrade", "the webhook is upgraded under old pods, while new ones start", []string{"S7"},
			unprotected, upgrade, results.Blocked},
		{"external-ip", "connect to the other tenant by an external address of its Service", []string{"S2"},
			externalAddress, externalAddress, results.Blocked},
		{"shared-namespace", "an ingress in a shared namespace, and a public NodePort from outside", []string{"S2"},
			sharedNamespace, sharedNamespace, results.Reached},
	}
}

func all() []fault { return slices.Concat(forced(), ranged(), lived()) }

// IDs are those of what is done to a firewall.
func IDs() []string { return idsOf(forced()) }

// RangedIDs are those of addressing cidr.
func RangedIDs() []string { return idsOf(ranged()) }

// LiveIDs are those of what becomes of live peers.
func LiveIDs() []string { return idsOf(lived()) }

func idsOf(faults []fault) []string {
	var ids []string
	for _, f := range faults {
		ids = append(ids, f.id)
	}
	return ids
}

// Play plays one half of the faults with these ids, and records each as it ends; addresses change hands for reuseFor. One
// that fails does not keep the others from being played. The cluster needs the namespaces and images of experiments.Prepare and, for the protected half,
// Bulkhead with its tenants.
func Play(ctx context.Context, c *cluster.Cluster, ids []string, reuseFor time.Duration, protected bool, report *results.Report) error {
	s := &stage{Cluster: c, protected: protected, reuseFor: reuseFor}
	for _, f := range all() {
		if !slices.Contains(ids, f.id) {
			continue
		}
		script := f.without
		if protected {
			script = f.with
		}
		outcome, detail, err := script(ctx, s)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		half := results.Half{Outcome: outcome, Detail: detail, Pass: outcome == results.Reached}
		if protected {
			half.Pass = outcome == f.expected
		}
		if err != nil {
			half = results.Half{Detail: err.Error()}
		}
		what := results.Result{ID: f.id, Name: f.name, Threats: f.threats, Expected: f.expected}
		report.Record(what, protected, half)
		report.Tell(what, half)
		if err := s.clear(ctx); err != nil {
			return err
		}
	}
	return nil
}
