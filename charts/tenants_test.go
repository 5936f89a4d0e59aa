package charts

import (
	"encoding/json"
	"os"
	"testing"

	apiextensionsinternal "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	bulkheadv1alpha1 "github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// tenantErrors are what the API server says of a Tenant under the CRD: schema,
// unknown fields and CEL rules.
func tenantErrors(t *testing.T, tenant *bulkheadv1alpha1.Tenant) field.ErrorList {
	t.Helper()
	data, err := os.ReadFile("bulkhead/crds/bulkhead.dev_tenants.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &crd); err != nil {
		t.Fatal(err)
	}
	var props apiextensionsinternal.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &props, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := structuralschema.NewStructural(&props)
	if err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		t.Fatal(err)
	}

	encoded, err := json.Marshal(tenant)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(encoded, &object); err != nil {
		t.Fatal(err)
	}
	errs := validation.ValidateCustomResource(nil, object, validator)
	for _, unknown := range pruning.PruneWithOptions(object, structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		errs = append(errs, field.Invalid(field.NewPath(unknown), nil, "unknown field"))
	}
	celErrs, _ := cel.NewValidator(structural, true, celconfig.PerCallLimit).
		Validate(t.Context(), nil, structural, object, nil, celconfig.RuntimeCELCostBudget)
	return append(errs, celErrs...)
}

// TestTenants: what `tenants` renders is what the API server accepts.
func TestTenants(t *testing.T) {
	tenants := pick[*bulkheadv1alpha1.Tenant](t, objects(t, template(t, twoTenants)))
	if len(tenants) != 2 || tenants[0].Name != "alice" || tenants[1].Name != "bob" {
		t.Fatalf("%d tenants, want alice and bob", len(tenants))
	}
	for _, tenant := range tenants {
		if errs := tenantErrors(t, tenant); len(errs) > 0 {
			t.Errorf("%s: %v", tenant.Name, errs.ToAggregate())
		}
	}

}

// TestAddressing: ranges belong to mode cidr, as CEL says beyond values.schema.json.
func TestAddressing(t *testing.T) {
	for name, test := range map[string]struct {
		addressing bulkheadv1alpha1.Addressing
		accepted   bool
	}{
		"identity":             {bulkheadv1alpha1.Addressing{Mode: "identity"}, true},
		"identity with ranges": {bulkheadv1alpha1.Addressing{Mode: "identity", CIDRs: []string{"172.16.1.0/24"}}, false},
		"cidr":                 {bulkheadv1alpha1.Addressing{Mode: "cidr", CIDRs: []string{"172.16.1.0/24"}}, true},
		"cidr without ranges":  {bulkheadv1alpha1.Addressing{Mode: "cidr"}, false},
		"not canonical":        {bulkheadv1alpha1.Addressing{Mode: "cidr", CIDRs: []string{"172.16.1.1/24"}}, false},
		"unknown":              {bulkheadv1alpha1.Addressing{Mode: "labels"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			tenant := &bulkheadv1alpha1.Tenant{Spec: bulkheadv1alpha1.TenantSpec{Namespaces: []string{"a"}, Addressing: test.addressing}}
			tenant.APIVersion, tenant.Kind, tenant.Name = "bulkhead.dev/v1alpha1", "Tenant", "a"
			tenant.Spec.Enforcement = bulkheadv1alpha1.Enforce
			if errs := tenantErrors(t, tenant); (len(errs) == 0) != test.accepted {
				t.Errorf("accepted should be %t: %v", test.accepted, errs.ToAggregate())
			}
		})
	}
}
