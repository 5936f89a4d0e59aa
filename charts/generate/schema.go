package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"go.yaml.in/yaml/v3"
)

// definitions are the schemas that values.yaml refers to by $defs, but tenant's
// spec.
//
//go:embed definitions.json
var definitions []byte

// valuesSchema makes values.schema.json.
func valuesSchema(values []value, tenantSpec map[string]any) ([]byte, error) {
	defs := map[string]any{}
	if err := json.Unmarshal(definitions, &defs); err != nil {
		return nil, fmt.Errorf("parse definitions.json: %w", err)
	}
	defs["tenantSpec"] = tenantSpec
	properties, err := propertySchemas(values)
	if err != nil {
		return nil, err
	}
	// Helm adds it when the chart is a dependency of another.
	properties["global"] = map[string]any{"type": "object", "description": "Values that a parent chart shares. Not used."}
	schema, err := json.MarshalIndent(map[string]any{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                "Values of the chart bulkhead",
		"type":                 "object",
		"additionalProperties": false,
		"properties":           properties,
		"$defs":                defs,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the schema: %w", err)
	}
	return append(schema, '\n'), nil
}

func propertySchemas(values []value) (map[string]any, error) {
	properties := map[string]any{}
	var problems []error
	for _, v := range values {
		schema, err := v.jsonSchema()
		problems = append(problems, err)
		properties[v.name] = schema
	}
	return properties, errors.Join(problems...)
}

// jsonSchema is what the default value's type says, and the @schema lines.
func (v value) jsonSchema() (map[string]any, error) {
	schema := map[string]any{"description": v.description}
	switch v.node.Kind {
	case yaml.MappingNode:
		schema["type"] = "object"
		if v.schema == nil {
			properties, err := propertySchemas(v.children)
			if err != nil {
				return nil, err
			}
			schema["properties"], schema["additionalProperties"] = properties, false
		}
	case yaml.SequenceNode:
		schema["type"] = "array"
		if v.schema["items"] == nil {
			return nil, fmt.Errorf("values.yaml: %s: no @schema says what is in the list", v.path)
		}
	default:
		types := map[string]string{"!!str": "string", "!!int": "integer", "!!bool": "boolean", "!!float": "number"}
		jsonType, ok := types[v.node.Tag]
		if !ok {
			return nil, fmt.Errorf("values.yaml: %s: a default of type %s says nothing of its type", v.path, v.node.Tag)
		}
		schema["type"] = jsonType
	}
	maps.Copy(schema, v.schema)
	return schema, nil
}
