package peers

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// maxMembers of a pod: bulkhead-init and bulkhead-firewall. The next one ends the oldest,
// which may be a connection whose other end is gone.
const maxMembers = 2

// PodRef says which pod a Member is.
type PodRef struct{ Namespace, Name, UID string }

// Member is a pod that wants to hear who its peers are.
type Member struct {
	store     *Store
	pod       PodRef
	hello     protocol.Hello
	tenant    *tenant
	namespace *namespace
	joined    time.Time
	cursor    *Line // nil: has no snapshot yet
	acked     atomic.Uint64
	done      chan struct{}
	reason    string // of done
}

// The reasons not to be let in.
var (
	ErrNoTenant = errors.New("the pod's namespace has no tenant")
	ErrEnded    = errors.New("the pod has ended")
	ErrNotReady = errors.New("the pod is not known here yet")
)

// Join lets a pod in. What it says of itself can only make it wait. Leave must follow.
func (s *Store) Join(ref PodRef, hello protocol.Hello) (*Member, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := s.admits(ref); err != nil {
		return nil, err
	}
	n := s.namespaces[ref.Namespace]
	m := &Member{
		store: s, pod: ref, hello: hello, tenant: n.tenant, namespace: n, joined: s.now(), done: make(chan struct{}),
	}
	if others := s.members[ref.UID]; len(others) >= maxMembers {
		s.dismiss(others[0], "the pod has a newer stream")
	}
	s.members[ref.UID] = append(s.members[ref.UID], m)
	n.members[m] = struct{}{}
	return m, nil
}

// Admits says why a pod may not join.
func (s *Store) Admits(ref PodRef) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.admits(ref)
}

func (s *Store) admits(ref PodRef) error {
	n := s.namespaces[ref.Namespace]
	switch {
	case s.begun == nil:
		return ErrNotReady
	case n == nil || n.tenant == nil:
		return ErrNoTenant
	}
	p := n.pods[ref.Name]
	switch {
	case p == nil || p.UID != ref.UID:
		return ErrNotReady
	case p.ended(s.now()):
		return ErrEnded
	case !p.Scheduled:
		return ErrNotReady // and has no use of a place that others need
	}
	return nil
}

// Tenant is whose the pod is.
func (m *Member) Tenant() string { return m.tenant.name }

// Listen gives the snapshot and where its deltas begin, or says why it must wait: ask
// again, nobody will call.
func (m *Member) Listen() (snapshot [][]byte, from *Line, held string, err error) {
	s := m.store
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if m.reason != "" {
		return nil, nil, "", errors.New(m.reason)
	}
	n := m.namespace
	if held := s.held(m); held != "" {
		return nil, nil, held, nil
	}
	if n.view == nil {
		n.version++
		n.view = &view{last: newLine(n.version, nil)}
	}
	lines, err := s.lines(n)
	if err != nil {
		return nil, nil, "", err
	}
	m.cursor = n.view.last
	return lines, n.view.last, "", nil
}

// held says why a pod must wait for its snapshot; empty: it need not.
func (s *Store) held(m *Member) string {
	if len(s.cluster.Pods) == 0 {
		return s.problem.Error()
	}
	p := m.namespace.pods[m.pod.Name] // is there, or the Member would have been cut
	if m.hello.Revision > s.revision && s.now().Sub(m.joined) < s.lease+slack {
		return "this replica knows less than the one before"
	}
	if s.tooYoung(p) {
		return "the feed has just begun and does not know yet whose the pod's address was before"
	}
	for _, address := range slices.Concat(m.hello.Addresses, p.Addresses) {
		if s.haunted(address, m.namespace.owner()) {
			return fmt.Sprintf("%s was another's a moment ago, whose peers have not all let go of it", address)
		}
		other := s.holders[address].pod
		if other != nil && other.namespace.owner() != m.namespace.owner() && s.now().Sub(m.joined) < s.lease+slack {
			return fmt.Sprintf("%s is another's still", address)
		}
	}
	return ""
}

// Ack says that the pod has applied a version.
func (m *Member) Ack(version uint64) { m.acked.Store(version) }

// Done is closed when the pod may hear no more; Reason says why.
func (m *Member) Done() <-chan struct{} { return m.done }

// Reason is why Done is closed.
func (m *Member) Reason() string {
	m.store.mutex.Lock()
	defer m.store.mutex.Unlock()
	return m.reason
}

// Version is the last one that was told in the pod's namespace.
func (m *Member) Version() uint64 {
	m.store.mutex.Lock()
	defer m.store.mutex.Unlock()
	return m.namespace.version
}

// Leave is the end.
func (m *Member) Leave() {
	m.store.mutex.Lock()
	defer m.store.mutex.Unlock()
	m.store.dismiss(m, "left")
}

// cut ends all members of a pod.
func (s *Store) cut(uid, reason string) {
	for _, m := range slices.Clone(s.members[uid]) {
		s.dismiss(m, reason)
	}
}

// cutAll ends all of a namespace's.
func (s *Store) cutAll(n *namespace, reason string) {
	for m := range n.members {
		s.dismiss(m, reason)
	}
}

func (s *Store) dismiss(m *Member, reason string) {
	if m.reason != "" {
		return
	}
	m.reason = reason
	close(m.done)
	rest := slices.DeleteFunc(slices.Clone(s.members[m.pod.UID]), func(other *Member) bool { return other == m })
	if s.members[m.pod.UID] = rest; len(rest) == 0 {
		delete(s.members, m.pod.UID)
	}
	n := m.namespace
	delete(n.members, m)
	for other := range n.members {
		if other.cursor != nil {
			return
		}
	}
	n.view = nil
	s.tidy(n)
}
