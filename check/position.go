package check

import (
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// lineOf is the line of a field, or of the nearest thing above it that is there. Where
// container is not empty and the path leads through a container of another name, what is
// meant is not in the file, as the sidecar is not: then it is the object's own line.
func (d *document) lineOf(path, container string) int {
	node := d.root()
	if node == nil {
		return d.line
	}
	line, list := node.Line, ""
	object := line
	for _, step := range steps(path) {
		key, value := child(node, step)
		if value == nil {
			break
		}
		if isContainers(list) && container != "" && scalar(value, "name") != container {
			return d.line + object - 1
		}
		if list == "items" {
			object = key.Line
		}
		line, node, list = key.Line, value, step
		for node.Kind == yamlnode.AliasNode {
			node = node.Alias
		}
	}
	return d.line + line - 1
}

// root is the document's content with its lines, counted from the document's first; nil
// for JSON that is no YAML.
func (d *document) root() *yamlnode.Node {
	d.parse.Do(func() {
		var node yamlnode.Node
		if err := yamlnode.Unmarshal(d.text, &node); err == nil && len(node.Content) > 0 {
			d.node = node.Content[0]
		}
	})
	return d.node
}

func isContainers(name string) bool {
	return name == "containers" || name == "initContainers" || name == "ephemeralContainers"
}

// child returns the node whose place is that of the child, and the child.
func child(node *yamlnode.Node, step string) (key, value *yamlnode.Node) {
	switch node.Kind {
	case yamlnode.SequenceNode:
		if n, err := strconv.Atoi(step); err == nil && n >= 0 && n < len(node.Content) {
			return node.Content[n], node.Content[n]
		}
	case yamlnode.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i], node.Content[i+1]
			}
		}
	}
	return nil, nil
}

func scalar(node *yamlnode.Node, name string) string {
	if _, value := child(node, name); value != nil && value.Kind == yamlnode.ScalarNode {
		return value.Value
	}
	return ""
}

// steps splits a path such as spec.containers[0].env or metadata.annotations["a.b/c"].
func steps(path string) []string {
	var all []string
	for path != "" {
		var step string
		switch {
		case path[0] == '.':
			path = path[1:]
			continue
		case strings.HasPrefix(path, `["`):
			step, path, _ = strings.Cut(path[2:], `"]`)
		case path[0] == '[':
			step, path, _ = strings.Cut(path[1:], "]")
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			step, path = path[:end], path[end:]
		}
		all = append(all, step)
	}
	return all
}
