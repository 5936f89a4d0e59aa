package webhook

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// Pods in all shapes that a document can have where the mutations reach.
var podShapes = map[string]string{
	"smallest":             `containers: [{name: a, image: b}]`,
	"empty init list":      `{initContainers: [], containers: [{name: a}]}`,
	"null members":         `{initContainers: null, securityContext: null, containers: [{name: a, securityContext: null}]}`,
	"empty contexts":       `{securityContext: {}, containers: [{name: a, securityContext: {}}]}`,
	"empty capabilities":   `containers: [{name: a, securityContext: {capabilities: {}}}]`,
	"null drop":            `containers: [{name: a, securityContext: {capabilities: {drop: null}}}]`,
	"empty drop":           `containers: [{name: a, securityContext: {capabilities: {drop: []}}}]`,
	"other drop":           `containers: [{name: a, securityContext: {capabilities: {drop: [CHOWN], add: [NET_BIND_SERVICE]}}}]`,
	"drops all":            `containers: [{name: a, securityContext: {capabilities: {drop: [ALL]}}}]`,
	"drops NET_RAW":        `containers: [{name: a, securityContext: {capabilities: {drop: [CHOWN, NET_RAW]}}}]`,
	"drop in another case": `containers: [{name: a, securityContext: {capabilities: {drop: [all, cap_net_raw]}}}]`,
	"seccomp of its own":   `{securityContext: {seccompProfile: {type: Localhost, localhostProfile: a.json}}, containers: [{name: a}]}`,
	"seccomp null":         `{securityContext: {runAsUser: 5, seccompProfile: null}, containers: [{name: a}]}`,
	"init containers":      `{initContainers: [{name: x}, {name: z, restartPolicy: Always}], containers: [{name: a}, {name: b}]}`,
	"future fields":        `{future: {a: [1]}, containers: [{name: a, future: 1.5, securityContext: {future: true}}]}`,
	"forged at its places": `{initContainers: [{name: bulkhead-init, image: evil}, {name: bulkhead-firewall, image: evil}, {name: x}], containers: [{name: a}]}`,
	"forged in reverse":    `{initContainers: [{name: bulkhead-firewall}, {name: bulkhead-init}], containers: [{name: a}]}`,
	"forged at the end":    `{initContainers: [{name: x}, {name: bulkhead-init}, {name: z}, {name: bulkhead-firewall}, {name: bulkhead-firewall}], containers: [{name: a}]}`,
	"half forged":          `{initContainers: [{name: bulkhead-init}], containers: [{name: a}]}`,
	"null volumes":         `{volumes: null, containers: [{name: a}]}`,
	"own volumes":          `{volumes: [{name: one, emptyDir: {}}, {name: two, future: {}}], containers: [{name: a}]}`,
	"forged volume":        `{volumes: [{name: one}, {name: bulkhead-token, emptyDir: {}}, {name: two}], containers: [{name: a}]}`,
	"forged volumes only":  `{volumes: [{name: bulkhead-token, emptyDir: {}}, {name: bulkhead-token}], containers: [{name: a}]}`,
}

func TestMutationsAreTheirPatch(t *testing.T) {
	testMutationsAreTheirPatch(t, newTestAdmission(t))
	t.Run("with a feed", func(t *testing.T) {
		testMutationsAreTheirPatch(t, newTestAdmissionWithFeed(t, testFeed))
	})
}

func testMutationsAreTheirPatch(t *testing.T, a *Admission) {
	for name, spec := range podShapes {
		t.Run(name, func(t *testing.T) {
			raw := podJSON(t, spec)
			d := a.Mutate(t.Context(), newRequest(podCreate, "alice", raw, nil))
			if !d.allowed {
				t.Fatalf("denied: %s", d.message)
			}
			// The patch changes the document as the mutations changed the typed pod.
			object, err := decodePod(raw)
			if err != nil {
				t.Fatal(err)
			}
			mutations, err := a.createMutations(a.mustOwner(t, "alice"), object.pod)
			if err != nil {
				t.Fatal(err)
			}
			edited := run(object.pod, mutations).pod
			patched, err := apply(d.patch, raw)
			if err != nil {
				t.Fatal(err)
			}
			after, err := decodePod(patched)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(edited, after.pod); diff != "" {
				t.Errorf("typed pod and patched document differ (-typed +patched):\n%s", diff)
			}
			if before := object.unknown; !cmp.Equal(before, after.unknown) {
				t.Errorf("unknown fields: %q before, %q after", before, after.unknown)
			}
			checkMutated(t, a, after.pod)

			// A second run finds nothing to do.
			again := a.Mutate(t.Context(), newRequest(podCreate, "alice", patched, nil))
			if !again.allowed || len(again.patch) != 0 {
				t.Errorf("second run: allowed %t, patch %+v", again.allowed, again.patch)
			}
		})
	}
}

// checkMutated says what must be true of every pod after the mutations.
func checkMutated(t *testing.T, a *Admission, pod *corev1.Pod) {
	t.Helper()
	sidecar, err := a.sidecars.expected(a.mustOwner(t, "alice"), pod)
	if err != nil {
		t.Fatal(err)
	}
	if !sidecar.injected(pod) {
		t.Errorf("the sidecar is not in its place: %+v", pod.Spec.InitContainers)
	}
	isSidecars := func(v corev1.Volume) bool { return v.Name == sidecarconfig.TokenVolume }
	volumes := slices.DeleteFunc(slices.Clone(pod.Spec.Volumes), func(v corev1.Volume) bool { return !isSidecars(v) })
	if diff := cmp.Diff(sidecar.volumes, volumes, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the sidecar's volumes (-want +got):\n%s", diff)
	}
	containers := append(append([]corev1.Container{}, pod.Spec.InitContainers[2:]...), pod.Spec.Containers...)
	for _, container := range containers {
		drop := container.SecurityContext.Capabilities.Drop
		var dropped int
		for _, capability := range drop {
			if capability == "NET_RAW" || capability == "ALL" {
				dropped++
			}
		}
		if dropped != 1 {
			t.Errorf("container %s drops %q", container.Name, drop)
		}
	}
	if pod.Spec.SecurityContext == nil || pod.Spec.SecurityContext.SeccompProfile == nil {
		t.Error("no seccomp profile")
	}
}

func TestMutatedPodIsValid(t *testing.T) {
	a := newTestAdmission(t)
	for _, name := range []string{"smallest", "init containers", "forged at the end", "seccomp of its own", "drops all"} {
		t.Run(name, func(t *testing.T) {
			pod := mutated(t, a, "alice", podJSON(t, podShapes[name]))
			if d := a.Validate(t.Context(), newRequest(podCreate, "alice", pod, nil)); !d.allowed {
				t.Errorf("denied: %s", d.message)
			}
		})
	}
}

func TestMutateKeepsOrderAndNumbers(t *testing.T) {
	a := newTestAdmission(t)
	pod := mutated(t, a, "alice", podJSON(t, `{initContainers: [{name: x}, {name: bulkhead-init}, {name: z}], containers: [{name: a}], terminationGracePeriodSeconds: 9007199254740993}`))
	var got struct {
		Spec struct {
			InitContainers                []struct{ Name string }
			TerminationGracePeriodSeconds json.Number
		}
	}
	if err := json.Unmarshal(pod, &got); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range got.Spec.InitContainers {
		names = append(names, c.Name)
	}
	if want := []string{"bulkhead-init", "bulkhead-firewall", "x", "z"}; !cmp.Equal(names, want) {
		t.Errorf("init containers %q, want %q", names, want)
	}
	if got.Spec.TerminationGracePeriodSeconds != "9007199254740993" {
		t.Errorf("a number changed: %s", got.Spec.TerminationGracePeriodSeconds)
	}
}

func TestSidecarToleratesTheTokenMountOnly(t *testing.T) {
	a := newTestAdmission(t)
	pod := mutated(t, a, "alice", podJSON(t, podShapes["smallest"]))
	volumes := func(fields string) any {
		var volumes any
		if err := json.Unmarshal(toJSON(t, fields), &volumes); err != nil {
			t.Fatal(err)
		}
		return volumes
	}
	mount := func(fields, volume string) []byte {
		var document map[string]any
		if err := json.Unmarshal(pod, &document); err != nil {
			t.Fatal(err)
		}
		document["spec"].(map[string]any)["volumes"] = volumes(volume)
		var mounts any
		if err := json.Unmarshal(toJSON(t, fields), &mounts); err != nil {
			t.Fatal(err)
		}
		for _, container := range document["spec"].(map[string]any)["initContainers"].([]any) {
			container.(map[string]any)["volumeMounts"] = mounts
		}
		data, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	const path = "/var/run/secrets/kubernetes.io/serviceaccount"
	const token = `[{name: kube-api-access-x2x, projected: {sources: [{serviceAccountToken: {path: token}}]}}, {name: evil, emptyDir: {}}]`
	for name, test := range map[string]struct {
		mounts    string
		volumes   string // default: token
		tolerated bool
	}{
		"token":             {`[{name: kube-api-access-x2x, readOnly: true, mountPath: ` + path + `}]`, "", true},
		"writable":          {`[{name: kube-api-access-x2x, mountPath: ` + path + `}]`, "", false},
		"elsewhere":         {`[{name: kube-api-access-x2x, readOnly: true, mountPath: /usr}]`, "", false},
		"another volume":    {`[{name: evil, readOnly: true, mountPath: ` + path + `}]`, "", false},
		"part of it":        {`[{name: kube-api-access-x2x, readOnly: true, subPath: a, mountPath: ` + path + `}]`, "", false},
		"mount propagation": {`[{name: kube-api-access-x2x, readOnly: true, mountPropagation: HostToContainer, mountPath: ` + path + `}]`, "", false},
		"one more": {`[{name: kube-api-access-x2x, readOnly: true, mountPath: ` + path + `},
			{name: kube-api-access-x2x, readOnly: true, mountPath: ` + path + `}]`, "", false},
		// An image volume is mounted with the container, not with the pod (L17).
		"an image": {`[{name: kube-api-access-x2x, readOnly: true, mountPath: ` + path + `}]`,
			`[{name: kube-api-access-x2x, image: {reference: registry.invalid/none}}]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			volumes := test.volumes
			if volumes == "" {
				volumes = token
			}
			request := newRequest(podCreate, "alice", mount(test.mounts, volumes), nil)
			if d := a.Mutate(t.Context(), request); !d.allowed || (len(d.patch) == 0) != test.tolerated {
				t.Errorf("mutate: allowed %t, %d operations", d.allowed, len(d.patch))
			}
			if d := a.Validate(t.Context(), request); d.allowed != test.tolerated {
				t.Errorf("validate: allowed %t: %s", d.allowed, d.message)
			}
		})
	}
}

func TestMutateOnUpdate(t *testing.T) {
	a := newTestAdmission(t)
	running := mutated(t, a, "alice", podJSON(t, podShapes["smallest"]))
	withEphemeral := func(containers string) []byte {
		patch := []operation{{Op: "add", Path: "/spec/ephemeralContainers", Value: json.RawMessage(toJSON(t, containers))}}
		pod, err := apply(patch, running)
		if err != nil {
			t.Fatal(err)
		}
		return pod
	}
	before := withEphemeral(`[{name: old, image: b}]`)
	after := withEphemeral(`[{name: old, image: b}, {name: new, image: b, securityContext: {capabilities: {add: [SYS_PTRACE]}}}]`)
	for name, test := range map[string]struct {
		route       route
		old, object []byte
		want        []operation
	}{
		"pods":   {podUpdate, podJSON(t, podShapes["smallest"]), podJSON(t, `containers: [{name: a, image: c}]`), nil},
		"resize": {podResize, running, running, nil},
		"first ephemeral": {podEphemeral, running, before, []operation{{
			Op: "add", Path: "/spec/ephemeralContainers/0/securityContext",
			Value: &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"NET_RAW"}}},
		}}},
		"one more ephemeral": {podEphemeral, before, after, []operation{{
			Op: "add", Path: "/spec/ephemeralContainers/1/securityContext/capabilities/drop", Value: []corev1.Capability{"NET_RAW"},
		}}},
		"no new ephemeral": {podEphemeral, after, after, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := a.Mutate(t.Context(), newRequest(test.route, "alice", test.object, test.old))
			if !d.allowed {
				t.Fatalf("denied: %s", d.message)
			}
			if diff := cmp.Diff(test.want, d.patch); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMutateLeavesAlone(t *testing.T) {
	a := newTestAdmission(t)
	for name, test := range map[string]struct {
		namespace, spec string
	}{
		"unassigned":    {"default", podShapes["smallest"]},
		"exempt":        {"kube-system", podShapes["smallest"]},
		"warn":          {"warned", podShapes["smallest"]},
		"audit":         {"audited", podShapes["smallest"]},
		"runtime class": {"alice", `{runtimeClassName: kata, containers: [{name: a}]}`},
		"windows":       {"alice", `{os: {name: windows}, containers: [{name: a}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			d := a.Mutate(t.Context(), newRequest(podCreate, test.namespace, podJSON(t, test.spec), nil))
			if !d.allowed || len(d.patch) != 0 {
				t.Errorf("allowed %t, patch %+v", d.allowed, d.patch)
			}
		})
	}
}

// A main container cannot give way to the sidecar, and the API server would only
// say that the name occurs twice.
func TestMutateRefusesTakenNames(t *testing.T) {
	d := newTestAdmission(t).Mutate(t.Context(), newRequest(podCreate, "alice", podJSON(t, `containers: [{name: bulkhead-firewall, image: evil}]`), nil))
	if d.allowed || !strings.Contains(d.message, "fw-reserved-name: ") {
		t.Errorf("allowed %t: %s", d.allowed, d.message)
	}
}

func TestSidecarConfiguration(t *testing.T) {
	a := newTestAdmission(t)
	pod := mutated(t, a, "strict", podJSON(t, `
initContainers:
- {name: native, restartPolicy: Always, startupProbe: {tcpSocket: {port: 9000}}}
containers:
- name: a
  ports: [{name: http, containerPort: 8080}, {name: "443", containerPort: 8443}]
  livenessProbe: {httpGet: {port: http}}
  readinessProbe: {grpc: {port: 5000}}
  lifecycle: {preStop: {httpGet: {port: "443"}}, postStart: {tcpSocket: {port: "7000"}}}
- name: b
  livenessProbe: {httpGet: {port: http}}
  readinessProbe: {exec: {command: [a]}}
  startupProbe: {tcpSocket: {port: 8080}}
`))
	var got corev1.Pod
	if err := json.Unmarshal(pod, &got); err != nil {
		t.Fatal(err)
	}
	want := `{"version":"v1alpha1","tenant":"strict","peers":["172.16.2.0/24"],"denied":["172.16.0.0/16","fd00:1::/48"],` +
		`"nodes":["192.168.0.0/24"],"system":["10.96.0.0/16","10.244.0.0/16"],` +
		`"egress":{"metadata":"allow","nodes":"allow","external":"deny"},"probes":[5000,7000,8080,8443,9000]}`
	for _, container := range got.Spec.InitContainers[:2] {
		if diff := cmp.Diff([]corev1.EnvVar{{Name: sidecarconfig.EnvVar, Value: want}}, container.Env); diff != "" {
			t.Errorf("%s: environment (-want +got):\n%s", container.Name, diff)
		}
		if _, err := sidecarconfig.Parse([]byte(container.Env[0].Value)); err != nil {
			t.Errorf("the sidecar would not read its configuration: %v", err)
		}
	}
}
