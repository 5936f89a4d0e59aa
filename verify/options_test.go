package verify

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// protected are options that are right on a cluster with Bulkhead.
func protected() Options {
	o := NewOptions()
	o.A.CIDRs, o.B.CIDRs = prefixes("172.16.3.0/24", "fd00:3::/64"), prefixes("172.16.4.0/24")
	return o
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Options)
		want   []string // parts of the error; none: no error
	}{
		"right":                      {func(*Options) {}, nil},
		"no ranges":                  {func(o *Options) { o.A.CIDRs, o.B.CIDRs = nil, nil }, nil},
		"ranges of one":              {func(o *Options) { o.B.CIDRs = nil }, []string{"--cidrs-a", "--cidrs-b"}},
		"no ranges without Bulkhead": {func(o *Options) { o.A.CIDRs, o.B.CIDRs, o.Baseline = nil, nil, true }, nil},
		"no ranges of existing ones": {func(o *Options) { o.A.CIDRs, o.B.CIDRs, o.Existing = nil, nil, true }, nil},
		"ranges without Bulkhead":    {func(o *Options) { o.Baseline = true }, []string{"--cidrs-a", "--cidrs-b"}},
		"annotations of existing ones": {func(o *Options) {
			o.A.CIDRs, o.B.CIDRs, o.Existing, o.B.Annotations = nil, nil, true, map[string]string{"k": "v"}
		}, []string{"--annotate-b"}},
		"overlap":         {func(o *Options) { o.B.CIDRs = prefixes("172.16.0.0/16") }, []string{"172.16.3.0/24", "overlap"}},
		"one namespace":   {func(o *Options) { o.B.Namespace = o.A.Namespace }, []string{"both"}},
		"no namespace":    {func(o *Options) { o.A.Namespace = "" }, []string{"--namespace-a"}},
		"bad namespace":   {func(o *Options) { o.B.Namespace = "B!" }, []string{"--namespace-b"}},
		"outside no port": {func(o *Options) { o.Outside = []string{"203.0.113.10"} }, []string{"--outside 203.0.113.10"}},
		"outside IPv6":    {func(o *Options) { o.Outside = []string{"[2001:db8::1]:80"} }, nil},
		"network":         {func(o *Options) { o.Networks = []string{"macvlan"} }, []string{"--network macvlan"}},
		"no time":         {func(o *Options) { o.Timeout = 0 }, []string{"--timeout"}},
		"unknown check":   {func(o *Options) { o.Checks = []string{"P99"} }, []string{`"P99"`}},
		"all at once":     {func(o *Options) { o.Timeout, o.Outside, o.B.CIDRs = -1, []string{"x"}, nil }, []string{"--timeout", "--outside", "--cidrs-b"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := protected()
			test.change(&o)
			err := o.Validate()
			if (err != nil) != (len(test.want) > 0) {
				t.Fatalf("error %v, want one about %q", err, test.want)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v says nothing of %s", err, part)
				}
			}
		})
	}
}

// TestRightsAreNamed: what is missing is told at once, where it is missing and what for.
func TestRightsAreNamed(t *testing.T) {
	may := func(allowed func(authorizationv1.ResourceAttributes) bool) error {
		client := fake.NewClientset()
		client.PrependReactor("create", "selfsubjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
			review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
			review.Status.Allowed = allowed(*review.Spec.ResourceAttributes)
			return true, review, nil
		})
		o := protected()
		return checkRights(t.Context(), client, &o)
	}
	if err := may(func(authorizationv1.ResourceAttributes) bool { return true }); err != nil {
		t.Errorf("with all rights: %v", err)
	}
	err := may(func(a authorizationv1.ResourceAttributes) bool {
		return a.Resource != "tenants" && (a.Subresource != "exec" || a.Namespace != "bulkhead-verify-b")
	})
	want := []string{
		"  create, get pods/exec in namespace bulkhead-verify-b, to make the attempts in them",
		"  create, get, list, delete tenants.bulkhead.dev in the whole cluster, to tell Bulkhead of the two tenants",
	}
	if err == nil {
		t.Fatal("without some rights: no error")
	}
	if lines := strings.Split(err.Error(), "\n")[1:]; !slices.Equal(lines, want) {
		t.Errorf("missing:\n%s\nwant:\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// TestMisplaced: a pod outside its tenant's ranges is told with the flag that names them.
func TestMisplaced(t *testing.T) {
	for name, test := range map[string]struct {
		namespace string
		ips       []string
		flag      string // empty: nothing is wrong
	}{
		"inside":           {"bulkhead-verify-a", []string{"172.16.3.9", "fd00:3::9"}, ""},
		"no address yet":   {"bulkhead-verify-a", nil, ""},
		"outside":          {"bulkhead-verify-a", []string{"10.244.0.9"}, "--cidrs-a"},
		"one of two":       {"bulkhead-verify-b", []string{"172.16.4.9", "fd00:4::9"}, "--cidrs-b"},
		"the other tenant": {"bulkhead-verify-b", []string{"172.16.3.9"}, "--cidrs-b"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &corev1.Pod{}
			p.Namespace, p.Name = test.namespace, "p"
			for _, ip := range test.ips {
				p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: ip})
			}
			err := (&run{options: protected()}).misplaced(p)
			if (err != nil) != (test.flag != "") || err != nil && !strings.Contains(err.Error(), test.flag) {
				t.Errorf("%v, want an error with %q", err, test.flag)
			}
		})
	}
}
