//go:build linux

package netns

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tampering is what somebody with NET_ADMIN in the pod might do (L7).
type tampering struct {
	command string
	// opens says that bob gets through until the repair; otherwise the rules
	// close by themselves.
	opens bool
	// says are words of the sidecar's report.
	says string
	// stays is a foreign rule that is left where it does nothing.
	stays string
}

// TestTamperingIsRepaired holds that the running sidecar finds each tampering,
// reports it in one line, counts it, and restores the rules.
func TestTamperingIsRepaired(t *testing.T) {
	needs(t, "nft")
	tamperings := map[string]tampering{
		"rules flushed":               {command: "iptables-nft -F", says: "IPv4 INPUT has as rule 1: nothing"},
		"IPv6 rules flushed":          {command: "ip6tables-nft -F", says: "IPv6 INPUT has as rule 1: nothing"},
		"chain flushed":               {command: "iptables-nft -F BULKHEAD-INPUT", says: "IPv4 BULKHEAD-INPUT is empty"},
		"jump deleted":                {command: "iptables-nft -D OUTPUT 1", says: "IPv4 OUTPUT has as rule 1: -m comment"},
		"deny rule deleted":           {command: `iptables-nft -D BULKHEAD-INPUT -s 172.16.0.0/16 -m comment --comment "P1 P9: another tenant, by the address alone" -g BULKHEAD-DROP-P1`, opens: true, says: "IPv4 BULKHEAD-INPUT"},
		"policy opened":               {command: "iptables-nft -P INPUT ACCEPT", says: "IPv4 INPUT has the policy ACCEPT"},
		"policy opened, then flushed": {command: "iptables-nft -P INPUT ACCEPT; iptables-nft -F", opens: true, says: "IPv4 INPUT"},
		"accept in front of the jump": {command: "iptables-nft -I INPUT 1 -j ACCEPT", opens: true, says: "IPv4 INPUT has as rule 1: -j ACCEPT", stays: "-A INPUT -j ACCEPT\n"},
		"accept in our chain":         {command: "iptables-nft -I BULKHEAD-INPUT 1 -j ACCEPT", opens: true, says: "IPv4 BULKHEAD-INPUT has as rule 1: -j ACCEPT"},
		"table deleted":               {command: "nft delete table ip filter", opens: true, says: "IPv4 INPUT"},
		"whole ruleset flushed":       {command: "nft flush ruleset", opens: true, says: "IPv6 INPUT"},
		"table put to sleep":          {command: "nft add table ip filter '{ flags dormant; }'", opens: true, says: "IPv4 filter table has the flags 0x1"},
		"priority changed":            {command: "nft 'delete table ip6 filter; add table ip6 filter; add chain ip6 filter INPUT { type filter hook input priority 7; }'", says: "IPv6"},
		"guard altered":               {command: "nft flush table inet bulkhead-guard; nft add rule inet bulkhead-guard L8-input accept", says: "the guard stands, or is not as it was made"},
		"a rule iptables cannot read, in our chain": {
			command: "nft insert rule ip filter BULKHEAD-INPUT numgen inc mod 1 0 accept", opens: true, says: "IPv4 cannot be read",
		},
		"a rule iptables cannot read, in INPUT": {
			command: "nft insert rule ip filter INPUT numgen inc mod 1 0 accept", opens: true, says: "IPv4 cannot be read",
		},
		"set emptied":     {command: "ipset flush bulkhead-peers-4", says: "set bulkhead-peers-4 lacks 172.16.1.0/24"},
		"stranger in set": {command: "ipset add bulkhead-peers-4 172.16.2.0/24", opens: true, says: "set bulkhead-peers-4 has 172.16.2.0/24 too much"},
	}
	for name, tampering := range tamperings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			s := l.alice1.run(t, alice())
			s.says(t, "rules brought in")
			whole := l.alice1.filter(t)
			l.alice1.sh(t, tampering.command)
			report := s.says(t, "tampered", tampering.says)
			var line struct {
				Level, Tenant string
				Tamperings    int
				Differences   []string
			}
			if err := json.Unmarshal([]byte(report), &line); err != nil {
				t.Fatal(err)
			}
			if line.Level != "WARN" || line.Tenant != "alice" || line.Tamperings < 1 || len(line.Differences) == 0 {
				t.Errorf("reported as %s", report)
			}
			var diff string // two commands may be two tamperings
			if !eventually(func() bool {
				diff = cmp.Diff(whole, strings.Replace(l.alice1.filter(t), tampering.stays, "", 1))
				return diff == ""
			}) {
				t.Errorf("after the repair (-before +after):\n%s", diff)
			}
			if reachesIPv4(t, l, false) {
				t.Error("bob reaches alice1 after the repair")
			}
			l.passes(t)
		})
		t.Run(name+", nobody there to repair", func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.alice1.protect(t, alice())
			l.alice1.sh(t, tampering.command)
			if opens := reachesIPv4(t, l, tampering.opens); opens != tampering.opens {
				t.Errorf("the tampering opens the pod: %v, want %v", opens, tampering.opens)
			}
		})
	}
}

// filter is the filter table of both families and the sets, without counters; the
// chains in one order, though the kernel lists a new table's in another.
func (p *pod) filter(t testing.TB) string {
	t.Helper()
	var all []string
	for _, command := range []string{"iptables-nft -S", "ip6tables-nft -S", "ipset save | grep ^add"} {
		lines := rulesOnly(p.sh(t, command)) // another test's legacy tables make iptables warn
		slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(chain(a), chain(b)) })
		all = append(all, lines...)
	}
	return strings.Join(all, "\n")
}

func chain(line string) string {
	return strings.Join(strings.Fields(line)[:min(2, len(strings.Fields(line)))], " ")
}

// TestForeignRulesCannotOpen holds that what others add beside Bulkhead's table
// lets nothing through and is left alone.
func TestForeignRulesCannotOpen(t *testing.T) {
	needs(t, "nft")
	t.Parallel()
	l := newLab(t)
	s := l.alice1.run(t, alice())
	s.says(t, "rules brought in")
	l.alice1.sh(t, `nft add table inet foreign
		nft add chain inet foreign in '{ type filter hook input priority -300; policy accept; }'
		nft add rule inet foreign in accept
		nft add chain inet foreign late '{ type filter hook input priority 300; policy accept; }'
		nft add rule inet foreign late accept
		iptables-nft -A INPUT -j ACCEPT
		iptables-nft -t nat -A PREROUTING -p tcp --dport 81 -j REDIRECT --to-ports 80`)
	time.Sleep(silence)
	if reachesIPv4(t, l, false) || reachesTCP(t, l, false) {
		t.Error("bob reaches alice1")
	}
	for _, foreign := range []string{"nft list table inet foreign", "iptables-nft -C INPUT -j ACCEPT", "iptables-nft -t nat -S PREROUTING | grep REDIRECT"} {
		l.alice1.sh(t, foreign)
	}
	if err := s.ends(t, 15); err != nil {
		t.Error(err)
	}
	for line := range s.lines {
		t.Errorf("reported, though nothing of ours was touched: %s", line)
	}
	l.passes(t)
}

// TestUnreadableTableIsBuiltAnew: a rule that iptables cannot read, in a chain that is
// not Bulkhead's, makes the table unreadable for good. It is thrown away behind the
// guard.
func TestUnreadableTableIsBuiltAnew(t *testing.T) {
	needs(t, "nft")
	t.Parallel()
	l := newLab(t)
	s := l.alice1.run(t, alice())
	s.says(t, "rules brought in")
	l.alice1.sh(t, "nft add chain ip filter foreign; nft add rule ip filter foreign numgen inc mod 1 0 accept; iptables-nft -F INPUT")
	s.says(t, "tampered", "IPv4 cannot be read")
	if reachesIPv4(t, l, false) {
		t.Error("bob reaches alice1")
	}
	l.passes(t)
}

// TestRulesThatRewriteClose: what others' rules make of a packet behind the firewall's
// back, nobody judges. The pod is closed until they are gone.
func TestRulesThatRewriteClose(t *testing.T) {
	needs(t, "nft")
	for name, rule := range map[string]string{
		"SNAT":             "iptables-nft -t nat -A POSTROUTING -j SNAT --to-source 172.16.2.10",
		"native SNAT":      "nft 'add table ip x; add chain ip x p { type nat hook postrouting priority 100; }; add rule ip x p snat to 172.16.2.10'",
		"written payload":  "nft 'add table ip x; add chain ip x p { type filter hook prerouting priority -300; }; add rule ip x p ip saddr set 172.16.1.11'",
		"stranger let in":  "iptables-nft -t mangle -A PREROUTING -j SET --add-set bulkhead-peers-4 src",
		"forwarded by tc":  "nft 'add table netdev x; add chain netdev x p { type filter hook ingress device eth0 priority 0; }; add rule netdev x p fwd to lo'",
		"queue to program": "iptables-nft -t mangle -A PREROUTING -p tcp --dport 9 -j NFQUEUE",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			s := l.alice1.run(t, alice())
			s.says(t, "rules brought in")
			l.alice1.sh(t, rule)
			s.says(t, "rules are not in force", "could change packets behind its back")
			if reachesIPv4(t, l, false) || udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, false) {
				t.Error("the pod is open")
			}
			if out, err := l.alice1.init(t, alice()); err == nil || !strings.Contains(out, "could change packets") {
				t.Errorf("a new start: %v\n%s", err, out)
			}
			l.alice1.sh(t, "for t in ip:nat ip:mangle ip:x netdev:x; do nft delete table ${t%:*} ${t#*:} 2>/dev/null || true; done")
			if !eventually(func() bool { return udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, false) }) {
				t.Error("the pod stays closed")
			}
			if reachesIPv4(t, l, false) {
				t.Error("bob reaches alice1")
			}
		})
	}
}

// TestMeshIsLeftAlone: what a service mesh's CNI plugin sets up in a pod changes nothing
// that the rules judge.
func TestMeshIsLeftAlone(t *testing.T) {
	needs(t, "nft")
	t.Parallel()
	l := newLab(t)
	const mesh = `iptables-nft -t nat -N ISTIO_OUTPUT; iptables-nft -t nat -A OUTPUT -j ISTIO_OUTPUT
		iptables-nft -t nat -A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
		iptables-nft -t nat -A ISTIO_OUTPUT -p tcp --dport 15999 -j REDIRECT --to-ports 15001
		iptables-nft -t nat -A PREROUTING -p tcp --dport 15998 -j REDIRECT --to-ports 15006
		iptables-nft -t mangle -A PREROUTING -p tcp -m mark --mark 0x539/0xfff -j CONNMARK --set-xmark 0x111/0xfff
		iptables-nft -t raw -A OUTPUT -p udp --dport 15053 -j CT --zone 1
		iptables-nft -t nat -A POSTROUTING -o eth0 -s 10.99.0.0/16 -j MASQUERADE`
	l.alice1.sh(t, mesh)
	l.alice1.protect(t, alice())
	s := l.alice1.run(t, alice())
	l.alice1.sh(t, "iptables-nft -t nat -A PREROUTING -p tcp --dport 15997 -j REDIRECT --to-ports 15006")
	time.Sleep(silence)
	if reachesIPv4(t, l, false) {
		t.Error("bob reaches alice1")
	}
	l.passes(t)
	if err := s.ends(t, 15); err != nil {
		t.Error(err)
	}
	for line := range s.lines {
		t.Errorf("reported, though nothing of ours was touched: %s", line)
	}
}
