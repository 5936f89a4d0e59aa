package tenants

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

func testConfig() *configv1alpha1.BulkheadConfiguration {
	config := &configv1alpha1.BulkheadConfiguration{
		Exempt: configv1alpha1.Exempt{Namespaces: []string{"kube-system"}},
		Cluster: configv1alpha1.Cluster{
			NodeCIDRs:   []string{"192.168.0.0/24"},
			TenantCIDRs: []string{"172.16.0.0/16", "fd00:1::/48"},
		},
	}
	configv1alpha1.SetDefaults(config)
	return config
}

// newTestTenant owns the namespace of its name.
func newTestTenant(name, cidr string, change ...func(*v1alpha1.TenantSpec)) *v1alpha1.Tenant {
	t := &v1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.TenantSpec{
			Namespaces: []string{name},
			Addressing: v1alpha1.Addressing{Mode: v1alpha1.AddressingCIDR, CIDRs: []string{cidr}},
		},
	}
	for _, c := range change {
		c(&t.Spec)
	}
	return t
}

func namespaces(names ...string) func(*v1alpha1.TenantSpec) {
	return func(s *v1alpha1.TenantSpec) { s.Namespaces = names }
}

func newIdentityTenant(name string, change ...func(*v1alpha1.TenantSpec)) *v1alpha1.Tenant {
	none := func(s *v1alpha1.TenantSpec) { s.Addressing = v1alpha1.Addressing{} }
	return newTestTenant(name, "", append([]func(*v1alpha1.TenantSpec){none}, change...)...)
}

func TestIndex(t *testing.T) {
	alice := newTestTenant("alice", "172.16.1.0/24", namespaces("alice", "alice-batch"))
	before := alice.DeepCopy()
	index := NewIndex(testConfig(), []*v1alpha1.Tenant{
		alice,
		newTestTenant("bob", "172.16.2.0/24", func(s *v1alpha1.TenantSpec) {
			s.Enforcement = v1alpha1.Audit
			s.PodSecurity.Enforce = v1alpha1.Restricted
			s.Egress.External = v1alpha1.Deny
		}),
	})
	if diff := cmp.Diff(before, alice); diff != "" {
		t.Errorf("the given object was changed (-before +after):\n%s", diff)
	}
	for namespace, want := range map[string]string{"alice": "alice", "alice-batch": "alice", "bob": "bob", "default": ""} {
		var got string
		if owner := index.Owner(namespace); owner != nil {
			got = owner.Name
			if len(owner.Problems) > 0 {
				t.Errorf("%s has problems: %s", got, Texts(owner.Problems))
			}
		}
		if got != want {
			t.Errorf("owner of %s: %q, want %q", namespace, got, want)
		}
	}
	a, b := index.Get("alice").Spec, index.Get("bob").Spec
	if a.Enforcement != v1alpha1.Enforce || a.PodSecurity.Enforce != v1alpha1.Baseline || a.PodSecurity.Warn != v1alpha1.Restricted ||
		a.Egress != (v1alpha1.Egress{Metadata: v1alpha1.Deny, Nodes: v1alpha1.Deny, External: v1alpha1.Allow}) {
		t.Errorf("defaults: %+v", a)
	}
	if b.Enforcement != v1alpha1.Audit || b.PodSecurity.Enforce != v1alpha1.Restricted || b.Egress.External != v1alpha1.Deny {
		t.Errorf("what is set was changed: %+v", b)
	}
	if index.Get("nobody") != nil || len(index.Tenants()) != 2 {
		t.Errorf("tenants: %v", index.Tenants())
	}
}

func TestProblems(t *testing.T) {
	for name, test := range map[string]struct {
		config  func(*configv1alpha1.BulkheadConfiguration)
		tenants []*v1alpha1.Tenant
		want    map[string][]string // tenant to "reason: part of the text"
	}{
		"none": {nil, []*v1alpha1.Tenant{newTestTenant("a", "172.16.1.0/24"), newTestTenant("b", "172.16.2.0/24")}, nil},
		"a namespace twice": {nil, []*v1alpha1.Tenant{
			newTestTenant("a", "172.16.1.0/24", namespaces("x", "y")),
			newTestTenant("b", "172.16.2.0/24", namespaces("z", "y")),
			newTestTenant("c", "172.16.3.0/24"),
		}, map[string][]string{
			"a": {`Conflict: spec.namespaces[1]: Invalid value: "y": is also claimed by tenant b`},
			"b": {`Conflict: spec.namespaces[1]: Invalid value: "y": is also claimed by tenant a`},
		}},
		"an exempt namespace": {nil, []*v1alpha1.Tenant{newTestTenant("kube-system", "172.16.1.0/24")}, map[string][]string{
			"kube-system": {`Conflict: spec.namespaces[0]: Invalid value: "kube-system": is exempt`},
		}},
		"a range within another's": {nil, []*v1alpha1.Tenant{
			newTestTenant("a", "172.16.0.0/20"), newTestTenant("b", "172.16.1.0/24"), newTestTenant("c", "172.16.1.64/26"),
		}, map[string][]string{
			"a": {"InvalidAddressing: overlaps 172.16.1.0/24 of tenant b"},
			"b": {"InvalidAddressing: overlaps 172.16.0.0/20 of tenant a"},
			"c": {"InvalidAddressing: overlaps 172.16.0.0/20 of tenant a"},
		}},
		"the same range": {nil, []*v1alpha1.Tenant{newTestTenant("a", "fd00:1:0:1::/64"), newTestTenant("b", "fd00:1:0:1::/64")}, map[string][]string{
			"a": {"InvalidAddressing: overlaps fd00:1:0:1::/64 of tenant b"},
			"b": {"InvalidAddressing: overlaps fd00:1:0:1::/64 of tenant a"},
		}},
		"a range outside": {nil, []*v1alpha1.Tenant{newTestTenant("a", "172.0.0.0/8")}, map[string][]string{
			"a": {`InvalidAddressing: spec.addressing.cidrs[0]: Invalid value: "172.0.0.0/8": lies outside`},
		}},
		"no range": {nil, []*v1alpha1.Tenant{newTestTenant("a", "", func(s *v1alpha1.TenantSpec) { s.Addressing.CIDRs = nil })}, map[string][]string{
			"a": {"InvalidAddressing: spec.addressing.cidrs: Required"},
		}},
		"every address": {func(c *configv1alpha1.BulkheadConfiguration) { c.Cluster.TenantCIDRs = []string{"::/0"} },
			[]*v1alpha1.Tenant{newTestTenant("a", "::/0")}, map[string][]string{"a": {"InvalidAddressing: holds every address"}}},
		"nodes unknown": {func(c *configv1alpha1.BulkheadConfiguration) { c.Cluster.NodeCIDRs = nil },
			[]*v1alpha1.Tenant{newTestTenant("a", "172.16.1.0/24")}, map[string][]string{"a": {"InvalidAddressing: cluster.nodeCIDRs is empty"}}},
		"shared of a tenant": {nil, []*v1alpha1.Tenant{
			newTestTenant("a", "172.16.1.0/24", func(s *v1alpha1.TenantSpec) { s.Shared = []string{"kube-system/kube-dns", "b/web", "a"} }),
			newTestTenant("b", "172.16.2.0/24"),
		}, map[string][]string{"a": {`Conflict: spec.shared[1]: Invalid value: "b/web": belongs to tenant b`}}},
		"values that the CRD refuses": {nil, []*v1alpha1.Tenant{newTestTenant("a", "172.16.1.5/24", func(s *v1alpha1.TenantSpec) {
			*s = v1alpha1.TenantSpec{
				Namespaces:  []string{"A", "b", "b"},
				Shared:      []string{"x/y/z"},
				Public:      []string{"c/web", "b"},
				Enforcement: "never",
				PodSecurity: v1alpha1.PodSecurity{Enforce: v1alpha1.Privileged, EnforceVersion: "1.0", Warn: "none", WarnVersion: "v2.0", AuditVersion: "v1.01"},
				Networks:    []string{"x/y/z"},
				Egress:      v1alpha1.Egress{Metadata: "x", Nodes: "y", External: "z"},
				Addressing:  v1alpha1.Addressing{Mode: "names", CIDRs: s.Addressing.CIDRs},
			}
		})}, map[string][]string{"a": {
			"InvalidSpec: spec.namespaces[0]", "InvalidSpec: spec.namespaces[2]: Duplicate", "InvalidSpec: spec.shared[0]",
			"InvalidSpec: spec.public[0]: Invalid value: \"c/web\": is in none of", "InvalidSpec: spec.public[1]",
			"InvalidSpec: spec.enforcement", "InvalidSpec: spec.podSecurity.enforce",
			"InvalidSpec: spec.podSecurity.warn", "InvalidSpec: spec.egress.metadata",
			"InvalidSpec: spec.egress.nodes", "InvalidSpec: spec.egress.external",
			"InvalidSpec: spec.podSecurity.enforceVersion", "InvalidSpec: spec.podSecurity.warnVersion", "InvalidSpec: spec.podSecurity.auditVersion",
			"InvalidSpec: spec.networks[0]", "InvalidAddressing: spec.addressing.mode",
			"InvalidAddressing: canonical form: 172.16.1.0/24",
		}}},
		"identity": {func(c *configv1alpha1.BulkheadConfiguration) { c.Cluster = configv1alpha1.Cluster{} }, []*v1alpha1.Tenant{
			newIdentityTenant("a", func(s *v1alpha1.TenantSpec) { s.Shared = []string{"b/web"} }), newIdentityTenant("b"),
		}, nil},
		"identity with ranges": {nil, []*v1alpha1.Tenant{
			newTestTenant("a", "172.16.1.0/24", func(s *v1alpha1.TenantSpec) { s.Addressing.Mode = v1alpha1.AddressingIdentity }),
		}, map[string][]string{"a": {"InvalidAddressing: spec.addressing.cidrs: Forbidden"}}},
		"no namespaces": {nil, []*v1alpha1.Tenant{newTestTenant("a", "172.16.1.0/24", namespaces())}, map[string][]string{
			"a": {"InvalidSpec: spec.namespaces: Required"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			config := testConfig()
			if test.config != nil {
				test.config(config)
			}
			index := NewIndex(config, test.tenants)
			for _, object := range test.tenants {
				checkProblems(t, object.Name, index.Get(object.Name).Problems, test.want[object.Name])
			}
		})
	}
}

func checkProblems(t *testing.T, tenant string, problems []Problem, want []string) {
	t.Helper()
	if len(problems) != len(want) {
		t.Errorf("%s has %d problems, want %d", tenant, len(problems), len(want))
	}
	for _, w := range want {
		reason, text, _ := strings.Cut(w, ": ")
		if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Reason == reason && strings.Contains(p.Err.Error(), text) }) {
			t.Errorf("%s lacks problem %q in: %s", tenant, w, Texts(problems))
		}
	}
}

// Where two claim a namespace, the laxer of the two must not answer for it.
func TestOwnerOfADisputedNamespaceIsTheStrictest(t *testing.T) {
	lax := newTestTenant("a", "172.16.1.0/24", namespaces("x"), func(s *v1alpha1.TenantSpec) { s.Enforcement = v1alpha1.Audit })
	strict := newTestTenant("b", "172.16.2.0/24", namespaces("x"))
	for _, order := range [][]*v1alpha1.Tenant{{lax, strict}, {strict, lax}} {
		if owner := NewIndex(testConfig(), order).Owner("x"); owner.Name != "b" || len(owner.Problems) == 0 {
			t.Errorf("owner %s with %d problems", owner.Name, len(owner.Problems))
		}
	}
}

// Every range that overlaps another tenant's is a problem, and no other is.
func TestOverlapsAgainstAllPairs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var objects []*v1alpha1.Tenant
		for i := range 2 + random.IntN(6) {
			object := newTestTenant(fmt.Sprintf("t%d", i), "")
			object.Spec.Addressing.CIDRs = nil
			for range 1 + random.IntN(3) {
				address := netip.AddrFrom4([4]byte{172, 16, byte(random.IntN(4)), byte(random.IntN(256))})
				cidr := netip.PrefixFrom(address, 16+random.IntN(17)).Masked().String()
				if !slices.Contains(object.Spec.Addressing.CIDRs, cidr) {
					object.Spec.Addressing.CIDRs = append(object.Spec.Addressing.CIDRs, cidr)
				}
			}
			objects = append(objects, object)
		}
		index := NewIndex(testConfig(), objects)
		for _, object := range objects {
			want := 0
			for _, cidr := range object.Spec.Addressing.CIDRs {
				if overlapsAnother(cidr, object, objects) {
					want++
				}
			}
			if problems := index.Get(object.Name).Problems; len(problems) != want {
				t.Fatalf("%s %v: %d problems, want %d: %s", object.Name, object.Spec.Addressing.CIDRs, len(problems), want, Texts(problems))
			}
		}
	}
}

func overlapsAnother(cidr string, object *v1alpha1.Tenant, objects []*v1alpha1.Tenant) bool {
	for _, other := range objects {
		for _, otherCIDR := range other.Spec.Addressing.CIDRs {
			if other != object && netip.MustParsePrefix(cidr).Overlaps(netip.MustParsePrefix(otherCIDR)) {
				return true
			}
		}
	}
	return false
}

func BenchmarkNewIndex(b *testing.B) {
	var objects []*v1alpha1.Tenant
	for i := range 3500 {
		objects = append(objects, newTestTenant(fmt.Sprintf("t%d", i), fmt.Sprintf("172.16.%d.%d/28", i/16, i%16*16)))
	}
	for b.Loop() {
		NewIndex(testConfig(), objects)
	}
}
