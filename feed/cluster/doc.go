// Package cluster tells a peers.Store what the API server says: pods, Services, and the
// cluster's own ranges, which Nodes and ServiceCIDRs show where they are not configured.
//
// It keeps no objects: what arrives is trimmed as it is read (kept.go), a page or an
// event at a time, so that a cluster of 100,000 pods costs no more than what the Store
// keeps of them.
package cluster
