package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplit(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string // number:line JSON
	}{
		"one":                    {"a: 1", []string{`1:1 {"a":1}`}},
		"two":                    {"a: 1\n---\nb: 2\n", []string{`1:1 {"a":1}`, `2:3 {"b":2}`}},
		"empty ones between":     {"---\n# c\n---\na: 1\n---\n---   # c\nb: 2\n---\n", []string{`1:4 {"a":1}`, `2:7 {"b":2}`}},
		"Windows":                {"a: 1\r\n---\r\nb: 2\r\n", []string{`1:1 {"a":1}`, `2:3 {"b":2}`}},
		"YAML 1.1, as kubectl":   {"a: yes\nb: 0400\nc: 1e3\n", []string{`1:1 {"a":true,"b":256,"c":1000}`}},
		"no separator in a text": {"a: |\n  ---\n  b\n", []string{`1:1 {"a":"---\nb\n"}`}},
		"JSON after JSON":        {"{\"a\":\n1}\n{\"b\":\t2}{}", []string{"1:1 {\"a\":\n1}", "2:2 {\"b\":\t2}", "3:3 {}"}},
		"no JSON":                {"{a: 1}", []string{`1:1 {"a":1}`}},
		"null":                   {"null\n---\n~\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			documents, err := split("f", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range documents {
				got = append(got, fmt.Sprintf("%d:%d %s", d.number, d.line, d.json))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestLineOf(t *testing.T) {
	documents, err := split("f", []byte(strings.TrimPrefix(`
# first
kind: Pod
---
metadata:
  annotations:
    a.b/c[d]: x
spec: &spec
  containers:
  - name: one
    env:
    - name: two
      value: x
  - {name: three,
     image: a}
again: *spec
`, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path, container string
		want            int
	}{
		{"", "", 4},
		{"metadata.annotations", "", 5},
		{`metadata.annotations["a.b/c[d]"]`, "", 6},
		{`metadata.annotations["none"]`, "", 5},
		{"spec.containers[0].env[0].value", "one", 12},
		{"spec.containers[1].image", "three", 14},
		{"spec.containers[1].securityContext.privileged", "three", 13},
		{"spec.containers[2].image", "", 8},
		{"spec.containers[0].image", "sidecar", 4},
		{"again.containers[1].image", "", 14},
		{"nothing", "", 4},
		{"..[[", "", 4},
	} {
		if got := documents[1].lineOf(test.path, test.container); got != test.want {
			t.Errorf("%s: line %d, want %d", test.path, got, test.want)
		}
	}
}

// TestObjects: Lists are taken apart, and what is only called one is not.
func TestObjects(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"a List in a List": {"{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod}]}]}", []string{"items[0].items[0] v1 Pod"}},
		"a typed List":     {"{apiVersion: apps/v1, kind: DeploymentList, items: [{}, {apiVersion: v1, kind: Pod}]}", []string{"items[0] apps/v1 Deployment", "items[1] v1 Pod"}},
		"a kind named so":  {"{apiVersion: example.com/v1, kind: AllowList, spec: {}}", []string{" example.com/v1 AllowList"}},
	} {
		t.Run(name, func(t *testing.T) {
			documents, err := split("f", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			objects, err := documents[0].objects()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range objects {
				got = append(got, o.path+" "+o.APIVersion+" "+o.Kind)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// FuzzRead: whatever is read, nothing of it is lost: there is an error, or no content, or
// objects with kinds and lines that exist.
func FuzzRead(f *testing.F) {
	for _, text := range []string{"a: 1\n---\nb: [", "--- {}\n", `{"kind":"List","apiVersion":"v1","items":[{}]}`, "kind: PodList\napiVersion: v1\nitems: [{a: *b}]", "\xef\xbb\xbfa: 1", "a: &a [*a]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		documents, err := split("f", []byte(text))
		if err != nil {
			return
		}
		for _, d := range documents {
			objects, err := d.objects()
			if err != nil {
				continue
			}
			for _, o := range objects {
				if o.Kind == "" || o.APIVersion == "" || len(o.json) == 0 {
					t.Errorf("object without kind: %+v", o.TypeMeta)
				}
				if line := o.lineOf(o.path, ""); line < 1 || line > strings.Count(text, "\n")+1 {
					t.Errorf("line %d", line)
				}
			}
		}
	})
}
