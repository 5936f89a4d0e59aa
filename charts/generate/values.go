package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is one key of values.yaml with what its comments say.
type value struct {
	name        string
	path        string // with dots
	description string
	schema      map[string]any // of @schema lines
	node        *yaml.Node
	children    []value // of a map whose keys are values themselves
}

// readValues reads values.yaml. All values that lack a description are named at
// once.
func readValues(file string) ([]value, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the chart's values: %w", err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("parse %s: not a map", file)
	}
	return children("", document.Content[0])
}

func children(prefix string, mapping *yaml.Node) ([]value, error) {
	var all []value
	var problems []error
	for i := 0; i < len(mapping.Content); i += 2 {
		key, node := mapping.Content[i], mapping.Content[i+1]
		v := value{name: key.Value, path: prefix + key.Value, node: node}
		problems = append(problems, v.readComment(key.HeadComment))
		// A map that has its own schema is one value, however it is filled.
		if node.Kind == yaml.MappingNode && v.schema == nil {
			nested, err := children(v.path+".", node)
			problems = append(problems, err)
			v.children = nested
		}
		all = append(all, v)
	}
	return all, errors.Join(problems...)
}

func (v *value) readComment(comment string) error {
	// A blank line ends what belongs to the file, not to its first value.
	if i := strings.LastIndex(comment, "\n\n"); i >= 0 {
		comment = comment[i+2:]
	}
	var words []string
	for line := range strings.Lines(comment) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#"))
		text, found := strings.CutPrefix(line, "@schema ")
		if !found {
			words = append(words, line)
			continue
		}
		if err := json.Unmarshal([]byte(text), &v.schema); err != nil {
			return fmt.Errorf("values.yaml: %s: @schema: %w", v.path, err)
		}
	}
	v.description = strings.TrimSpace(strings.Join(words, " "))
	if v.description == "" {
		return fmt.Errorf("values.yaml: %s has no description", v.path)
	}
	return nil
}
