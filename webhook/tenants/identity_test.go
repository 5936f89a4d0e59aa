package tenants

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

func TestUnready(t *testing.T) {
	index := NewIndex(testConfig(), []*v1alpha1.Tenant{
		newIdentityTenant("live"), newIdentityTenant("wrong", namespaces("kube-system")), newTestTenant("fixed", "172.16.1.0/24"),
	})
	unknown := func() *Problem { return UnknownRanges(errors.New("set cluster.podCIDRs")) }
	for name, test := range map[string]struct {
		tenant   string
		identity Identity
		want     []string
	}{
		"served":         {"live", func() *Problem { return nil }, nil},
		"no feed":        {"live", nil, []string{"NoFeed: feed.enabled"}},
		"ranges unknown": {"live", unknown, []string{"UnknownClusterRanges: set cluster.podCIDRs"}},
		"both":           {"wrong", unknown, []string{"Conflict: is exempt", "UnknownClusterRanges: set cluster.podCIDRs"}},
		"fixed ranges":   {"fixed", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tenant := index.Get(test.tenant)
			checkProblems(t, test.tenant, tenant.Unready(test.identity), test.want)
			if strings.Contains(Texts(tenant.Problems), "feed") {
				t.Error("what the cluster lacks stays with the tenant")
			}
		})
	}
}

// The condition follows what identity says, though no Tenant changes.
func TestStatusOfIdentity(t *testing.T) {
	client := newFakeClient(t, newIdentityTenant("alice"))
	cluster := start(t, client)
	var known atomic.Bool
	identity := func() *Problem {
		if known.Load() {
			return nil
		}
		return UnknownRanges(errors.New("set cluster.podCIDRs"))
	}
	connected := func(context.Context) (map[string]int, error) { return map[string]int{"alice": 3}, nil }
	go func() {
		if err := NewStatusController(cluster, fake.NewClientset(), &fakeEvents{}, Feed{Identity: identity, Connected: connected}).Run(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	reason := func(want string) func() bool {
		return func() bool {
			tenant, err := client.Get(t.Context(), "alice", metav1.GetOptions{})
			if err != nil {
				t.Error(err)
				return true
			}
			ready := meta.FindStatusCondition(tenant.Status.Conditions, v1alpha1.ConditionReady)
			return ready != nil && ready.Reason == want
		}
	}
	eventually(t, "unknown ranges", reason(ReasonUnknownClusterRanges))
	known.Store(true)
	eventually(t, "known ranges", reason(reasonReady))
	eventually(t, "connected sidecars", func() bool {
		tenant, err := client.Get(t.Context(), "alice", metav1.GetOptions{})
		return err == nil && tenant.Status.ConnectedPods != nil && *tenant.Status.ConnectedPods == 3
	})
}
