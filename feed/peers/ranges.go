package peers

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// SetUnknown says why the ranges cannot be known. Those that were known count on for the
// pods that there are: new ones wait until somebody has done what RangesKnown says.
func (s *Store) SetUnknown(why error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.problem = why
}

// SetCluster takes the cluster's ranges, or says what is wrong with them.
func (s *Store) SetCluster(ranges protocol.Cluster) error {
	if err := ranges.Validate(); err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.problem = nil
	if slices.Equal(s.cluster.Pods, ranges.Pods) && slices.Equal(s.cluster.Services, ranges.Services) && slices.Equal(s.cluster.Nodes, ranges.Nodes) {
		return nil
	}
	var c concern
	for address, h := range s.holders {
		before, after := s.cluster.Pods, ranges.Pods
		if h.service != nil {
			before, after = s.cluster.Services, ranges.Services
		}
		if holds(before, address) != holds(after, address) {
			c.addresses = append(c.addresses, address)
		}
	}
	for address := range s.externals {
		c.externals = append(c.externals, address)
	}
	s.change(c, func() { s.cluster = ranges })
	for _, n := range s.namespaces {
		if n.view != nil {
			n.publish(&protocol.Delta{Cluster: &ranges, Revision: s.revision})
		}
	}
	return nil
}
