package peers

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// slack is what is added to a lease before it is taken to be over everywhere.
const slack = 5 * time.Second

// Options are the settings of a Store.
type Options struct {
	// Shared is what every tenant with addressing identity shares.
	Shared []string
	// Lease is how long a sidecar believes what it was told.
	Lease time.Duration
	// Now is the clock; nil: the system's.
	Now func() time.Time
}

// Store holds what is known of the cluster. It is safe for concurrent use.
type Store struct {
	shared []string
	lease  time.Duration
	now    func() time.Time

	mutex      sync.Mutex
	cluster    protocol.Cluster // of no ranges: unknown
	problem    error            // why they are not known, or no longer; nil: they are
	revision   uint64           // of the pods
	namespaces map[string]*namespace
	tenants    map[string]*tenant
	// sharers are the tenants that share something of a namespace, by its name.
	sharers map[string][]*tenant
	// holders is who has an address.
	holders map[netip.Addr]holder
	// externals are the Services that have an external address.
	externals map[netip.Addr][]*service
	// ending are pods that end at their deadline.
	ending  map[*pod]struct{}
	tombs   map[netip.Addr][]*tomb
	wanted  map[*tomb]struct{}
	swept   time.Time            // when all tombs were looked at
	begun   *beginning           // nil: not yet
	members map[string][]*Member // by the pod's UID
}

// NewStore returns a Store that knows nothing.
func NewStore(o Options) *Store {
	s := &Store{
		problem: errors.New("the cluster's ranges are not read yet"),
		shared:  o.Shared, lease: o.Lease, now: o.Now,
		namespaces: map[string]*namespace{}, tenants: map[string]*tenant{}, sharers: map[string][]*tenant{},
		holders: map[netip.Addr]holder{}, externals: map[netip.Addr][]*service{},
		ending: map[*pod]struct{}{}, tombs: map[netip.Addr][]*tomb{}, wanted: map[*tomb]struct{}{}, members: map[string][]*Member{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// namespace is one that exists, belongs to somebody or is listened to.
type namespace struct {
	name     string
	tenant   *tenant // nil: nobody's
	pods     map[string]*pod
	services map[string]*service
	members  map[*Member]struct{}
	view     *view // nil: nobody listens
	version  uint64
}

type pod struct {
	Pod
	namespace *namespace
	// lost are addresses that the API server still shows here and that another pod
	// has claimed since: they do not come back.
	lost []netip.Addr
}

type service struct {
	Service
	namespace *namespace
}

// holder has an address: exactly one is set.
type holder struct {
	pod     *pod
	service *service
}

func (h holder) namespace() *namespace {
	switch {
	case h.pod != nil:
		return h.pod.namespace
	case h.service != nil:
		return h.service.namespace
	}
	return nil
}

// owner is whose an address is: a tenant's, or an unassigned namespace's.
type owner struct{ tenant, namespace string }

func (n *namespace) owner() owner {
	switch {
	case n == nil:
		return owner{}
	case n.tenant != nil:
		return owner{tenant: n.tenant.name}
	}
	return owner{namespace: n.name}
}

func (s *Store) namespace(name string) *namespace {
	n := s.namespaces[name]
	if n == nil {
		n = &namespace{name: name, pods: map[string]*pod{}, services: map[string]*service{}, members: map[*Member]struct{}{}}
		s.namespaces[name] = n
	}
	return n
}

// tidy forgets a namespace of which nothing is left.
func (s *Store) tidy(n *namespace) {
	if len(n.pods) == 0 && len(n.services) == 0 && n.tenant == nil && len(n.members) == 0 {
		delete(s.namespaces, n.name)
	}
}

// Ranges are the cluster's ranges as sidecars are told them; of no ranges: they are
// not known.
func (s *Store) Ranges() protocol.Cluster {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.cluster
}

// RangesKnown says why the cluster's ranges are not known, or have become others that
// cannot be told, and what to do about it. Without any no pod hears of its peers.
func (s *Store) RangesKnown() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.problem
}

// Holder names the tenant whose live pod has the address; empty: nobody's.
func (s *Store) Holder(address netip.Addr) string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if p := s.holders[address].pod; p != nil && p.namespace.tenant != nil {
		return p.namespace.tenant.name
	}
	return ""
}

// Denied tells whether the address is an external one of another tenant's, that this
// tenant may not reach.
func (s *Store) Denied(tenant string, address netip.Addr) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.denied(s.tenants[tenant], address)
}

// Connected counts the pods of each tenant that hear of their peers.
func (s *Store) Connected() map[string]int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	count := map[string]int{}
	for _, members := range s.members {
		if t := members[0].namespace.tenant; t != nil && slices.ContainsFunc(members, func(m *Member) bool { return m.cursor != nil }) {
			count[t.name]++
		}
	}
	return count
}

func holds(ranges []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(address) })
}
