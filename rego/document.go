package rego

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/bulkhead-dev/bulkhead/internal/rawjson"
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
func (in Input) document(shape *shape, rules *ast.Term) (ast.Value, error) {
	d := &document{shape: shape, fields: [][2]*ast.Term{
		field("rules", rules),
		field("request", in.Request.term(shape.at("request"))),
		field("cluster", in.Cluster.term(shape.at("cluster"))),
	}}
	if in.Tenant != nil {
		d.fields = append(d.fields, field("tenant", in.Tenant.term(shape.at("tenant"))))
	}
	name := documentOf(in.Request)
	object := d.read(name, in.Object)
	d.add(name, object)
	if shape.has("whole") {
		d.add("whole", object)
	}
	if name == "object" {
		var old *rawjson.Reader
		if in.Request.Operation == Update {
			old = d.read("oldObject", in.OldObject)
			d.add("oldObject", old)
		}
		if in.Sidecar != nil {
			d.addSidecar(in.Sidecar, object, old)
		}
	}
	if len(d.errs) > 0 {
		return nil, errors.Join(d.errs...)
	}
	return ast.NewObject(d.fields...), nil
}

// addSidecar adds what there should be of the sidecar, what there is, and what there
// was in the old pod, if there is one.
func (d *document) addSidecar(sidecar *Sidecar, pod, old *rawjson.Reader) {
	containers := []*rawjson.Reader{d.read("sidecar.init", sidecar.Init), d.read("sidecar.firewall", sidecar.Firewall)}
	var volumes []*rawjson.Reader
	if sidecar.Volume != nil {
		volumes = append(volumes, d.read("sidecar.volume", sidecar.Volume))
	}
	if len(d.errs) > 0 {
		return
	}
	var fields, volumeFields [][2]*ast.Term
	var knownContainers, knownVolumes []known
	add := func(when string, containers, volumes []*rawjson.Reader) {
		var containerTerms, volumeTerms *ast.Term
		containerTerms, knownContainers = d.list(knownContainers, containers, "sidecar", when)
		volumeTerms, knownVolumes = d.list(knownVolumes, volumes, "sidecar", "volumes", when)
		fields = append(fields, field(when, containerTerms))
		volumeFields = append(volumeFields, field(when, volumeTerms))
	}
	add("expected", containers, volumes)
	add("found", firstTwo(pod), sidecarVolumes(pod))
	if old != nil {
		add("before", firstTwo(old), sidecarVolumes(old))
	}
	d.fields = append(d.fields, field("sidecar", ast.ObjectTerm(append(fields, field("volumes", ast.ObjectTerm(volumeFields...)))...)))
}

// known is a value that is a term already, of the same shape.
type known struct {
	data []byte
	term *ast.Term
}

// list reads the elements of the array at a path of the shape. What is known already,
// byte by byte, as the genuine sidecar is most times, is not read again; list returns
// what is known after it.
func (d *document) list(before []known, values []*rawjson.Reader, path ...string) (*ast.Term, []known) {
	at := d.shape
	for _, name := range path {
		at = at.properties[name].shape
	}
	terms := make([]*ast.Term, len(values))
	for i, value := range values {
		data := value.Raw()
		if same := slices.IndexFunc(before, func(k known) bool { return bytes.Equal(k.data, data) }); same >= 0 {
			terms[i] = before[same].term
			continue
		}
		var err error
		if terms[i], err = at.items.term(value); err != nil {
			d.errs = append(d.errs, fmt.Errorf("%s[%d]%w", strings.Join(path, "."), i, err))
			return nil, before
		}
		before = append(before, known{data, terms[i]})
	}
	return ast.ArrayTerm(terms...), before
}

// add adds a field of the shape.
func (d *document) add(name string, value *rawjson.Reader) {
	if len(d.errs) > 0 {
		return
	}
	again := *value
	term, err := d.shape.properties[name].shape.term(&again)
	if err != nil {
		d.errs = append(d.errs, fmt.Errorf("%s%w", name, err))
		return
	}
	d.fields = append(d.fields, field(name, term))
}

// read takes exactly one JSON object.
func (d *document) read(name string, data json.RawMessage) *rawjson.Reader {
	value, err := rawjson.New(data)
	if err != nil {
		err = fmt.Errorf("decode JSON object: %w", err)
	} else if kind := value.Kind(); kind != "object" {
		err = fmt.Errorf("is of type %s, not object", kind)
	}
	if err != nil {
		d.errs = append(d.errs, fmt.Errorf("%s: %w", name, err))
	}
	return value
}

// firstTwo returns a pod's first two init containers, the sidecar's places. What is
// of a wrong type is for the pod's own shape to refuse.
func firstTwo(pod *rawjson.Reader) []*rawjson.Reader {
	return pod.Member("spec", "initContainers").Elements(2)
}

// sidecarVolumes returns a pod's volumes of the sidecar's name; more than one is for
// the rules to refuse.
func sidecarVolumes(pod *rawjson.Reader) []*rawjson.Reader {
	var named []*rawjson.Reader
	for _, volume := range pod.Member("spec", "volumes").Elements(math.MaxInt) {
		if name := volume.Member("name"); name != nil && name.Kind() == "string" && name.Text() == sidecarVolume {
			named = append(named, volume)
		}
	}
	return named
}

func (t *Tenant) term(shape *shape) *ast.Term {
	return shape.keep(
		field("name", ast.StringTerm(t.Name)),
		field("namespaces", texts(t.Namespaces)),
		field("cidrs", texts(t.CIDRs)),
		field("external", ast.InternedTerm(t.External)),
		field("networks", texts(t.Networks)),
	)
}

func (c Cluster) term(shape *shape) *ast.Term {
	return shape.keep(
		field("podCIDRs", texts(c.PodCIDRs)),
		field("serviceCIDRs", texts(c.ServiceCIDRs)),
		field("nodeCIDRs", texts(c.NodeCIDRs)),
		field("tenantCIDRs", texts(c.TenantCIDRs)),
	)
}

func texts(list []string) *ast.Term {
	terms := make([]*ast.Term, len(list))
	for i, text := range list {
		terms[i] = ast.StringTerm(text)
	}
	return ast.ArrayTerm(terms...)
}

func (r Request) term(shape *shape) *ast.Term {
	user := shape.at("user")
	return shape.keep(
		field("operation", ast.StringTerm(r.Operation)),
		field("resource", ast.StringTerm(r.Resource)),
		field("subresource", ast.StringTerm(r.Subresource)),
		field("namespace", ast.StringTerm(r.Namespace)),
		field("name", ast.StringTerm(r.Name)),
		field("user", user.keep(
			field("name", ast.StringTerm(r.User.Name)),
			field("groups", texts(r.User.Groups)),
		)),
	)
}

func field(name string, value *ast.Term) [2]*ast.Term {
	return [2]*ast.Term{ast.InternedTerm(name), value}
}
