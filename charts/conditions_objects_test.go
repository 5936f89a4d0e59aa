package charts

import (
	"cmp"
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"sigs.k8s.io/yaml"
)

// TestWhatTheWebhookIsAskedAbout: all that rules may find something in, and no more
// where the cluster's own controllers write much.
func TestWhatTheWebhookIsAskedAbout(t *testing.T) {
	const (
		endpointSlices = "system:serviceaccount:kube-system:endpointslice-controller"
		mirroring      = "system:serviceaccount:kube-system:endpointslicemirroring-controller"
	)
	matchers := map[string]matchconditions.Matcher{}
	for _, webhook := range []string{"services", "volumes", "namespaces", "templates"} {
		matchers[webhook] = conditions(t, webhook+".validate.bulkhead.dev")
	}
	for name, test := range map[string]struct {
		webhook, resource, user string
		object, old             string // old: an update
		asked                   bool
	}{
		"a Service":                 {"services", "services", "", "spec: {externalIPs: [10.0.0.1]}", "", true},
		"its labels":                {"services", "services", "", "{metadata: {labels: {a: b}}, spec: {type: ClusterIP}}", "spec: {type: ClusterIP}", false},
		"its status":                {"services", "services", "", "{spec: {type: LoadBalancer}, status: {a: b}}", "spec: {type: LoadBalancer}", false},
		"its type":                  {"services", "services", "", "spec: {type: ExternalName}", "spec: {type: ClusterIP}", true},
		"Endpoints":                 {"services", "endpoints", "", "subsets: [{addresses: [{ip: 10.0.0.1}]}]", "subsets: []", true},
		"new Endpoints":             {"services", "endpoints", "", "subsets: [{addresses: [{ip: 10.0.0.1}]}]", "", true},
		"the same Endpoints":        {"services", "endpoints", "", "{metadata: {finalizers: [a/b]}, subsets: []}", "subsets: []", false},
		"a slice":                   {"services", "endpointslices", "mallory", "endpoints: [{addresses: [10.0.0.1]}]", "endpoints: []", true},
		"a slice, derived":          {"services", "endpointslices", endpointSlices, "endpoints: [{addresses: [10.0.0.1]}]", "endpoints: []", false},
		"a slice's ports":           {"services", "endpointslices", "mallory", "{endpoints: [], ports: [{port: 4789, protocol: UDP}]}", "{endpoints: [], ports: [{port: 80}]}", true},
		"a slice, mirrored":         {"services", "endpointslices", mirroring, "endpoints: [{addresses: [10.0.0.1]}]", "endpoints: []", true},
		"a Service by a controller": {"services", "services", endpointSlices, "spec: {type: ExternalName}", "", true},
		"a claimed hostPath":        {"volumes", "persistentvolumes", "", "spec: {hostPath: {path: /}, claimRef: {namespace: a}}", "", true},
		"a claimed folder":          {"volumes", "persistentvolumes", "", "spec: {local: {path: /}, claimRef: {namespace: a}}", "", true},
		"a hostPath, bound":         {"volumes", "persistentvolumes", "", "spec: {hostPath: {path: /}, claimRef: {namespace: a}}", "spec: {hostPath: {path: /}}", true},
		"a hostPath for nobody":     {"volumes", "persistentvolumes", "", "spec: {hostPath: {path: /}}", "", false},
		"a disk":                    {"volumes", "persistentvolumes", "", "spec: {csi: {driver: a}, claimRef: {namespace: a}}", "", false},
		"a finalizer":               {"volumes", "persistentvolumes", "", "{metadata: {finalizers: []}, spec: {hostPath: {path: /}, claimRef: {namespace: a}}}", "spec: {hostPath: {path: /}, claimRef: {namespace: a}}", false},
		"a namespace":               {"namespaces", "namespaces", "", "metadata: {name: a}", "", false},
		"other labels":              {"namespaces", "namespaces", "", "metadata: {labels: {a: b}}", "", false},
		"a level":                   {"namespaces", "namespaces", "", "metadata: {labels: {pod-security.kubernetes.io/enforce: baseline}}", "", true},
		"a workload":                {"templates", "deployments", "", "spec: {template: {spec: {}}}", "", true},
		"its scale":                 {"templates", "deployments", "", "spec: {replicas: 2, template: {spec: {}}}", "spec: {replicas: 1, template: {spec: {}}}", false},
		"its template":              {"templates", "deployments", "", "spec: {template: {spec: {hostPID: true}}}", "spec: {template: {spec: {}}}", true},
		"a CronJob's template":      {"templates", "cronjobs", "", "spec: {jobTemplate: {spec: {template: {spec: {hostPID: true}}}}}", "spec: {jobTemplate: {spec: {template: {spec: {}}}}}", true},
		"its schedule":              {"templates", "cronjobs", "", "spec: {schedule: a, jobTemplate: {spec: {}}}", "spec: {schedule: b, jobTemplate: {spec: {}}}", false},
		"a PodTemplate's":           {"templates", "podtemplates", "", "template: {spec: {hostPID: true}}", "template: {spec: {}}", true},
	} {
		t.Run(name, func(t *testing.T) {
			parse := func(text string) runtime.Object {
				object := map[string]any{"apiVersion": "v1", "kind": "Some", "metadata": map[string]any{"name": "a"}}
				data, err := yaml.YAMLToJSON([]byte(text))
				if err != nil {
					t.Fatal(err)
				}
				if err := json.Unmarshal(data, &object); err != nil {
					t.Fatal(err)
				}
				return &unstructured.Unstructured{Object: object}
			}
			operation, object, old := admission.Create, parse(test.object), runtime.Object(nil)
			if test.old != "" {
				operation, old = admission.Update, parse(test.old)
			}
			kind := schema.GroupVersionKind{Version: "v1", Kind: "Some"}
			attributes := admission.NewAttributesRecord(object, old, kind, "a", "a", schema.GroupVersionResource{Version: "v1", Resource: test.resource},
				"", operation, nil, false, &user.DefaultInfo{Name: cmp.Or(test.user, "anna")})
			versioned, err := admission.NewVersionedAttributes(attributes, kind, nil)
			if err != nil {
				t.Fatal(err)
			}
			result := matchers[test.webhook].Match(t.Context(), versioned, nil, authorizerfactory.NewAlwaysAllowAuthorizer())
			if result.Error != nil || result.Matches != test.asked {
				t.Errorf("asked: %t, %v", result.Matches, result.Error)
			}
		})
	}
}
