package webhook

import (
	"strings"
	"testing"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
)

func tenantJSON(t *testing.T, name, spec string) []byte {
	t.Helper()
	return toJSON(t, "{apiVersion: bulkhead.dev/v1alpha1, kind: Tenant, metadata: {name: "+name+"}, spec: {"+spec+"}}")
}

func TestValidateTenant(t *testing.T) {
	onlyAdministrators := func(c *configv1alpha1.BulkheadConfiguration) {
		c.Administrators = configv1alpha1.Subjects{Groups: []string{"system:masters"}, Users: []string{"anna"}}
	}
	const good = `namespaces: [new], addressing: {mode: cidr, cidrs: [172.16.9.0/24]}`
	for name, test := range map[string]struct {
		route  route
		user   string
		groups []string
		tenant string // name
		spec   string
		old    string
		want   string // part of the refusal; empty: allowed
	}{
		"good":               {tenantCreate, "anna", nil, "new", good, "", ""},
		"by a group":         {tenantCreate, "ben", []string{"system:masters"}, "new", good, "", ""},
		"by somebody":        {tenantCreate, "mallory", []string{"system:authenticated"}, "new", good, "", "tenant-administrators: user mallory"},
		"namespace taken":    {tenantCreate, "anna", nil, "new", `namespaces: [a, alice], addressing: {mode: cidr, cidrs: [172.16.9.0/24]}`, "", `spec.namespaces[1]: Invalid value: "alice": is also claimed by tenant alice`},
		"exempt namespace":   {tenantCreate, "anna", nil, "new", `namespaces: [kube-system], addressing: {mode: cidr, cidrs: [172.16.9.0/24]}`, "", `spec.namespaces[0]: Invalid value: "kube-system": is exempt`},
		"range taken":        {tenantCreate, "anna", nil, "new", `namespaces: [new], addressing: {mode: cidr, cidrs: [172.16.9.0/24, 172.16.1.128/25]}`, "", `spec.addressing.cidrs[1]: Invalid value: "172.16.1.128/25": overlaps 172.16.1.0/24 of tenant alice`},
		"range outside":      {tenantCreate, "anna", nil, "new", `namespaces: [new], addressing: {mode: cidr, cidrs: [10.0.0.0/24]}`, "", `spec.addressing.cidrs[0]: Invalid value: "10.0.0.0/24": lies outside`},
		"range of hosts":     {tenantCreate, "anna", nil, "new", `namespaces: [new], addressing: {mode: cidr, cidrs: [172.16.9.1/24]}`, "", `canonical form: 172.16.9.0/24`},
		"shared of another":  {tenantCreate, "anna", nil, "new", good + `, shared: [kube-system/kube-dns, alice/web]`, "", `spec.shared[1]: Invalid value: "alice/web": belongs to tenant alice`},
		"unknown field":      {tenantCreate, "anna", nil, "new", good + `, egres: {}`, "", `unknown field "spec.egres"`},
		"same spec by all":   {tenantUpdate, "mallory", nil, "new", good, good, ""},
		"other spec":         {tenantUpdate, "anna", nil, "new", good + `, enforcement: audit`, good, ""},
		"other spec by some": {tenantUpdate, "mallory", nil, "new", good + `, enforcement: audit`, good, "tenant-administrators"},
		"of its own":         {tenantUpdate, "anna", nil, "alice", `namespaces: [alice, more], addressing: {mode: cidr, cidrs: [172.16.1.0/24]}`, good, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestAdmission(t, onlyAdministrators)
			var old []byte
			if test.old != "" {
				old = tenantJSON(t, test.tenant, test.old)
			}
			request := newRequest(test.route, "", tenantJSON(t, test.tenant, test.spec), old)
			request.UserInfo.Username, request.UserInfo.Groups = test.user, test.groups
			d := a.Validate(t.Context(), request)
			if d.allowed != (test.want == "") || !strings.Contains(d.message, test.want) {
				t.Errorf("allowed %t: %s", d.allowed, d.message)
			}
		})
	}
	t.Run("no administrators configured", func(t *testing.T) {
		if d := newTestAdmission(t).Validate(t.Context(), newRequest(tenantCreate, "", tenantJSON(t, "new", good), nil)); !d.allowed {
			t.Errorf("denied: %s", d.message)
		}
	})
	t.Run("no nodes configured", func(t *testing.T) {
		a := newTestAdmission(t, func(c *configv1alpha1.BulkheadConfiguration) { c.Cluster.NodeCIDRs = nil })
		d := a.Validate(t.Context(), newRequest(tenantCreate, "", tenantJSON(t, "new", good), nil))
		if d.allowed || !strings.Contains(d.message, "cluster.nodeCIDRs is empty") {
			t.Errorf("allowed %t: %s", d.allowed, d.message)
		}
	})
	t.Run("delete", func(t *testing.T) {
		for user, allowed := range map[string]bool{"anna": true, "mallory": false} {
			request := newRequest(tenantDelete, "", nil, tenantJSON(t, "alice", good))
			request.UserInfo.Username = user
			d := newTestAdmission(t, onlyAdministrators).Validate(t.Context(), request)
			if d.allowed != allowed || !allowed && !strings.Contains(d.message, "tenant-administrators: user mallory") {
				t.Errorf("%s: allowed %t: %s", user, d.allowed, d.message)
			}
		}
	})
	t.Run("no object", func(t *testing.T) {
		if d := newTestAdmission(t).Validate(t.Context(), newRequest(tenantCreate, "", nil, nil)); d.allowed {
			t.Error("allowed")
		}
	})
}
