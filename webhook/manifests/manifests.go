// Package manifests reads objects from a folder of files, for what runs without a
// cluster.
package manifests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Object is one document.
type Object struct {
	metav1.TypeMeta
	// JSON is the whole document.
	JSON []byte
}

// Walk visits the objects of all .yaml, .yml and .json files under the folder, file
// by file. Documents without content are left. The error lists all that is wrong,
// also what visit returns, with file and number of the document.
func Walk(folder string, visit func(Object) error) error {
	var errs []error
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			return nil
		}
		if err := walkFile(path, visit); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

func walkFile(path string, visit func(Object) error) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var errs []error
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for n := 1; ; n++ {
		document, err := reader.Read()
		if err == io.EOF {
			return errors.Join(errs...)
		}
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("document %d: %w", n, err))...)
		}
		object, err := parse(document)
		if err == nil && object != nil {
			err = visit(*object)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("document %d: %w", n, err))
		}
	}
}

// parse returns nil for a document without content.
func parse(document []byte) (*Object, error) {
	asJSON, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	var kind *metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(asJSON, &kind); err != nil || kind == nil {
		return nil, err
	}
	if kind.APIVersion == "" || kind.Kind == "" {
		return nil, errors.New("apiVersion or kind is missing")
	}
	return &Object{*kind, asJSON}, nil
}
