package rego

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A pod with the token's volume, in which TOKEN is its name.
const tokenPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1","annotations":{"a":"b"}},"spec":{` +
	`"volumes":[{"name":"TOKEN","projected":{"sources":[]}},{"name":"data","emptyDir":{}}],` +
	`"initContainers":[{"name":"i","volumeMounts":[{"name":"TOKEN","mountPath":"/t"}]}],` +
	`"containers":[{"name":"c","volumeMounts":[{"name":"data","mountPath":"/TOKEN"},{"name":"TOKEN","mountPath":"/t"}]}]}}`

func token(name string) string { return strings.ReplaceAll(tokenPod, "TOKEN", name) }

// with is tokenPod with another text in the place of one that it has once.
func with(t testing.TB, old, changed string) string {
	t.Helper()
	if strings.Count(tokenPod, old) != 1 {
		t.Fatalf("%q is not there once", old)
	}
	return strings.Replace(tokenPod, old, changed, 1)
}

// TestCanonicalForm holds what is the same for all pods of a workload, and what never
// is: there the form is the pod itself, byte by byte.
func TestCanonicalForm(t *testing.T) {
	engine := newTestEngine(t, files)
	const own = "" // the pod itself
	for name, test := range map[string]struct{ pod, want string }{
		"generated": {
			`{"metadata":{"name":"a-b","generateName":"a-","uid":"u","creationTimestamp":"2026-11-22T00:00:00Z","labels":{"x":"y"},` +
				`"managedFields":[{"time":"t"}],"annotations":{"k":"v"},"generation":1},"spec":{"hostname":"a-0"}}`,
			`{"metadata":{"name":"","generateName":"","uid":"","creationTimestamp":"","labels":{},` +
				`"managedFields":[],"annotations":{"k":"v"},"generation":1},"spec":{"hostname":""}}`,
		},
		"token": {
			token("kube-api-access-b2c4d"),
			strings.Replace(strings.Replace(token("kube-api-access-xxxxx"), `"web-1"`, `""`, 1), "/kube-api-access-xxxxx", "/kube-api-access-b2c4d", 1),
		},
		"claims and nodes": {
			`{"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","values":["n1"]}]}]}}},` +
				`"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"d-0"}}]}}`,
			`{"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","values":[""]}]}]}}},` +
				`"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":""}}]}}`,
		},
		"white space":            {"{ \"metadata\" : {\n\"name\" :\t\"a\" } }", "{ \"metadata\" : {\n\"name\" :\t\"\" } }"},
		"doubled fields":         {`{"metadata":{"name":"a","name":"b"},"metadata":{"uid":"c"}}`, `{"metadata":{"name":"","name":""},"metadata":{"uid":""}}`},
		"other case":             {`{"Metadata":{"name":"a"},"spec":{"Hostname":"h","HOSTNAME":"h"}}`, own},
		"name with an escape":    {`{"\u006detadata":{"name":"a"},"metadata":{"annot\u0061tions":{"a":"b"},"n\u0061me":"a"}}`, own},
		"annotations":            {`{"metadata":{"annotations":{"name":"a","uid":"b"}}}`, own},
		"other types":            {`{"metadata":{"name":1,"uid":null,"generateName":true},"spec":{"hostname":{"a":1},"volumes":{"name":"x"}}}`, own},
		"metadata is a list":     {`{"metadata":[{"name":"a"}],"spec":[{"hostname":"a"}]}`, own},
		"invalid UTF-8":          {"{\"metadata\xff\":{\"name\":\"a\"},\"spec\":{\"hostname\xff\":\"a\"}}", own},
		"volume of the tenant's": {`{"spec":{"volumes":[{"name":"kube-api-access-short","emptyDir":{}}]}}`, own},
		"letters never drawn":    {`{"spec":{"volumes":[{"name":"kube-api-access-aeiou","projected":{}}]}}`, own},
		"not a projected one":    {`{"spec":{"volumes":[{"name":"kube-api-access-bbbbb","hostPath":{"path":"/"}}]}}`, own},
		"projected and more":     {`{"spec":{"volumes":[{"name":"kube-api-access-bbbbb","hostPath":{"path":"/"},"projected":{}}]}}`, own},
		"two of one name":        {`{"spec":{"volumes":[{"name":"kube-api-access-bbbbb","projected":{}},{"name":"kube-api-access-bbbbb","hostPath":{}}]}}`, own},
		"the canonical name is there": {
			`{"spec":{"volumes":[{"name":"kube-api-access-bbbbb","projected":{}},{"name":"kube-api-access-xxxxx","hostPath":{}}]}}`, own,
		},
		"the canonical name is there, escaped": {
			`{"spec":{"volumes":[{"name":"kube-api-access-bbbbb","projected":{}}],"initContainers":[{"volumeMounts":[{"name":"kube-api-access-\u0078xxxx"}]}]}}`, own,
		},
		"no object": {`[1]`, own},
		"nested":    {strings.Repeat(`{"spec":`, 5000) + `1` + strings.Repeat(`}`, 5000), own},
	} {
		t.Run(name, func(t *testing.T) {
			want := test.want
			if want == own {
				want = test.pod
			}
			in := podInput(test.pod)
			if got := engine.Canonical(in); string(got.Object) != want {
				t.Errorf("got  %s\nwant %s", got.Object, want)
			}
			if string(in.Object) != test.pod {
				t.Error("the original is changed")
			}
		})
	}
}

// TestCanonicalKeepsApart: what a rule or the API server could take for different has
// different forms.
func TestCanonicalKeepsApart(t *testing.T) {
	engine := newTestEngine(t, files)
	forms := map[string]string{}
	for _, pod := range []string{
		token("kube-api-access-bbbbb"),
		token("kube-api-access-xxxx"),
		token("data2"),
		strings.Replace(token("kube-api-access-bbbbb"), `"projected"`, `"hostPath"`, 1),
		strings.Replace(token("kube-api-access-bbbbb"), `"name":"kube-api-access-bbbbb","mountPath":"/t"`, `"name":"data","mountPath":"/t"`, 1),
		with(t, `"a":"b"`, `"a":"c"`),
		with(t, `"name":"c"`, `"name":"C"`),
		with(t, `"name":"c"`, `"Name":"c"`),
		with(t, `"name":"c"`, `"name":"c","name":"c"`),
		with(t, `"name":"c"`, `"name":"c","unknown":1`),
		with(t, `"name":"c"`, `"name":"c","unknown":1.0`),
		with(t, `"name":"c"`, `"name":"c","unknown":1e0`),
		with(t, `"name":"c"`, "\"name\":\"c\xff\""),
		with(t, `"name":"c"`, `"name":"c\ufffd"`),
		with(t, `"name":"c"`, `"name":"\u0063"`),
		with(t, `"emptyDir":{}`, `"emptyDir":{"medium":""}`),
		with(t, `"metadata":{"name"`, `"metadata":{"Name"`),
		with(t, `"metadata":{`, `"metadata":{"name":"x",`),
		with(t, `"metadata":{`, `"metadata":{},"metadata":{`),
	} {
		form := string(engine.Canonical(podInput(pod)).Object)
		if other, known := forms[form]; known {
			t.Errorf("one form of\n%s\n%s", other, pod)
		}
		forms[form] = pod
	}
}

// TestCanonicalIsUnread holds every place that is left empty against the schema: no
// rule can read there, custom ones included.
func TestCanonicalIsUnread(t *testing.T) {
	schema, err := fs.ReadFile(files, schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	root, err := parseShape(schema)
	if err != nil {
		t.Fatal(err)
	}
	places := 0
	var walk func(at *place, read *shape, path string)
	walk = func(at *place, read *shape, path string) {
		if at == nil {
			return
		}
		if at.empty || at.emptyText {
			if places++; read != nil {
				t.Errorf("%s may be read", path)
			}
			return
		}
		for name, member := range at.members {
			walk(member, read.field(name), path+"."+name)
		}
		if at.others != nil {
			for name := range read.properties {
				if _, named := at.members[name]; !named {
					t.Errorf("%s.%s may be read", path, name)
				}
			}
			walk(at.others, read.field("any other"), path+".*")
		}
		if at.elements != nil && read != nil {
			read = read.items
		}
		walk(at.elements, read, path+"[]")
	}
	walk(podPlaces(), root.at("object"), "object")
	if places < 4 {
		t.Errorf("only %d places", places)
	}
}

// field is the shape of a field, named or not; nil if it is left out.
func (s *shape) field(name string) *shape {
	if s == nil || s.at(name) != nil || s.closed {
		return s.at(name)
	}
	return s.values
}

// TestCanonicalAnswer: the answers are the same, messages and all, whatever the pod.
func TestCanonicalAnswer(t *testing.T) {
	engine := newTestEngine(t, files)
	in := tenantInput(t)
	in.Request.Name = "web-1"
	for name, object := range map[string]json.RawMessage{
		"genuine":   in.Object,
		"no token":  bytes.ReplaceAll(in.Object, []byte("kube-api-access-"), []byte("other-")),
		"host path": bytes.Replace(in.Object, []byte(`"projected"`), []byte(`"hostPath"`), 1),
		"small":     json.RawMessage(token("kube-api-access-bbbbb")),
	} {
		t.Run(name, func(t *testing.T) {
			in.Object = object
			want, err := engine.Evaluate(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			canonical := engine.Canonical(in)
			if bytes.Equal(canonical.Object, in.Object) || canonical.Request.Name != "" || canonical.Request.Namespace != "alice" {
				t.Errorf("the canonical input is %+v", canonical.Request)
			}
			if got, err := engine.Evaluate(t.Context(), canonical); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
		})
	}
}

// TestCanonicalOfWhatRulesRead: a custom rule that reads more gets it.
func TestCanonicalOfWhatRulesRead(t *testing.T) {
	const pod = `{"metadata":{"name":"n","labels":{"l":"1"}},"spec":{"hostname":"h","affinity":{},` +
		`"volumes":[{"name":"kube-api-access-bbbbb","projected":{}},{"name":"d","persistentVolumeClaim":{"claimName":"c"}}]}}`
	all := []string{`"n"`, `"l":`, `"h"`, `"c"`}
	for rule, kept := range map[string][]string{
		"input.object.spec.hostPID":                                          nil,
		"input.object.metadata.annotations.a":                                nil,
		`input.request.name == "x"`:                                          {"name"},
		`"x" in input.request.user.groups`:                                   {"groups"},
		`input.whole.kind`:                                                   nil,
		`input.whole.metadata.labels.x`:                                      {`"l":`},
		`input.whole.metadata[x]`:                                            {`"n"`, `"l":`},
		`input.whole.spec.hostname`:                                          {`"h"`},
		`input.whole.spec.volumes[_].persistentVolumeClaim.claimName == "x"`: {`"c"`},
		`input.whole.spec[x].y`:                                              {`"h"`, `"c"`},
		`{ some x; input.whole[x] }`:                                         all,
		`object.get(input.whole, ["metadata", "labels"], true)`:              all,
		`{ x := input; x.whole }`:                                            append([]string{"name", "groups"}, all...),
	} {
		t.Run(rule, func(t *testing.T) {
			engine := newCustomEngine(t, map[string]string{"a.rego": customMetadata + "violations contains 1 if " + rule})
			in := podInput(pod)
			in.Request.Name, in.Request.User = "web-1", User{Groups: []string{"g"}}
			got := engine.Canonical(in)
			if !bytes.Contains(got.Object, []byte(canonicalToken)) {
				t.Errorf("the volume is not renamed: %s", got.Object)
			}
			for what, is := range map[string]bool{"name": got.Request.Name != "", "groups": got.Request.User.Groups != nil} {
				if want := slices.Contains(kept, what); is != want {
					t.Errorf("%s is kept: %v, want %v", what, is, want)
				}
			}
			for _, text := range all {
				if is, want := bytes.Contains(got.Object, []byte(text)), slices.Contains(kept, text); is != want {
					t.Errorf("%s is kept: %v, want %v in %s", text, is, want, got.Object)
				}
			}
		})
	}
	engine := newTestEngine(t, files)
	update := podInput(pod)
	update.Request.Operation, update.OldObject = Update, json.RawMessage(pod)
	if got := engine.Canonical(update); string(got.Object) != pod || string(got.OldObject) != pod {
		t.Errorf("an update is %s, %s", got.Object, got.OldObject)
	}
}
