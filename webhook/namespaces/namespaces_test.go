package namespaces

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
)

const enforce = labelPrefix + "enforce"

func newNamespace(name, level string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{"team": "blue", enforce: level}, Annotations: map[string]string{"a": "b"},
		},
	}
}

func TestCluster(t *testing.T) {
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	client := metadatafake.NewSimpleMetadataClient(scheme, newNamespace("alice", "baseline"))
	item := corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Max: corev1.ResourceList{"cpu": resource.MustParse("1")}}
	kube := fake.NewClientset(&corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "limits", Namespace: "alice"},
		Spec:       corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{item}},
	})
	cluster, err := NewCluster(client, kube)
	if err != nil {
		t.Fatal(err)
	}
	// Before the first list: live.
	if labels, err := cluster.Labels(t.Context(), "alice"); err != nil || labels[enforce] != "baseline" {
		t.Errorf("labels %v, %v", labels, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { defer close(stopped); cluster.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-stopped })
	for deadline := time.Now().Add(20 * time.Second); !cluster.HasSynced(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not synced after 20 s")
		}
	}
	client.ClearActions()
	labels, err := cluster.Labels(t.Context(), "alice")
	if diff := cmp.Diff(map[string]string{enforce: "baseline"}, labels); err != nil || diff != "" {
		t.Errorf("%v, labels (-want +got):\n%s", err, diff)
	}
	if len(client.Actions()) > 0 {
		t.Errorf("a namespace that is known was read live: %v", client.Actions())
	}
	if _, err := cluster.Labels(t.Context(), "nowhere"); err == nil {
		t.Error("a namespace that is not there has labels")
	}
	limits, err := cluster.Limits("alice")
	if diff := cmp.Diff([]corev1.LimitRangeItem{item}, limits); err != nil || diff != "" {
		t.Errorf("%v, limits (-want +got):\n%s", err, diff)
	}
	if limits, err := cluster.Limits("bob"); err != nil || len(limits) > 0 {
		t.Errorf("limits of another namespace: %v, %v", limits, err)
	}
}

func TestTrim(t *testing.T) {
	trimmed, err := trim(newNamespace("alice", "baseline"))
	if err != nil {
		t.Fatal(err)
	}
	if got := trimmed.(*metav1.PartialObjectMetadata); len(got.Annotations) > 0 || len(got.Labels) != 1 || got.Name != "alice" {
		t.Errorf("trimmed %+v", got)
	}
}

func TestStatic(t *testing.T) {
	folder := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "all.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`
apiVersion: v1
kind: Namespace
metadata: {name: alice, labels: {team: blue, pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: limits, namespace: alice}
spec: {limits: [{type: Container, max: {cpu: "1"}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other}
`)
	static, err := Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	labels, err := static.Labels(t.Context(), "alice")
	if diff := cmp.Diff(map[string]string{enforce: "restricted"}, labels); err != nil || diff != "" {
		t.Errorf("%v, labels (-want +got):\n%s", err, diff)
	}
	if limits, err := static.Limits("alice"); err != nil || len(limits) != 1 {
		t.Errorf("limits %v, %v", limits, err)
	}
	if labels, err := static.Labels(t.Context(), "bob"); err != nil || len(labels) > 0 {
		t.Errorf("labels of a namespace without a manifest: %v, %v", labels, err)
	}
	write("apiVersion: v1\nkind: Namespace\nmetadata: {name: [a]}\n---\nkind: x\n")
	if _, err := Load(folder); err == nil || !strings.Contains(err.Error(), "document 1: namespace") || !strings.Contains(err.Error(), "document 2: apiVersion or kind is missing") {
		t.Errorf("error %v", err)
	}
}
