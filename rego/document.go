package rego

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/open-policy-agent/opa/v1/ast"
)

// sidecarVolume is the name of the sidecar's volume, as in lib/sidecar.
const sidecarVolume = "bulkhead-token"

// document is the query's input, described by schema/input.json, while it is built.
type document struct {
	shape  *shape
	fields [][2]*ast.Term
	errs   []error
}

const pods = "pods"

// documentOf names the field of the input that holds the request's object; empty for
// a resource that no rule may judge.
func documentOf(request Request) string {
	if request.Operation == Connect && request.Resource != pods {
		return ""
	}
	switch request.Resource {
	case pods:
		if request.Operation == Connect {
			return "options"
		}
		return "object"
	case "services":
		return "service"
	case "endpoints":
		return "endpoints"
	case "endpointslices":
		return "endpointSlice"
	case "persistentvolumes":
		return "persistentVolume"
	default:
		return ""
	}
}

// document builds the query's input for the selected rules, or says all that is
// wrong with it.
func (in Input) document(shape *shape, rules *ast.Term, whole bool) (ast.Value, error) {
	d := &document{shape: shape, fields: [][2]*ast.Term{
		field("rules", rules),
		field("request", in.Request.term()),
	}}
	d.add("cluster", map[string]any{
		"podCIDRs":     texts(in.Cluster.PodCIDRs),
		"serviceCIDRs": texts(in.Cluster.ServiceCIDRs),
		"nodeCIDRs":    texts(in.Cluster.NodeCIDRs),
		"tenantCIDRs":  texts(in.Cluster.TenantCIDRs),
	})
	if in.Tenant != nil {
		d.add("tenant", map[string]any{
			"name":       in.Tenant.Name,
			"namespaces": texts(in.Tenant.Namespaces),
			"cidrs":      texts(in.Tenant.CIDRs),
			"external":   in.Tenant.External,
			"networks":   texts(in.Tenant.Networks),
		})
	}
	name := documentOf(in.Request)
	object := d.decode(name, in.Object)
	d.add(name, object)
	if whole {
		d.add("whole", object)
	}
	if name != "object" {
		return d.value()
	}
	sidecar, volumes := map[string]any{"found": firstTwo(object)}, map[string]any{"found": sidecarVolumes(object)}
	if in.Request.Operation == Update {
		oldObject := d.decode("oldObject", in.OldObject)
		d.add("oldObject", oldObject)
		sidecar["before"], volumes["before"] = firstTwo(oldObject), sidecarVolumes(oldObject)
	}
	if in.Sidecar != nil {
		sidecar["expected"] = []any{
			d.decode("sidecar.init", in.Sidecar.Init),
			d.decode("sidecar.firewall", in.Sidecar.Firewall),
		}
		volumes["expected"] = []any{}
		if in.Sidecar.Volume != nil {
			volumes["expected"] = []any{d.decode("sidecar.volume", in.Sidecar.Volume)}
		}
		sidecar["volumes"] = volumes
		d.add("sidecar", sidecar)
	}
	return d.value()
}

func (d *document) value() (ast.Value, error) {
	if len(d.errs) > 0 {
		return nil, errors.Join(d.errs...)
	}
	return ast.NewObject(d.fields...), nil
}

// add adds a field of the shape.
func (d *document) add(name string, decoded map[string]any) {
	if len(d.errs) > 0 {
		return
	}
	term, err := d.shape.properties[name].shape.term(decoded)
	if err != nil {
		d.errs = append(d.errs, fmt.Errorf("%s%w", name, err))
		return
	}
	d.fields = append(d.fields, field(name, term))
}

// decode reads exactly one JSON object, with numbers as they are written.
func (d *document) decode(name string, data json.RawMessage) map[string]any {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var decoded map[string]any
	err := decoder.Decode(&decoded)
	switch {
	case err != nil:
		err = fmt.Errorf("decode JSON object: %w", err)
	case decoded == nil:
		err = errors.New("is null, not a JSON object")
	default:
		if _, trailing := decoder.Token(); trailing != io.EOF {
			err = errors.New("has data after the JSON object")
		}
	}
	if err != nil {
		d.errs = append(d.errs, fmt.Errorf("%s: %w", name, err))
	}
	return decoded
}

// firstTwo returns a pod's first two init containers, the sidecar's places. What is
// of a wrong type is for the pod's own shape to refuse.
func firstTwo(pod map[string]any) []any {
	spec, _ := pod["spec"].(map[string]any)
	containers, _ := spec["initContainers"].([]any)
	return containers[:min(len(containers), 2)]
}

// sidecarVolumes returns a pod's volumes of the sidecar's name; more than one is for
// the rules to refuse.
func sidecarVolumes(pod map[string]any) []any {
	spec, _ := pod["spec"].(map[string]any)
	all, _ := spec["volumes"].([]any)
	named := []any{}
	for _, element := range all {
		if volume, ok := element.(map[string]any); ok && volume["name"] == sidecarVolume {
			named = append(named, volume)
		}
	}
	return named
}

func texts(list []string) []any {
	result := make([]any, len(list))
	for i, text := range list {
		result[i] = text
	}
	return result
}

func (r Request) term() *ast.Term {
	groups := make([]*ast.Term, len(r.User.Groups))
	for i, group := range r.User.Groups {
		groups[i] = ast.StringTerm(group)
	}
	return ast.ObjectTerm(
		field("operation", ast.StringTerm(r.Operation)),
		field("resource", ast.StringTerm(r.Resource)),
		field("subresource", ast.StringTerm(r.Subresource)),
		field("namespace", ast.StringTerm(r.Namespace)),
		field("name", ast.StringTerm(r.Name)),
		field("user", ast.ObjectTerm(
			field("name", ast.StringTerm(r.User.Name)),
			field("groups", ast.ArrayTerm(groups...)),
		)),
	)
}

func field(name string, value *ast.Term) [2]*ast.Term {
	return [2]*ast.Term{ast.InternedTerm(name), value}
}
