package tenants

import (
	"net/netip"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// TestDigest: every field makes another digest, those that are yet to come included;
// status and metadata other than the name do not.
func TestDigest(t *testing.T) {
	newTenant := func() *Tenant { return &Tenant{Tenant: &v1alpha1.Tenant{}} }
	digest := func(tenant *Tenant) [32]byte {
		t.Helper()
		sum, err := tenant.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	seen := map[[32]byte]string{digest(newTenant()): "nothing"}
	another := func(what string, tenant *Tenant) {
		t.Helper()
		sum := digest(tenant)
		if other, known := seen[sum]; known {
			t.Errorf("%s has the digest of %s", what, other)
		}
		seen[sum] = what
	}
	for i := range reflect.TypeFor[v1alpha1.TenantSpec]().NumField() {
		tenant := newTenant()
		spec := reflect.ValueOf(&tenant.Spec).Elem()
		fill(t, spec.Field(i))
		another("spec."+spec.Type().Field(i).Name, tenant)
	}
	for i := range reflect.TypeFor[Tenant]().NumField() {
		of := reflect.TypeFor[Tenant]().Field(i)
		if of.Anonymous || !of.IsExported() {
			continue
		}
		tenant := newTenant()
		fill(t, reflect.ValueOf(tenant).Elem().Field(i))
		another(of.Name, tenant)
	}
	named := newTenant()
	named.Name = "a"
	another("name", named)

	same := newTenant()
	same.ObjectMeta = metav1.ObjectMeta{ResourceVersion: "2", Generation: 3, Labels: map[string]string{"a": "b"}}
	same.Status.Pods = 7
	if digest(same) != digest(newTenant()) {
		t.Error("status or metadata are in the digest")
	}
}

// TestDigestOfIndex: it is the same, asked once or again, and after another tenant came.
func TestDigestOfIndex(t *testing.T) {
	one, other := newTestTenant("alice", "172.16.1.0/24"), newTestTenant("bob", "172.16.2.0/24")
	before := NewIndex(testConfig(), []*v1alpha1.Tenant{one}).Get("alice")
	after := NewIndex(testConfig(), []*v1alpha1.Tenant{one, other}).Get("alice")
	first, err := before.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []*Tenant{before, after} {
		if again, err := tenant.Digest(); err != nil || again != first {
			t.Errorf("%x, %v, then %x", first, err, again)
		}
	}
	copied := *after
	copied.Peers = nil
	if changed, err := copied.Digest(); err != nil || changed == first {
		t.Errorf("a copy that was changed: %x, %v", changed, err)
	}
	one.Spec.Egress.Nodes = v1alpha1.Allow
	if changed, err := NewIndex(testConfig(), []*v1alpha1.Tenant{one}).Get("alice").Digest(); err != nil || changed == first {
		t.Errorf("changed: %x, %v", changed, err)
	}
}

// fill sets a value that is not the zero one in every field of it.
func fill(t *testing.T, value reflect.Value) {
	t.Helper()
	switch value.Type() {
	case reflect.TypeFor[netip.Prefix]():
		value.Set(reflect.ValueOf(netip.MustParsePrefix("10.0.0.0/8")))
		return
	case reflect.TypeFor[*field.Error]():
		value.Set(reflect.ValueOf(field.Required(field.NewPath("a"), "b")))
		return
	}
	switch value.Kind() {
	case reflect.String:
		value.SetString("filled")
	case reflect.Bool:
		value.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		value.SetInt(7)
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		fill(t, value.Elem())
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 1, 1))
		fill(t, value.Index(0))
	case reflect.Struct:
		for i := range value.NumField() {
			fill(t, value.Field(i))
		}
	default:
		t.Fatalf("cannot fill a %s", value.Type())
	}
}
