package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// reporting is a pod of alice's whose sidecar reports, with a volume of its own.
func reporting(t *testing.T, a *Admission) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	raw := mutated(t, a, "alice", podJSON(t, `{containers: [{name: a}], volumes: [{name: data, emptyDir: {}}]}`))
	if err := json.Unmarshal(raw, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func encode(t *testing.T, pod *corev1.Pod) []byte {
	t.Helper()
	raw, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The token is the firewall's alone, whoever asks for it and how (threats L3, A2).
func TestTokenVolume(t *testing.T) {
	a := newTestAdmissionWithFeed(t, testFeed)
	mount := corev1.VolumeMount{Name: sidecarconfig.TokenVolume, MountPath: "/stolen"}
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   string // part of the denial; empty: allowed
	}{
		"as injected": {func(*corev1.Pod) {}, ""},
		"volumes moved": {func(p *corev1.Pod) {
			p.Spec.Volumes[0], p.Spec.Volumes[1] = p.Spec.Volumes[1], p.Spec.Volumes[0]
		}, ""},
		"no volume":      {func(p *corev1.Pod) { p.Spec.Volumes = p.Spec.Volumes[:1] }, `spec.volumes: "bulkhead-token"`},
		"twice":          {func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, p.Spec.Volumes[1]) }, `spec.volumes: "bulkhead-token"`},
		"other audience": {func(p *corev1.Pod) { p.Spec.Volumes[1].Projected.Sources[0].ServiceAccountToken.Audience = "" }, `spec.volumes: "bulkhead-token"`},
		"longer life": {func(p *corev1.Pod) {
			p.Spec.Volumes[1].Projected.Sources[0].ServiceAccountToken.ExpirationSeconds = new(int64(86400))
		}, `spec.volumes: "bulkhead-token"`},
		"one more source": {func(p *corev1.Pod) {
			projected := p.Spec.Volumes[1].Projected
			projected.Sources = append(projected.Sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{}})
		}, `spec.volumes: "bulkhead-token"`},
		"the tenant's": {func(p *corev1.Pod) {
			p.Spec.Volumes[1].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
		}, `spec.volumes: "bulkhead-token"`},
		"not mounted":      {func(p *corev1.Pod) { p.Spec.InitContainers[1].VolumeMounts = nil }, "differs in volumeMounts"},
		"mounted writable": {func(p *corev1.Pod) { p.Spec.InitContainers[1].VolumeMounts[0].ReadOnly = false }, "differs in volumeMounts"},
		"mounted in init":  {func(p *corev1.Pod) { p.Spec.InitContainers[0].VolumeMounts = p.Spec.InitContainers[1].VolumeMounts }, "differs in volumeMounts"},
		"mounted by the app": {func(p *corev1.Pod) {
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, mount}
		}, `container "a": spec.containers[0].volumeMounts[1].name is of the volume of Bulkhead's firewall`},
		"mounted by an init container": {func(p *corev1.Pod) {
			p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{
				Name: "thief", VolumeMounts: []corev1.VolumeMount{mount}, SecurityContext: p.Spec.Containers[0].SecurityContext,
			})
		}, `container "thief": spec.initContainers[2].volumeMounts[0].name`},
	} {
		t.Run(name, func(t *testing.T) {
			pod := reporting(t, a)
			test.change(pod)
			checkDenial(t, a.Validate(t.Context(), newRequest(podCreate, "alice", encode(t, pod), nil)), test.want)
		})
	}
}

func checkDenial(t *testing.T, d decision, want string) {
	t.Helper()
	if d.allowed != (want == "") || !strings.Contains(d.message, want) {
		t.Errorf("allowed %t, want %q in %q", d.allowed, want, d.message)
	}
}

func TestTokenVolumeOnUpdate(t *testing.T) {
	a := newTestAdmissionWithFeed(t, testFeed)
	for name, test := range map[string]struct {
		old  func(*corev1.Pod)
		new  func(*corev1.Pod)
		want string
	}{
		"kept": {func(*corev1.Pod) {}, func(p *corev1.Pod) { p.Annotations = map[string]string{"a": "b"} }, ""},
		"of another configuration": {func(p *corev1.Pod) {
			p.Spec.InitContainers[1].Image = "older"
			p.Spec.Volumes[1].Projected.DefaultMode = new(int32(0o444))
		}, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "newer" }, ""},
		"from before there was a feed": {func(p *corev1.Pod) {
			p.Spec.InitContainers[1].VolumeMounts, p.Spec.Volumes = nil, p.Spec.Volumes[:1]
		}, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "newer" }, ""},
		"volume changed": {func(*corev1.Pod) {}, func(p *corev1.Pod) {
			p.Spec.Volumes[1].Projected.Sources[0].ServiceAccountToken.Audience = ""
		}, "fw-sidecar-unchanged: spec.volumes"},
		"volume removed": {func(*corev1.Pod) {}, func(p *corev1.Pod) { p.Spec.Volumes = p.Spec.Volumes[:1] }, "fw-sidecar-unchanged: spec.volumes"},
		"debugger": {func(*corev1.Pod) {}, func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
				Name: "debugger", VolumeMounts: []corev1.VolumeMount{{Name: sidecarconfig.TokenVolume, MountPath: "/stolen"}},
			}}}
		}, `fw-reserved-name: container "debugger": spec.ephemeralContainers[0].volumeMounts[0].name`},
	} {
		t.Run(name, func(t *testing.T) {
			old := reporting(t, a)
			test.old(old)
			updated := old.DeepCopy()
			test.new(updated)
			checkDenial(t, a.Validate(t.Context(), newRequest(podUpdate, "alice", encode(t, updated), encode(t, old))), test.want)
		})
	}
}

// Where nothing is injected the name is not the tenant's either.
func TestTokenVolumeWithoutFeed(t *testing.T) {
	a := newTestAdmission(t)
	pod := reporting(t, a)
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: sidecarconfig.TokenVolume})
	checkDenial(t, a.Validate(t.Context(), newRequest(podCreate, "alice", encode(t, pod), nil)), `spec.volumes: "bulkhead-token"`)
}

// As long as the feed's address is not known nobody is admitted: another replica
// would refuse what this one injects.
func TestFeedIsNotKnown(t *testing.T) {
	a := newTestAdmissionWithFeed(t, func() (*sidecarconfig.Feed, error) { return nil, errors.New("feed: no address yet") })
	request := newRequest(podCreate, "alice", podJSON(t, podShapes["smallest"]), nil)
	for name, decide := range map[string]decideFunc{"mutate": a.Mutate, "validate": a.Validate} {
		t.Run(name, func(t *testing.T) {
			checkDenial(t, decide(context.Background(), request), "feed: no address yet")
		})
	}
}
