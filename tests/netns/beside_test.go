//go:build linux

package netns

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/sidecar/apply"
)

// TestStartBesideOthers holds that what others have set before the sidecar came can
// drop packets and let none through, and stays.
func TestStartBesideOthers(t *testing.T) {
	needs(t, "nft")
	cases := map[string]struct{ before, stays string }{
		"accepting rules in front":  {"iptables-nft -A INPUT -j ACCEPT; ip6tables-nft -A INPUT -j ACCEPT; iptables-nft -A OUTPUT -j ACCEPT", "iptables-nft -C INPUT -j ACCEPT; ip6tables-nft -C INPUT -j ACCEPT"},
		"a chain of somebody's":     {"iptables-nft -N ISTIO; iptables-nft -A ISTIO -j ACCEPT; iptables-nft -A INPUT -j ISTIO", "iptables-nft -C ISTIO -j ACCEPT"},
		"nftables of its own":       {"nft add table inet foreign; nft add chain inet foreign in '{ type filter hook input priority -300; policy accept; }'; nft add rule inet foreign in accept", "nft list table inet foreign"},
		"a set of the name of ours": {"ipset create bulkhead-peers-4 hash:net; ipset add bulkhead-peers-4 172.16.0.0/16", "true"},
		"our set, of another type":  {"ipset create bulkhead-peers-4 hash:ip; ipset add bulkhead-peers-4 172.16.2.10", "true"},
		"chains of the names of ours": {
			"iptables-nft -N BULKHEAD-INPUT; iptables-nft -A BULKHEAD-INPUT -j ACCEPT; iptables-nft -A INPUT -j BULKHEAD-INPUT", "true",
		},
		"legacy iptables beside nft": {"iptables-legacy -A INPUT -j ACCEPT; ip6tables-legacy -A INPUT -j ACCEPT", "iptables-legacy -C INPUT -j ACCEPT"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			if strings.Contains(test.before, "legacy") {
				if err := l.alice1.Do(func() error { return exec.Command("iptables-legacy", "-S").Run() }); err != nil {
					t.Skipf("the kernel has no legacy iptables: %v", err)
				}
			}
			l.alice1.sh(t, test.before)
			if !reachesIPv4(t, l, true) || !udp(t, l.bob.namespace, l.alice1.namespace, l.alice1.ipv6, true) {
				t.Fatal("nothing arrives without our rules: this test proves nothing")
			}
			l.alice1.protect(t, alice())
			if reachesIPv4(t, l, false) || udp(t, l.bob.namespace, l.alice1.namespace, l.alice1.ipv6, false) {
				t.Error("bob reaches alice1")
			}
			l.passes(t)
			l.alice1.sh(t, test.stays)
		})
	}
}

// TestStartAmongWriters: others who change nftables all the while, and so make the
// kernel refuse transactions, may keep the rules from coming in. Then the sidecar says
// so and the pod is closed; it never is open, and the rules come in when they stop.
func TestStartAmongWriters(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	writer := exec.CommandContext(ctx, "sh", "-c", "iptables-nft -N FOREIGN; while :; do iptables-nft -A FOREIGN -j RETURN; iptables-nft -F FOREIGN; done")
	l.alice1.must(t, writer.Start)
	for range 5 {
		out, err := l.alice1.init(t, alice())
		if err != nil && !strings.Contains(out, "others keep changing the rules") {
			t.Errorf("failed with %v and without saying why: %s", err, out)
		}
		if reachesIPv4(t, l, false) || udp(t, l.bob.namespace, l.alice1.namespace, l.alice1.ipv6, false) {
			t.Error("bob reaches alice1")
		}
	}
	cancel()
	_ = writer.Wait()
	l.alice1.protect(t, alice())
	l.passes(t)
}

// TestLockIsWaitedFor holds that legacy iptables' lock in others' hands delays the
// rules and no more.
func TestLockIsWaitedFor(t *testing.T) {
	needs(t, "iptables-legacy", "ip6tables-legacy", "flock")
	l := newLab(t)
	if err := l.alice1.Do(func() error { return exec.Command("iptables-legacy", "-S").Run() }); err != nil {
		t.Skipf("the kernel has no legacy iptables: %v", err)
	}
	lock := t.TempDir() + "/xtables.lock"
	t.Setenv("XTABLES_LOCKFILE", lock)
	hold := func(seconds string) (release func()) {
		holder := exec.Command("flock", lock, "sleep", seconds)
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		return func() { _ = holder.Process.Kill(); _ = holder.Wait() }
	}
	defer hold("1")()
	began := time.Now()
	if err := l.alice1.ensure(t, apply.Legacy, alice(), &failing{}); err != nil {
		t.Fatalf("with the lock held for a second: %v", err)
	}
	if time.Since(began) < 500*time.Millisecond {
		t.Error("the lock was not waited for: this test proves nothing")
	}
	if reachesIPv4(t, l, false) {
		t.Error("bob reaches alice1")
	}
	l.passes(t)
}
