package main

import (
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/bulkhead-dev/bulkhead/certs"
)

// Replicas tell sidecars the address of the feed's Service, once they know it, and go
// on telling the last one they knew.
func TestFeedService(t *testing.T) {
	pair, err := certs.SelfSigned("localhost")
	if err != nil {
		t.Fatal(err)
	}
	certificate, _ := pair.CurrentCertKeyContent()
	o := &options{feedService: "bulkhead-system/bulkhead-feed", feedCAFile: write(t, "ca.crt", string(certificate))}
	service, err := o.newFeedService()
	if err != nil {
		t.Fatal(err)
	}
	kube := fake.NewClientset()
	if err := service.follow(t.Context(), kube); err != nil {
		t.Fatal(err)
	}
	if feed, err := service.Feed(); err == nil || service.ready() == nil {
		t.Errorf("known before there is a Service: %+v", feed)
	}

	services := kube.CoreV1().Services("bulkhead-system")
	create := func(ip string) {
		t.Helper()
		object := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "bulkhead-feed"}, Spec: corev1.ServiceSpec{ClusterIP: ip}}
		if _, err := services.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	await := func(address string) {
		t.Helper()
		want := netip.MustParseAddrPort(address)
		for range 1000 {
			feed, err := service.Feed()
			if err == nil && feed.Address == want {
				if feed.ServerName != "bulkhead-feed.bulkhead-system.svc" || feed.CA != string(certificate) {
					t.Errorf("feed %+v", feed)
				}
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		feed, err := service.Feed()
		t.Fatalf("no %s: %+v, %v", address, feed, err)
	}
	create("10.96.0.9")
	await("10.96.0.9:443")

	if err := services.Delete(t.Context(), "bulkhead-feed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await("10.96.0.9:443")
	create("None") // a headless Service has no address
	await("10.96.0.9:443")
	if err := services.Delete(t.Context(), "bulkhead-feed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	create("fd00:96::9")
	await("[fd00:96::9]:443")
}
