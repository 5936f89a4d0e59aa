package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/webhook"
)

// PSA's fixtures are a set of those that pass their level and one of those that fail
// it; each ordinary pod is a set of its own.
const (
	passingSet = "psa_fixtures_pass"
	failingSet = "psa_fixtures_fail"
)

// levels are those of the Pod Security Standards that refuse anything. A namespace of
// the same name is held to each, and is a tenant's.
var levels = [...]string{"baseline", "restricted"}

// sample is a workload's pod and the reviews that are asked of it, with marks in what
// differs between pods.
type sample struct {
	set, level string
	pod        json.RawMessage
	// create is the review of the pod as the user sent it, mutated the one of what
	// Bulkhead made of it.
	create, mutated []byte
}

// The marks are letters that Kubernetes draws names from.
const (
	// podMark stands in what is each pod's own: its name and uid, and the name of the
	// volume of its token.
	podMark = "zzzzz"
	// templateMark stands in an annotation that a new rollout changes.
	templateMark = "qqqqq"
	letters      = "bcdfghjklmnpqrstvwxz2456789"
)

// newTemplates: one in so many pods is the first of a new rollout, the others are
// replicas of pods that were reviewed before.
const newTemplates = 20

// next is the review of one more pod.
func next(review []byte) []byte {
	review = bytes.ReplaceAll(review, []byte(podMark), fiveLetters())
	if rand.IntN(newTemplates) == 0 {
		review = bytes.ReplaceAll(review, []byte(templateMark), fiveLetters())
	}
	return review
}

func fiveLetters() []byte {
	drawn := make([]byte, 5)
	for i := range drawn {
		drawn[i] = letters[rand.IntN(len(letters))]
	}
	return drawn
}

// mark gives a pod what the API server and a workload's controller would.
func mark(pod json.RawMessage) (json.RawMessage, error) {
	var fields map[string]any
	if err := json.Unmarshal(pod, &fields); err != nil {
		return nil, err
	}
	metadata := fields["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	metadata["name"], metadata["generateName"] = name+"-"+podMark, name+"-"
	metadata["uid"], metadata["creationTimestamp"] = "7fe3b8d0-51c1-4a0e-9a6f-0c2a17e"+podMark, "2026-11-22T00:00:00Z"
	annotations, ok := metadata["annotations"].(map[string]any)
	if !ok {
		annotations = map[string]any{}
		metadata["annotations"] = annotations
	}
	annotations["kubectl.kubernetes.io/restartedAt"] = templateMark
	return json.Marshal(fields)
}

// ordinary are pods as the API server sends them, by name. The giant is made here.
//
//go:embed pods.yaml
var ordinary []byte

// newDeck returns PSA's fixtures at the latest version, and as many ordinary pods.
func newDeck(ctx context.Context, ours *bulkhead) ([]sample, error) {
	fixtures, err := fixturePods(ctx)
	if err != nil {
		return nil, fmt.Errorf("PSA's fixtures: %w", err)
	}
	plain, err := ordinaryPods()
	if err != nil {
		return nil, fmt.Errorf("ordinary pods: %w", err)
	}
	deck := fixtures
	for i := range fixtures {
		deck = append(deck, plain[i%len(plain)])
	}
	for i := range deck {
		if err := deck[i].ask(ours); err != nil {
			return nil, fmt.Errorf("%s: %w", deck[i].set, err)
		}
	}
	return deck, nil
}

// fixturePods are the golden files of k8s.io/pod-security-admission/test.
func fixturePods(ctx context.Context) ([]sample, error) {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	module, err := moduleVersion("k8s.io/pod-security-admission")
	if err != nil {
		return nil, err
	}
	// Version 0.N of the module is of Kubernetes 1.N.
	version := "v1." + strings.Split(module, ".")[1]
	var samples []sample
	for _, level := range levels {
		paths, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "test", "testdata", level, version, "*", "*.yaml"))
		if err != nil {
			return nil, err
		}
		if len(paths) == 0 {
			return nil, fmt.Errorf("none of level %s and version %s in %s", level, version, dir)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			pod, err := yaml.YAMLToJSON(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			set := passingSet
			if filepath.Base(filepath.Dir(path)) == "fail" {
				set = failingSet
			}
			samples = append(samples, sample{set: set, level: level, pod: pod})
		}
	}
	return samples, nil
}

func ordinaryPods() ([]sample, error) {
	var pods map[string]map[string]any
	if err := yaml.Unmarshal(ordinary, &pods); err != nil {
		return nil, err
	}
	pods["giant_40_containers"] = giant(pods["web"])
	var samples []sample
	for _, name := range slices.Sorted(maps.Keys(pods)) {
		pod, err := json.Marshal(pods[name])
		if err != nil {
			return nil, err
		}
		samples = append(samples, sample{set: name, level: levels[0], pod: pod})
	}
	return samples, nil
}

// giant has the pod's container 40 times.
func giant(pod map[string]any) map[string]any {
	spec := maps.Clone(pod["spec"].(map[string]any))
	container := spec["containers"].([]any)[0].(map[string]any)
	var containers []any
	for i := range 40 {
		another := maps.Clone(container)
		another["name"] = fmt.Sprintf("web-%d", i)
		containers = append(containers, another)
	}
	spec["containers"] = containers
	large := maps.Clone(pod)
	large["spec"] = spec
	return large
}

// ask fills in the reviews.
func (s *sample) ask(ours *bulkhead) error {
	var err error
	if s.pod, err = mark(s.pod); err != nil {
		return err
	}
	if s.create, err = reviewOf(s.level, s.pod); err != nil {
		return err
	}
	response, err := ours.ask(webhook.MutatePath, s.create)
	if err != nil {
		return err
	}
	s.mutated = s.create
	if response.Patch == nil {
		return nil
	}
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		return err
	}
	mutated, err := patch.Apply(s.pod)
	if err != nil {
		return err
	}
	s.mutated, err = reviewOf(s.level, mutated)
	return err
}

// reviewOf is the AdmissionReview of a pod's creation, as the API server sends it.
func reviewOf(namespace string, pod json.RawMessage) ([]byte, error) {
	kind := metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}
	resource := metav1.GroupVersionResource{Version: "v1", Resource: "pods"}
	return json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID:  "705ab4f5-6393-11e8-b7cc-42010a800002",
			Kind: kind, RequestKind: &kind,
			Resource: resource, RequestResource: &resource,
			Operation: admissionv1.Create,
			Namespace: namespace,
			UserInfo: authenticationv1.UserInfo{
				Username: "system:serviceaccount:kube-system:replicaset-controller",
				UID:      "a7e0ab33-5f29-11e8-8a3c-36e6bb280816",
				Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"},
			},
			Object:  runtime.RawExtension{Raw: pod},
			DryRun:  new(bool),
			Options: runtime.RawExtension{Raw: []byte(`{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}`)},
		},
	})
}
