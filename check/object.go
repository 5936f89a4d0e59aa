package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
)

// object is one object: a document, or an item of a List.
type object struct {
	*document
	// path leads from the document to the object; empty for the document itself.
	path string
	metav1.TypeMeta
	meta metadata
	json []byte
	// namespace is where it goes; empty for what belongs to none.
	namespace string
}

// maxNesting bounds Lists in Lists, each of which is decoded anew.
const maxNesting = 4

// metadata is what of an object's tells it from others. The rest is not read here: what is
// wrong with it is a finding, not the end of the run.
type metadata struct {
	Name         string `json:"name"`
	GenerateName string `json:"generateName"`
	Namespace    string `json:"namespace"`
}

// objects returns the document's object, or the items of its List.
func (d *document) objects() ([]*object, error) {
	return d.objectsAt("", d.json, metav1.TypeMeta{})
}

// objectsAt: items of typed lists may leave out their kind, which is then known.
func (d *document) objectsAt(path string, raw []byte, known metav1.TypeMeta) ([]*object, error) {
	var list struct {
		metav1.TypeMeta `json:",inline"`
		Items           *[]json.RawMessage `json:"items"`
	}
	if err := decode(raw, &list); err != nil {
		return nil, d.wrong(path, err)
	}
	if list.Kind == "" && list.APIVersion == "" {
		list.TypeMeta = known
	}
	if list.Kind == "" && d.isKustomization() {
		list.TypeMeta = metav1.TypeMeta{APIVersion: "kustomize.config.k8s.io/v1beta1", Kind: "Kustomization"}
	}
	if list.APIVersion == "" || list.Kind == "" {
		return nil, d.wrong(path, errors.New("apiVersion or kind is missing: is it a Kubernetes manifest?"))
	}
	if kind, ok := strings.CutSuffix(list.Kind, "List"); ok && list.Items != nil {
		known := metav1.TypeMeta{APIVersion: list.APIVersion, Kind: kind}
		if kind == "" {
			known = metav1.TypeMeta{}
		}
		if len(*list.Items) > maxObjects || strings.Count(path, "items[") > maxNesting {
			return nil, d.wrong(path, fmt.Errorf("a List of more than %d items, or in more than %d Lists", maxObjects, maxNesting))
		}
		var objects []*object
		var errs []error
		for i, item := range *list.Items {
			found, err := d.objectsAt(strings.TrimPrefix(fmt.Sprintf("%s.items[%d]", path, i), "."), item, known)
			objects, errs = append(objects, found...), append(errs, err)
		}
		return objects, errors.Join(errs...)
	}
	return d.object(path, raw, list.TypeMeta)
}

func (d *document) object(path string, raw []byte, kind metav1.TypeMeta) ([]*object, error) {
	var head struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metadata `json:"metadata"`
	}
	if err := decode(raw, &head); err != nil {
		return nil, d.wrong(path, err)
	}
	o := &object{document: d, path: path, json: raw, TypeMeta: kind, meta: head.Metadata}
	if head.TypeMeta != kind {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return nil, d.wrong(path, err)
		}
		fields["apiVersion"], fields["kind"] = quoted(kind.APIVersion), quoted(kind.Kind)
		var err error
		if o.json, err = json.Marshal(fields); err != nil {
			return nil, d.wrong(path, err)
		}
	}
	o.namespace = o.meta.Namespace
	return []*object{o}, nil
}

// wrongPart is how the decoder tells of a value of a wrong type, in words of Go.
var wrongPart = regexp.MustCompile(`cannot unmarshal (\w+) into Go (?:struct field \w*\.(?:TypeMeta\.)?(\S+) )?`)

// decode reads the part of an object that all kinds have in common.
func decode(raw []byte, into any) error {
	err := kjson.UnmarshalCaseSensitivePreserveInts(raw, into)
	if err == nil {
		return nil
	}
	switch match := wrongPart.FindStringSubmatch(err.Error()); {
	case match == nil:
		return err
	case match[2] == "":
		return fmt.Errorf("a %s and no object: is it a Kubernetes manifest?", match[1])
	default:
		return fmt.Errorf("%s is of the wrong type, a %s", match[2], match[1])
	}
}

func quoted(text string) json.RawMessage {
	encoded, _ := json.Marshal(text) // a string always can be
	return encoded
}

func (d *document) wrong(path string, err error) error {
	return fmt.Errorf("%s:%d: document %d: %w", d.file, d.lineOf(path, ""), d.number, err)
}

// is tells whether the object is of a kind.
func (o *object) is(apiVersion, kind string) bool {
	return o.APIVersion == apiVersion && o.Kind == kind
}

// name is the object's name, a generated one with a star.
func (o *object) name() string {
	if o.meta.Name == "" {
		return o.meta.GenerateName + "*"
	}
	return o.meta.Name
}
