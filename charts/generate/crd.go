package main

import (
	"fmt"
	"maps"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// readTenantSpec returns the JSON Schema of a Tenant's spec from its CRD.
func readTenantSpec(file string) (map[string]any, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the CRD: %w", err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema struct {
						Properties map[string]map[string]any `json:"properties"`
					} `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	if len(crd.Spec.Versions) != 1 {
		return nil, fmt.Errorf("parse %s: %d versions, want one", file, len(crd.Spec.Versions))
	}
	spec, ok := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	if !ok {
		return nil, fmt.Errorf("parse %s: no schema for spec", file)
	}
	return strict(spec), nil
}

// strict makes JSON Schema of a structural OpenAPI schema: unknown fields, which
// the API server drops, are errors; sets become uniqueItems; the rest of
// Kubernetes' own extensions (CEL among them) is left to the API server.
func strict(schema map[string]any) map[string]any {
	out := maps.Clone(schema)
	for key := range schema {
		if strings.HasPrefix(key, "x-kubernetes-") {
			delete(out, key)
		}
	}
	if schema["x-kubernetes-list-type"] == "set" {
		out["uniqueItems"] = true
	}
	if items, ok := schema["items"].(map[string]any); ok {
		out["items"] = strict(items)
	}
	if properties, ok := schema["properties"].(map[string]any); ok {
		nested := map[string]any{}
		for name, property := range properties {
			nested[name] = strict(property.(map[string]any))
		}
		out["properties"], out["additionalProperties"] = nested, false
	}
	return out
}
