package protocol

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Validate says what is wrong with a line from a sidecar.
func (m *ToServer) Validate() error {
	if (m.Hello != nil) == (m.Ack != nil) {
		return errors.New("not exactly one of hello and ack is set")
	}
	if m.Hello == nil {
		return nil
	}
	if len(m.Hello.Addresses) > MaxAddresses {
		return fmt.Errorf("hello.addresses: more than %d", MaxAddresses)
	}
	return validAddresses("hello.addresses", m.Hello.Addresses)
}

// Validate says what is wrong with a line from the server. A wrong one must change
// nothing.
func (m *ToSidecar) Validate() error {
	set := 0
	for _, is := range []bool{m.Snapshot != nil, m.Delta != nil, m.Heartbeat != nil, m.Held != nil} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return fmt.Errorf("%d of snapshot, delta, heartbeat and held are set, not one", set)
	case m.Snapshot != nil:
		return m.Snapshot.validate()
	case m.Delta != nil:
		return m.Delta.validate()
	case m.Held != nil && m.Held.Reason != Text(m.Held.Reason):
		return errors.New("held.reason: too long, or not printable")
	}
	return nil
}

func (s *Snapshot) validate() error {
	if s.LeaseMilliseconds <= 0 || s.LeaseMilliseconds > MaxLeaseMilliseconds {
		return fmt.Errorf("snapshot.leaseMilliseconds: not between 1 and %d", MaxLeaseMilliseconds)
	}
	if len(s.Peers)+len(s.Denied)+len(s.Open) > MaxEntries {
		return fmt.Errorf("snapshot: more than %d entries", MaxEntries)
	}
	return errors.Join(s.Cluster.Validate(), validAddresses("snapshot.peers", s.Peers),
		validAddresses("snapshot.denied", s.Denied), validOpen("snapshot.open", s.Open))
}

func (d *Delta) validate() error {
	if d.Entries() > MaxEntries {
		return fmt.Errorf("delta: more than %d entries", MaxEntries)
	}
	err := errors.Join(
		validAddresses("delta.remove", d.Remove), validAddresses("delta.add", d.Add),
		validAddresses("delta.removeDenied", d.RemoveDenied), validAddresses("delta.addDenied", d.AddDenied),
		validOpen("delta.removeOpen", d.RemoveOpen), validOpen("delta.addOpen", d.AddOpen))
	if d.Cluster != nil {
		err = errors.Join(err, d.Cluster.Validate())
	}
	return err
}

// Entries counts the delta's addresses and ports.
func (d *Delta) Entries() int {
	return len(d.Remove) + len(d.Add) + len(d.RemoveDenied) + len(d.AddDenied) + len(d.RemoveOpen) + len(d.AddOpen)
}

// Validate wants each range in canonical form, and none of them to hold every address.
// There must be ranges of pods and Services: without them nothing inside the cluster
// would be dropped.
func (c *Cluster) Validate() error {
	for _, list := range []struct {
		name   string
		ranges []netip.Prefix
	}{{"pods", c.Pods}, {"services", c.Services}, {"nodes", c.Nodes}} {
		if len(list.ranges) > MaxRanges {
			return fmt.Errorf("cluster.%s: more than %d ranges", list.name, MaxRanges)
		}
		for i, p := range list.ranges {
			if !p.IsValid() || p != p.Masked() || p.Bits() == 0 || p.Addr().Is4In6() {
				return fmt.Errorf("cluster.%s[%d]: %s is no range in canonical form", list.name, i, p)
			}
		}
	}
	if len(c.Pods) == 0 || len(c.Services) == 0 {
		return errors.New("cluster: no ranges of pods or of services")
	}
	return nil
}

func validOpen(field string, all []Open) error {
	for i, open := range all {
		if !ValidAddress(open.Address) || open.Port == 0 || !slices.Contains(Protocols(), open.Protocol) {
			return fmt.Errorf("%s[%d]: %v is no address, protocol and port", field, i, open)
		}
	}
	return nil
}

func validAddresses(field string, all []netip.Addr) error {
	for i, address := range all {
		if !ValidAddress(address) {
			return fmt.Errorf("%s[%d]: %s is no address of a pod or Service", field, i, address)
		}
	}
	return nil
}

// ValidAddress tells whether it can be a pod's or a Service's: one host's, of global
// scope, in its family's own form.
func ValidAddress(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && a.IsGlobalUnicast()
}
