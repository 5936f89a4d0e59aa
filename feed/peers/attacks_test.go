package peers

import (
	"errors"
	"testing"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// A tenant that has been given the namespace default cannot make its pods everybody's
// peers by a selector on the API server's Service, which everybody shares (S1).
func TestOwnerOfTheAPIServersNamespace(t *testing.T) {
	for name, service := range map[string]string{"the API server's": "kubernetes", "another": "ingress"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "default/"+service)
			w.SetTenants([]Tenant{
				{Name: "mallory", Namespaces: []string{"default"}, Identity: true}, {Name: "alice", Namespaces: []string{"alice"}, Identity: true},
			})
			w.Begin()
			w.runs("alice", "web", "10.0.0.1")
			w.runs("default", service, "10.0.0.2") // has the label that the Service selects
			w.serves("default", service, "10.96.0.1")
			if service == "kubernetes" {
				w.connects("alice", "web", 0).expects("10.0.0.1", "10.96.0.1")
				if peers := w.fresh("default").Peers; len(peers) != 2 {
					t.Errorf("everybody's pods are told to mallory: %s", texts(peers))
				}
				return
			}
			w.connects("alice", "web", 0).expects("10.0.0.1", "10.0.0.2", "10.96.0.1") // as the administrator shares it
		})
	}
}

// Ranges that have become too many to be told fail loudly, though the old ones are known.
func TestRangesThatCannotBeToldAnyMore(t *testing.T) {
	w := newWorld(t)
	if err := w.RangesKnown(); err != nil {
		t.Fatal(err)
	}
	w.SetUnknown(errors.New("too many"))
	if w.RangesKnown() == nil {
		t.Error("a new node's addresses are taken for the world's, and nobody hears of it")
	}
	more := testCluster
	more.Nodes = nil
	for _, ranges := range []protocol.Cluster{more, more} {
		if err := w.SetCluster(ranges); err != nil || w.RangesKnown() != nil {
			t.Error(err, w.RangesKnown())
		}
	}
}
