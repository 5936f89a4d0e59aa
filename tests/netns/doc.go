// Package netns holds the tests of the sidecar against a real kernel: network
// namespaces as pods, a node, and the world beyond it, with real iptables, ip6tables
// and ipset. Each threat of the threat model is first shown to work without the
// rules and then to be stopped by them, while traffic that must pass still does.
//
// The namespaces have no name and no route out of the test; the kernel removes
// them with the test's last thread, however the test ends. They need root and
// Linux: without, the tests are skipped and say so.
package netns
