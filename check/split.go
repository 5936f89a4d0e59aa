package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// document is one YAML or JSON document with content.
type document struct {
	file string
	// number counts the file's documents with content from 1, line its lines from 1.
	number, line int
	text         []byte
	json         []byte

	parse sync.Once
	node  *yamlnode.Node
}

// split cuts a file into its documents, as kubectl does: at lines that begin with ---
// and go on with nothing but a comment. JSON may follow JSON without anything between.
func split(file string, data []byte) ([]*document, error) {
	var documents []*document
	var errs []error
	start, line, first := 0, 1, 1
	cut := func(end int) {
		found, err := documentsOf(file, first, data[start:end])
		documents, errs = append(documents, found...), append(errs, err)
	}
	for at := 0; at < len(data); line++ {
		next := len(data)
		if length := bytes.IndexByte(data[at:], '\n'); length >= 0 {
			next = at + length + 1
		}
		if rest, ok := bytes.CutPrefix(data[at:next], []byte("---")); ok {
			if rest = bytes.TrimSpace(rest); len(rest) == 0 || rest[0] == '#' {
				cut(at)
				start, first = next, line+1
			}
		}
		at = next
	}
	cut(len(data))
	if len(documents) > maxObjects {
		return nil, fmt.Errorf("%s: more than %d documents: check them in parts", file, maxObjects)
	}
	for i, document := range documents {
		document.number = i + 1
	}
	return documents, errors.Join(errs...)
}

func documentsOf(file string, line int, text []byte) ([]*document, error) {
	if found := jsonDocuments(file, line, text); found != nil {
		return found, nil
	}
	d := &document{file: file, line: line, text: text}
	// Values are read as kubectl reads them (YAML 1.1: yes is true). It reads the first
	// document only, so that there must be no other.
	nodes := yamlnode.NewDecoder(bytes.NewReader(text))
	var node yamlnode.Node
	err := nodes.Decode(&node)
	if err == io.EOF {
		return nil, nil
	}
	if err == nil {
		d.json, err = yaml.YAMLToJSONStrict(text)
	}
	if err == nil && nodes.Decode(&node) != io.EOF {
		err = errors.New("a second document begins without a line --- of its own")
	}
	if err != nil {
		return nil, d.broken(err)
	}
	if string(d.json) == "null" {
		return nil, nil
	}
	return []*document{d}, nil
}

// jsonDocuments returns nil for what is not JSON alone.
func jsonDocuments(file string, line int, text []byte) []*document {
	if trimmed := bytes.TrimSpace(text); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil
	}
	var documents []*document
	counted := 0
	for decoder := json.NewDecoder(bytes.NewReader(text)); ; {
		before := decoder.InputOffset()
		var value json.RawMessage
		err := decoder.Decode(&value)
		if err == io.EOF {
			return documents
		}
		if err != nil {
			return nil
		}
		line += bytes.Count(text[counted:before], []byte("\n"))
		counted = int(before)
		documents = append(documents, &document{file: file, text: text[before:decoder.InputOffset()], json: value, line: line})
		if len(documents) > maxObjects {
			return documents // which is refused
		}
	}
}

// yamlLine is how YAML's errors give the line within the document.
var yamlLine = regexp.MustCompile(`\bline (\d+): `)

// broken puts file and line in front of a YAML error.
func (d *document) broken(err error) error {
	line, text := d.line, strings.ReplaceAll(err.Error(), "\n", " ")
	for _, noise := range []string{"error converting YAML to JSON: ", "yaml: ", "unmarshal errors:"} {
		text = strings.TrimSpace(strings.ReplaceAll(text, noise, ""))
	}
	if match := yamlLine.FindStringSubmatch(text); match != nil {
		if n, err := strconv.Atoi(match[1]); err == nil {
			line += n - 1
		}
		text = strings.Replace(text, match[0], "", 1)
	}
	if bytes.Contains(d.text, []byte("{{")) {
		text += " (a template? pipe in what helm template makes of it)"
	}
	return fmt.Errorf("%s:%d: %s", d.file, line, text)
}

// isKustomization: such a file is for kustomize, and may leave its kind out.
func (d *document) isKustomization() bool {
	name := filepath.Base(d.file)
	return name == "kustomization.yaml" || name == "kustomization.yml"
}
