package apply

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Sets are the ipsets of the network namespace, as far as Applier needs them.
type Sets interface {
	// Save returns all sets and members in the words of `ipset save`.
	Save(ctx context.Context) (string, error)
	// Restore executes such words, line by line.
	Restore(ctx context.Context, script string) error
}

// maxMembers is how many members a set may have; it costs nothing until they are
// there.
const maxMembers = 1 << 20

type ipset struct{ path string }

func openSets() (Sets, error) {
	path, err := exec.LookPath("ipset")
	if err != nil {
		return nil, fmt.Errorf("find ipset: %w", err)
	}
	return &ipset{path: path}, nil
}

func (s *ipset) Save(ctx context.Context) (string, error) {
	saved, err := runTool(ctx, "", s.path, "save")
	if err != nil {
		return "", fmt.Errorf("list the sets (does the kernel have ip_set?): %w", err)
	}
	return saved, nil
}

func (s *ipset) Restore(ctx context.Context, script string) error {
	_, err := runTool(ctx, script, s.path, "restore")
	return err
}

// savedSet is one set as ipset save prints it.
type savedSet struct {
	// kind is the type and family, such as "hash:net family inet".
	kind    string
	members []netip.Prefix
	// odd are members that Bulkhead does not write, such as "10.0.0.1 nomatch".
	odd []string
}

// parseSets reads the output of `ipset save`.
func parseSets(saved string) (map[string]*savedSet, error) {
	sets := map[string]*savedSet{}
	for line := range strings.Lines(saved) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "create" && len(words) >= 3:
			sets[words[1]] = &savedSet{kind: strings.Join(words[2:min(5, len(words))], " ")}
		case words[0] == "add" && len(words) >= 3 && sets[words[1]] != nil:
			set := sets[words[1]]
			if member, err := parseMember(words[2]); err == nil && len(words) == 3 {
				set.members = append(set.members, member)
			} else {
				set.odd = append(set.odd, strings.Join(words[2:], " "))
			}
		default:
			return nil, fmt.Errorf("read the sets: unknown line %q", strings.TrimSpace(line))
		}
	}
	return sets, nil
}

// parseMember reads a member of a hash:net set, which prints the range of one
// address as the address.
func parseMember(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

func kind(set rules.Set) string { return "hash:net family " + set.Family.Inet() }

// setDifferences says in what a set is not what is planned.
func setDifferences(want rules.Set, found *savedSet) []string {
	if found == nil {
		return []string{fmt.Sprintf("set %s is missing", want.Name)}
	}
	if found.kind != kind(want) {
		return []string{fmt.Sprintf("set %s is of type %q", want.Name, found.kind)}
	}
	var differences []string
	for _, member := range found.odd {
		differences = append(differences, fmt.Sprintf("set %s has the strange member %q", want.Name, member))
	}
	members, planned := sorted(found.members), sorted(want.Members)
	for _, member := range members {
		if _, ok := slices.BinarySearchFunc(planned, member, netip.Prefix.Compare); !ok {
			differences = append(differences, fmt.Sprintf("set %s has %s too much", want.Name, member))
		}
	}
	for _, member := range planned {
		if _, ok := slices.BinarySearchFunc(members, member, netip.Prefix.Compare); !ok {
			differences = append(differences, fmt.Sprintf("set %s lacks %s", want.Name, member))
		}
	}
	return differences
}

// setScript builds a set beside the one in use and exchanges them in one step, so
// that no packet meets a half-filled set. A set of a wrong type cannot be
// exchanged; it is removed, which the kernel refuses while a rule uses it.
func setScript(want rules.Set, found map[string]*savedSet) string {
	var script strings.Builder
	fill := func(name string) {
		fmt.Fprintf(&script, "create %s %s maxelem %d\n", name, kind(want), maxMembers)
		for _, member := range sorted(want.Members) {
			fmt.Fprintf(&script, "add %s %s\n", name, member)
		}
	}
	live, beside := found[want.Name], want.Name+"-new"
	if found[beside] != nil {
		fmt.Fprintf(&script, "destroy %s\n", beside)
	}
	if live != nil && live.kind != kind(want) {
		fmt.Fprintf(&script, "destroy %s\n", want.Name)
		live = nil
	}
	if live == nil {
		fill(want.Name) // no rule can use it yet
		return script.String()
	}
	fill(beside)
	fmt.Fprintf(&script, "swap %s %s\ndestroy %s\n", beside, want.Name, beside)
	return script.String()
}

func sorted(prefixes []netip.Prefix) []netip.Prefix {
	return slices.Compact(slices.SortedFunc(slices.Values(prefixes), netip.Prefix.Compare))
}
