package rego

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
)

// FuzzEvaluate holds that no object makes the engine panic, that an error comes alone,
// that the answer is always the same, for the canonical form too, and that a privileged container is never let
// pass.
func FuzzEvaluate(f *testing.F) {
	f.Add([]byte(readPod(f)))
	for _, seed := range []string{
		`{"spec":{"containers":[{"name":"a","securityContext":{"privileged":true}}]}}`,
		`{"spec":{"containers":null,"volumes":[{"hostPath":null}]}}`,
		`{"spec":{"containers":[{"ports":[{"hostPort":1e2}]}]}}`,
		`{"metadata":{"annotations":{"container.apparmor.security.beta.kubernetes.io/a":"x"}},"spec":{"os":{}}}`,
	} {
		f.Add([]byte(seed))
	}
	engine := newTestEngine(f, files)
	f.Fuzz(func(t *testing.T, object []byte) {
		in := podInput(string(object))
		result, err := engine.Evaluate(t.Context(), in)
		if err != nil && !reflect.DeepEqual(result, Result{}) {
			t.Errorf("a result beside the error %v: %v", err, result)
		}
		again, errAgain := engine.Evaluate(t.Context(), in)
		if (err == nil) != (errAgain == nil) || !reflect.DeepEqual(result, again) {
			t.Errorf("first %v, %v, then %v, %v", result, err, again, errAgain)
		}
		if json.Valid(object) {
			canonical, errCanonical := engine.Evaluate(t.Context(), engine.Canonical(in))
			if (err == nil) != (errCanonical == nil) || !reflect.DeepEqual(result, canonical) {
				t.Errorf("%v, %v, but of the canonical form %v, %v", result, err, canonical, errCanonical)
			}
		}
		if err == nil && len(result.Violations) == 0 && privileged(object) {
			t.Errorf("let pass: %s", object)
		}
	})
}

// privileged reads as the API server does: names of fields are case-sensitive.
func privileged(object []byte) bool {
	var pod map[string]any
	if err := json.Unmarshal(object, &pod); err != nil {
		return false
	}
	spec, _ := pod["spec"].(map[string]any)
	containers, _ := spec["containers"].([]any)
	return slices.ContainsFunc(containers, func(container any) bool {
		fields, _ := container.(map[string]any)
		security, _ := fields["securityContext"].(map[string]any)
		return security["privileged"] == true
	})
}
