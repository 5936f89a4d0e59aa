//go:build linux

package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// fleet is all sidecars of some tenants: every pod of theirs has one.
type fleet struct {
	roots    *x509.CertPool
	server   atomic.Pointer[string] // the address that they know
	jitter   atomic.Bool            // they pause before they come again
	attempts atomic.Int64           // to have a stream

	tenants  []*tenant
	sidecars []*sidecar
	running  sync.WaitGroup
	end      context.CancelFunc
}

// launch has the API server make a token for each pod, as a kubelet would, and
// returns when all sidecars have their snapshot.
func launch(ctx context.Context, w *world, roots *x509.CertPool, server string, tenants []*tenant) (*fleet, error) {
	f := &fleet{roots: roots, tenants: tenants}
	f.server.Store(&server)
	f.jitter.Store(true)
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(w.writers)
	for _, t := range tenants {
		for _, pod := range t.pods {
			s := &sidecar{fleet: f, tenant: t, pod: pod, source: source(len(f.sidecars) + 1)}
			f.sidecars = append(f.sidecars, s)
			group.Go(func() (err error) {
				s.token, err = w.token(asking, t.name, pod)
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	running, end := context.WithCancel(ctx)
	f.end = end
	began := time.Now()
	for _, s := range f.sidecars {
		f.running.Go(func() { s.run(running) })
	}
	if err := f.await(ctx, began); err != nil {
		f.land()
		return nil, err
	}
	return f, nil
}

func (w *world) token(ctx context.Context, namespace string, pod podRef) (string, error) {
	request, err := w.kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{
			Audiences:         []string{protocol.Audience},
			ExpirationSeconds: new(int64(3600)),
			BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.name, UID: types.UID(pod.uid)},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("ask for a token of pod %s/%s: %w", namespace, pod.name, err)
	}
	return request.Status.Token, nil
}

// land ends all sidecars.
func (f *fleet) land() {
	f.end()
	f.running.Wait()
}

// await waits until all sidecars have a snapshot that is younger than the moment.
func (f *fleet) await(ctx context.Context, moment time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for missing := f.sidecars; ; {
		var rest []*sidecar
		for _, s := range missing {
			if s.since.Load() <= moment.UnixNano() {
				rest = append(rest, s)
			}
		}
		if missing = rest; len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			s := missing[0]
			s.mutex.Lock()
			defer s.mutex.Unlock()
			return fmt.Errorf("%d of %d sidecars have no snapshot (%w); %s/%s: %v", len(missing), len(f.sidecars), ctx.Err(), s.tenant.name, s.pod.name, s.failure)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// snapshots are the times that the sidecars waited for theirs since the moment.
func (f *fleet) snapshots(moment time.Time) []time.Duration {
	var all []time.Duration
	for _, s := range f.sidecars {
		all = append(all, time.Unix(0, s.since.Load()).Sub(moment))
	}
	return all
}

// received are the bytes on the wire to all sidecars.
func (f *fleet) received() int64 {
	sum := int64(0)
	for _, s := range f.sidecars {
		sum += s.received.Load()
	}
	return sum
}

// hearings forgets and returns what was heard.
func (s *sidecar) hearings() []heard {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	all := s.heard
	s.heard = nil
	return all
}
