package v1alpha1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Load reads, defaults and validates the configuration file. The error names the
// file and all that is wrong with it.
func Load(path string) (*BulkheadConfiguration, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	config, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return config, nil
}

// Parse is Load for YAML or JSON in memory: exactly one document, no unknown and
// no doubled field.
func Parse(data []byte) (*BulkheadConfiguration, error) {
	document, err := onlyDocument(data)
	if err != nil {
		return nil, err
	}
	// YAMLToJSONStrict refuses doubled keys of YAML; kjson those of JSON.
	asJSON, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	config := &BulkheadConfiguration{}
	strict, err := kjson.UnmarshalStrict(asJSON, config)
	if err != nil {
		return nil, err
	}
	SetDefaults(config)
	if err := errors.Join(append(strict, Validate(config).ToAggregate())...); err != nil {
		return nil, err
	}
	return config, nil
}

// onlyDocument returns the one YAML document in data: a YAML decoder would read
// the first and silently leave the rest.
func onlyDocument(data []byte) ([]byte, error) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	var documents [][]byte
	for {
		document, err := reader.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read YAML: %w", err)
		}
		if len(bytes.TrimSpace(document)) > 0 {
			documents = append(documents, document)
		}
	}
	if len(documents) != 1 {
		return nil, fmt.Errorf("%d YAML documents instead of 1", len(documents))
	}
	return documents[0], nil
}
