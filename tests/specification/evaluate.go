package specification

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Ruleset is the filter table of one family, ready to be evaluated.
type Ruleset struct {
	// Policies are "ACCEPT" or "DROP" by built-in chain.
	Policies map[string]string
	// Chains are the rules by chain, in order.
	Chains map[string][]Rule
	// Names and Numbers are what the rules tell packets apart by.
	Prefixes []netip.Prefix
	Numbers  []int

	sets map[string]*set
}

// Rule is one rule.
type Rule struct {
	// Text is the rule in iptables' words, with its intent behind.
	Text, Intent string

	matches []func(*Packet) bool
	// verdict is ACCEPT, DROP or RETURN; or the rule jumps to a chain, or goes
	// there; or it does nothing, as one that logs.
	verdict, jump, leave string
}

// Parse reads what rules.Plan.String prints. A word that it does not know is an
// error: what is not understood must not pass for understood.
func Parse(plan string) (map[rules.Family]*Ruleset, error) {
	tables := map[rules.Family]*Ruleset{}
	var table *Ruleset
	var chain string
	for line := range strings.Lines(plan) {
		line = strings.TrimRight(line, "\n")
		words := strings.TrimSpace(line)
		var err error
		switch indent := len(line) - len(strings.TrimLeft(line, " ")); {
		case words == "":
		case indent == 0:
			family := rules.IPv4
			if words == rules.IPv6.String() {
				family = rules.IPv6
			} else if words != rules.IPv4.String() {
				return nil, fmt.Errorf("unknown family %q", words)
			}
			table = &Ruleset{Policies: map[string]string{}, Chains: map[string][]Rule{}, sets: map[string]*set{}}
			tables[family] = table
		case indent == 2 && strings.HasPrefix(words, "set "):
			err = table.addMember(words)
		case indent == 2:
			var policy string
			chain, policy, _ = strings.Cut(words, " (policy ")
			table.Chains[chain] = nil
			if policy != "" {
				table.Policies[chain] = strings.TrimSuffix(policy, ")")
			}
		default:
			err = table.addRule(chain, words)
		}
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", words, err)
		}
	}
	return tables, nil
}

func (r *Ruleset) addMember(words string) error {
	name, member, _ := strings.Cut(strings.TrimPrefix(words, "set "), ": ")
	if r.sets[name] == nil {
		r.sets[name] = &set{}
	}
	if member == "nobody" {
		return nil
	}
	text, exception := strings.CutPrefix(member, "not ")
	prefix, err := netip.ParsePrefix(text)
	r.sets[name].add(prefix, exception)
	r.Prefixes = append(r.Prefixes, prefix)
	return err
}

// set is an ipset: its nearest member or exception decides of an address.
type set struct{ members, exceptions []netip.Prefix }

func (s *set) add(prefix netip.Prefix, exception bool) {
	if exception {
		s.exceptions = append(s.exceptions, prefix)
	} else {
		s.members = append(s.members, prefix)
	}
}

func (s *set) holds(addr netip.Addr) bool {
	return nearest(s.members, addr) > nearest(s.exceptions, addr)
}

// nearest is the length of the longest of the prefixes that hold an address, or -1.
func nearest(prefixes []netip.Prefix, addr netip.Addr) int {
	longest := -1
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			longest = max(longest, prefix.Bits())
		}
	}
	return longest
}

func (r *Ruleset) addRule(chain, words string) error {
	text, intent, _ := strings.Cut(words, " # ")
	rule := Rule{Text: strings.Join(strings.Fields(words), " "), Intent: strings.TrimSpace(intent)}
	err := r.parseRule(&rule, split(text))
	r.Chains[chain] = append(r.Chains[chain], rule)
	return err
}

// parseRule reads a rule's words: options with a value, each perhaps behind "!".
func (r *Ruleset) parseRule(rule *Rule, words []string) error {
	limited, not := false, false
	for len(words) > 0 {
		option := words[0]
		words = words[1:]
		if option == "!" {
			not = true
			continue
		}
		values := 1
		if option == "--match-set" || option == "--tcp-flags" {
			values = 2
		}
		if len(words) < values {
			return fmt.Errorf("%s lacks a value", option)
		}
		value := words[:values]
		words = words[values:]
		switch option {
		case "-m", "--comment", "--limit-burst", "--nflog-group", "--nflog-prefix":
			continue
		case "--limit":
			limited = true
			continue
		case "-j", "-g":
			if err := rule.setTarget(option, value[0]); err != nil {
				return err
			}
			continue
		}
		match, err := r.match(option, value)
		if err != nil {
			return err
		}
		rule.matches = append(rule.matches, negated(match, not))
		not = false
	}
	if limited && (rule.verdict != "" || rule.jump != "" || rule.leave != "") {
		return fmt.Errorf("the verdict hangs on a rate")
	}
	return nil
}

func (rule *Rule) setTarget(option, target string) error {
	switch {
	case option == "-g":
		rule.leave = target
	case target == "NFLOG":
	case target == "ACCEPT" || target == "DROP" || target == "RETURN":
		rule.verdict = target
	case strings.ToUpper(target) == target && strings.Contains(target, "-"):
		rule.jump = target
	default:
		return fmt.Errorf("unknown target %s", target)
	}
	return nil
}

// matcher says whether a packet has what an option asks for, and whether the
// packet shows it at all: a negated option does not match what cannot be seen.
type matcher func(*Packet) (matches, seen bool)

func negated(match matcher, not bool) func(*Packet) bool {
	return func(p *Packet) bool {
		matches, seen := match(p)
		return seen && matches != not
	}
}

func (r *Ruleset) match(option string, value []string) (matcher, error) {
	switch option {
	case "-i":
		return func(p *Packet) (bool, bool) { return p.From == value[0], true }, nil
	case "-o":
		return func(p *Packet) (bool, bool) { return p.To == value[0], true }, nil
	case "-s", "-d":
		prefix, err := netip.ParsePrefix(value[0])
		r.Prefixes = append(r.Prefixes, prefix)
		return func(p *Packet) (bool, bool) { return prefix.Contains(p.side(option == "-s")), true }, err
	case "-p":
		protocol, err := protocolNumber(value[0])
		r.Numbers = append(r.Numbers, protocol)
		return func(p *Packet) (bool, bool) { return p.Protocol == protocol, true }, err
	case "--match-set":
		members, ok := r.sets[value[0]]
		if !ok {
			return nil, fmt.Errorf("no set %s", value[0])
		}
		return func(p *Packet) (bool, bool) { return members.holds(p.side(value[1] == "src")), true }, nil
	case "--sport", "--sports", "--dport", "--dports":
		ports, err := r.numbers(value[0])
		source := option == "--sport" || option == "--sports"
		return func(p *Packet) (bool, bool) {
			port := p.DestinationPort
			if source {
				port = p.SourcePort
			}
			return slices.Contains(ports, int(port)), !p.Fragment && slices.Contains([]int{TCP, UDP, SCTP}, p.Protocol)
		}, err
	case "--icmp-type", "--icmpv6-type":
		types, err := r.numbers(value[0])
		return func(p *Packet) (bool, bool) {
			return slices.Contains(types, int(p.Type)), !p.Fragment && (p.Protocol == ICMP || p.Protocol == ICMPv6)
		}, err
	case "--tcp-flags":
		mask, err := flags(value[0])
		if err != nil {
			return nil, err
		}
		set, err := flags(value[1])
		return func(p *Packet) (bool, bool) { return p.Flags&mask == set, !p.Fragment && p.Protocol == TCP }, err
	}
	return nil, fmt.Errorf("unknown option %s", option)
}

func (p *Packet) side(source bool) netip.Addr {
	if source {
		return p.Source
	}
	return p.Destination
}

func (r *Ruleset) numbers(list string) ([]int, error) {
	var all []int
	for _, text := range strings.Split(list, ",") {
		number, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		all = append(all, number)
	}
	r.Numbers = append(r.Numbers, all...)
	return all, nil
}

func protocolNumber(name string) (int, error) {
	switch name {
	case "icmp":
		return ICMP, nil
	case "tcp":
		return TCP, nil
	case "udp":
		return UDP, nil
	case "sctp":
		return SCTP, nil
	case "ipv6-icmp":
		return ICMPv6, nil
	}
	return strconv.Atoi(name)
}

func flags(list string) (byte, error) {
	var all byte
	for _, name := range strings.Split(list, ",") {
		flag, ok := map[string]byte{"FIN": FIN, "SYN": SYN, "RST": RST, "ACK": ACK}[name]
		if !ok {
			return 0, fmt.Errorf("unknown flag %s", name)
		}
		all |= flag
	}
	return all, nil
}

// split cuts a rule into words; a quoted word may hold spaces.
func split(text string) []string {
	var words []string
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

// Accepts says what becomes of a packet.
func (r *Ruleset) Accepts(p Packet) bool {
	return r.verdict(p, func(string, int) {}) == "ACCEPT"
}

// Way lists the rules that a packet meets, as "CHAIN rule", and the policy if it
// comes to that.
func (r *Ruleset) Way(p Packet) []string {
	var way []string
	ended := false
	r.verdict(p, func(chain string, i int) {
		rule := r.Chains[chain][i]
		ended = rule.verdict != ""
		way = append(way, chain+" "+rule.Text)
	})
	if !ended {
		way = append(way, fmt.Sprintf("%s policy %s", p.Direction, r.Policies[string(p.Direction)]))
	}
	return way
}

// verdict tells of each rule that the packet meets, by chain and number.
func (r *Ruleset) verdict(p Packet, met func(chain string, i int)) string {
	if verdict := r.run(string(p.Direction), &p, met, 0); verdict != "" {
		return verdict
	}
	return r.Policies[string(p.Direction)]
}

// run returns a verdict, or nothing where the chain ends or returns. A chain that
// does not exist, or chains that call each other for ever, accept: the kernel would
// have refused such rules, and a test must not be content with them.
func (r *Ruleset) run(chain string, p *Packet, met func(chain string, i int), depth int) string {
	found, ok := r.Chains[chain]
	if !ok || depth > len(r.Chains) {
		return "ACCEPT"
	}
next:
	for i := range found {
		rule := &found[i]
		for _, matches := range rule.matches {
			if !matches(p) {
				continue next
			}
		}
		met(chain, i)
		switch {
		case rule.verdict == "RETURN":
			return ""
		case rule.verdict != "":
			return rule.verdict
		case rule.leave != "":
			return r.run(rule.leave, p, met, depth+1)
		case rule.jump != "":
			if verdict := r.run(rule.jump, p, met, depth+1); verdict != "" {
				return verdict
			}
		}
	}
	return ""
}
