//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

const (
	ownNamespace = "bulkhead-system"
	ownService   = "bulkhead-webhook"
)

// world is what is in the cluster, all of it written through the API server.
type world struct {
	*controlPlane
	writers        int
	podsPerService int

	tenants []*tenant
	pods    int
	next    atomic.Uint32 // address
}

// tenant has one namespace of its name.
type tenant struct {
	name string
	pods []podRef
}

type podRef struct {
	name, uid string
	address   netip.Addr
	told      time.Time // when the API server was asked to take its address
}

// prepare makes what is there once: the CRD, the feed's own Service and DNS, which every
// tenant shares.
func (w *world) prepare(ctx context.Context, crds string) error {
	if err := w.createCRDs(ctx, crds); err != nil {
		return err
	}
	for namespace, service := range map[string]string{ownNamespace: ownService, metav1.NamespaceSystem: "kube-dns"} {
		if err := w.createNamespace(ctx, namespace); err != nil {
			return err
		}
		if err := w.createService(ctx, namespace, service); err != nil {
			return err
		}
	}
	for n := range 2 {
		if _, err := w.createPod(ctx, metav1.NamespaceSystem, fmt.Sprintf("coredns-%d", n), "kube-dns", noSidecar); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) createCRDs(ctx context.Context, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no CRDs in %s: %v", dir, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &crd.Object); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		resource := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
		if _, err := w.dynamic.Resource(resource).Create(ctx, crd, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create %s: %w", crd.GetName(), err)
		}
	}
	return w.server.await(ctx, "Tenants to be known", func(ctx context.Context) error {
		_, err := w.dynamic.Resource(v1alpha1.GroupVersion.WithResource("tenants")).List(ctx, metav1.ListOptions{})
		return err
	})
}

// add makes n tenants more, of so many pods each.
func (w *world) add(ctx context.Context, kind string, n, pods int) ([]*tenant, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(w.writers)
	added := make([]*tenant, n)
	for i := range added {
		t := &tenant{name: fmt.Sprintf("%s-%04d", kind, len(w.tenants)+i), pods: make([]podRef, pods)}
		added[i] = t
		if err := w.addTenant(ctx, t.name); err != nil {
			return nil, err
		}
		services := max(1, pods/w.podsPerService)
		for s := range services {
			group.Go(func() error { return w.createService(ctx, t.name, appName(s)) })
		}
		for p := range t.pods {
			group.Go(func() (err error) {
				t.pods[p], err = w.createPod(ctx, t.name, podName(p), appName(p%services), config.FirewallContainer)
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	w.tenants, w.pods = append(w.tenants, added...), w.pods+n*pods
	return added, nil
}

func appName(n int) string { return fmt.Sprintf("app-%d", n) }

func (w *world) addTenant(ctx context.Context, name string) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(newTenant(name))
	if err != nil {
		return err
	}
	delete(content, "status")
	_, err = w.dynamic.Resource(v1alpha1.GroupVersion.WithResource("tenants")).Create(ctx, &unstructured.Unstructured{Object: content}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create tenant %s: %w", name, err)
	}
	return w.createNamespace(ctx, name)
}

// createNamespace makes its service account too, as a controller would.
func (w *world) createNamespace(ctx context.Context, name string) error {
	_, err := w.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) { // the API server makes some itself
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	_, err = w.kube.CoreV1().ServiceAccounts(name).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create service account in %s: %w", name, err)
	}
	return nil
}

func (w *world) createService(ctx context.Context, namespace, name string) error {
	_, err := w.kube.CoreV1().Services(namespace).Create(ctx, newService(namespace, name), metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create service %s/%s: %w", namespace, name, err)
	}
	return nil
}

// createPod does the user's part, and the scheduler's, and then the kubelet's.
func (w *world) createPod(ctx context.Context, namespace, name, app, sidecar string) (podRef, error) {
	ref := podRef{name: name, address: address(w.next.Add(1))}
	pod, status := newPod(namespace, name, app, sidecar, ref.address)
	created, err := w.kube.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return podRef{}, fmt.Errorf("create pod %s/%s: %w", namespace, name, err)
	}
	ref.uid, ref.told, created.Status = string(created.UID), time.Now(), status
	if _, err := w.kube.CoreV1().Pods(namespace).UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil {
		return podRef{}, fmt.Errorf("set the status of pod %s/%s: %w", namespace, name, err)
	}
	return ref, nil
}

func (w *world) deletePod(ctx context.Context, namespace, name string) error {
	err := w.kube.CoreV1().Pods(namespace).Delete(ctx, name, *metav1.NewDeleteOptions(0))
	if err != nil {
		return fmt.Errorf("delete pod %s/%s: %w", namespace, name, err)
	}
	return nil
}
