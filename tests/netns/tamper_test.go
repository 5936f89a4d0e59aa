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
		lines := strings.Split(p.sh(t, command), "\n")
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

// TestBeyondRepairCloses: a rule that iptables cannot read in a chain that is not
// Bulkhead's makes the table unreadable for good. The pod must be closed until
// somebody removes it.
func TestBeyondRepairCloses(t *testing.T) {
	needs(t, "nft")
	t.Parallel()
	l := newLab(t)
	s := l.alice1.run(t, alice())
	s.says(t, "rules brought in")
	l.alice1.sh(t, "nft add chain ip filter foreign; nft add rule ip filter foreign numgen inc mod 1 0 accept")
	s.says(t, "rules are not in force")
	if reachesIPv4(t, l, false) || udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, false) {
		t.Error("the pod is open")
	}
	time.Sleep(3 * time.Second)                                                                        // two retries
	if guards := strings.Count(l.alice1.sh(t, "nft list chain ip filter INPUT"), "drop"); guards > 2 { // guard and policy
		t.Errorf("guards heap up: %d", guards)
	}
	l.alice1.sh(t, "nft delete chain ip filter foreign")
	if !eventually(func() bool { return udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, false) }) {
		t.Error("the pod stays closed")
	}
	if reachesIPv4(t, l, false) {
		t.Error("bob reaches alice1")
	}
}
