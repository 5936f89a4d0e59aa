package experiments

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Outcome is what an attempt came to, as the one who tried sees it.
type Outcome string

// The outcomes. Anything else that happens is an error, and no result.
const (
	Reached Outcome = "reached" // the server's page was fetched
	Blocked Outcome = "blocked" // no connection came about
	Denied  Outcome = "denied"  // the API server refused the pod
)

// The two tenants, and the container that all pods of the experiments have.
const (
	alice = "alice"
	bob   = "bob"
	app   = "app"
)

// stage is where an experiment is played: the cluster, without or with Bulkhead in it.
type stage struct {
	*cluster.Cluster
	protected bool // Bulkhead is installed, and alice and bob are tenants
}

// role is a pod that an experiment needs: whose, by which manifest, and how it differs from that.
type role struct {
	namespace, manifest string
	changes             []change
}

// start creates the pods of an experiment and waits until all are Ready.
func (s *stage) start(ctx context.Context, roles ...role) ([]*corev1.Pod, error) {
	pods := make([]*corev1.Pod, len(roles))
	for i, r := range roles {
		p, err := pod(r.namespace, r.manifest, r.changes...)
		if err != nil {
			return nil, err
		}
		if pods[i], err = s.Client().CoreV1().Pods(r.namespace).Create(ctx, p, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	for i, p := range pods {
		var err error
		if pods[i], err = s.WaitPodReady(ctx, p.Namespace, p.Name); err != nil {
			return nil, err
		}
	}
	return pods, nil
}

// opponents starts alice's server and a client of bob's, each with changes of its own.
func (s *stage) opponents(ctx context.Context, toServer, toClient []change) (server, client *corev1.Pod, err error) {
	pods, err := s.start(ctx, role{alice, "server", toServer}, role{bob, "client", toClient})
	if err != nil {
		return nil, nil, err
	}
	return pods[0], pods[1], nil
}

// clear removes all pods of both tenants.
func (s *stage) clear(ctx context.Context) error {
	var errs []error
	for _, namespace := range []string{alice, bob} {
		pods, err := s.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, p := range pods.Items {
			errs = append(errs, s.DeletePod(ctx, namespace, p.Name))
		}
	}
	return errors.Join(errs...)
}

// addresses are those of a pod that an attempt is made on. Without Bulkhead only IPv4, where the thesis' rules are:
// that IPv6 is open then would be no merit of an attack.
func (s *stage) addresses(p *corev1.Pod) []string {
	var addresses []string
	for _, ip := range p.Status.PodIPs {
		if s.protected || net.ParseIP(ip.IP).To4() != nil {
			addresses = append(addresses, ip.IP)
		}
	}
	return addresses
}

// wget tries to fetch the server's page from a pod, at all of the server's addresses at once. One that answers is
// enough to have Reached it.
func (s *stage) wget(ctx context.Context, from, server *corev1.Pod) (Outcome, error) {
	addresses := s.addresses(server)
	outcomes, errs := make([]Outcome, len(addresses)), make([]error, len(addresses))
	var attempts sync.WaitGroup
	for i, address := range addresses {
		attempts.Go(func() { outcomes[i], errs[i] = s.wgetAddress(ctx, from, server, address) })
	}
	attempts.Wait()
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	if slices.Contains(outcomes, Reached) {
		return Reached, nil
	}
	return Blocked, nil
}

func (s *stage) wgetAddress(ctx context.Context, from, server *corev1.Pod, address string) (Outcome, error) {
	url := "http://" + net.JoinHostPort(address, "8080") + "/"
	// Two seconds are a retransmission of a dropped SYN, and thousands of round trips here.
	result, err := s.Exec(ctx, from.Namespace, from.Name, app, "/bin/timeout", "2", "/bin/wget", "-q", "-O", "-", url)
	switch {
	case err != nil:
		return "", err
	case result.ExitCode == 0 && strings.TrimSpace(result.Stdout) == "what belongs to "+server.Namespace:
		return Reached, nil
	case result.ExitCode == 0:
		return "", fmt.Errorf("wget %s from %s/%s fetched something else: %q", url, from.Namespace, from.Name, result.Stdout)
	case !isNoConnection(result):
		return "", fmt.Errorf("wget %s from %s/%s ended with %d: %s", url, from.Namespace, from.Name, result.ExitCode, result.Stderr)
	}
	return Blocked, nil
}

// isNoConnection tells a connection that was not made from a client that is broken. busybox' timeout ends with 143,
// SIGTERM's, when it had to; wget itself says what connect(2) said.
func isNoConnection(result cluster.ExecResult) bool {
	return result.ExitCode == 143 || strings.Contains(result.Stderr, "can't connect to remote host")
}

// expect fails unless a wget comes to an outcome; it is for what must hold before an attack is worth anything.
func (s *stage) expect(ctx context.Context, want Outcome, from, server *corev1.Pod, when string) error {
	got, err := s.wget(ctx, from, server)
	if err == nil && got != want {
		err = fmt.Errorf("wget from %s to %s %s: %s, not %s", from.Namespace, server.Namespace, when, got, want)
	}
	return err
}

// isRefusal tells a denial of admission from other errors, a webhook that does not answer among them.
func isRefusal(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "denied the request")
}
