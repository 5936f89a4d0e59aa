package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// fakeTables is a filter table in memory: it executes the few words of
// iptables-restore that Applier uses, in one step or not at all.
type fakeTables struct {
	policies map[string]string
	chains   map[string][]string
	written  *int  // counts transactions, of all fakes of one Applier
	failAt   *int  // the transaction that fails
	unread   error // what List returns
}

func newFakeTables(written, failAt *int) *fakeTables {
	t := &fakeTables{policies: map[string]string{}, chains: map[string][]string{}, written: written, failAt: failAt}
	for _, builtin := range builtins() {
		t.policies[builtin], t.chains[builtin] = "ACCEPT", nil
	}
	return t
}

func (t *fakeTables) List() ([]string, error) {
	if t.unread != nil {
		return nil, t.unread
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(t.policies)) {
		lines = append(lines, fmt.Sprintf("-P %s %s", name, t.policies[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(t.chains)) {
		if t.policies[name] == "" {
			lines = append(lines, "-N "+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.chains)) {
		for _, rule := range t.chains[name] {
			lines = append(lines, fmt.Sprintf("-A %s %s", name, rule))
		}
	}
	return lines, nil
}

func (t *fakeTables) Restore(_ context.Context, text string) error {
	if err := fail(t.written, t.failAt); err != nil {
		return err
	}
	policies, chains := maps.Clone(t.policies), map[string][]string{}
	for name, rules := range t.chains {
		chains[name] = slices.Clone(rules)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != "*filter" || lines[len(lines)-1] != "COMMIT" {
		return fmt.Errorf("not a transaction: %q", text)
	}
	for _, line := range lines[1 : len(lines)-1] {
		words := strings.Fields(line)
		if name, ok := strings.CutPrefix(words[0], ":"); ok {
			if words[1] == "-" {
				chains[name] = nil
			} else {
				policies[name] = words[1]
			}
			continue
		}
		name := words[1]
		rules, ok := chains[name]
		if !ok {
			return fmt.Errorf("no chain %s", name)
		}
		rule := strings.Join(words[2:], " ")
		switch words[0] {
		case "-A":
			rules = append(rules, rule)
		case "-F":
			rules = nil
			t.unread = nil // what could not be read is gone
		case "-I":
			position, err := strconv.Atoi(words[2])
			if err != nil || position > len(rules)+1 {
				return fmt.Errorf("bad position: %s", line)
			}
			rules = slices.Insert(rules, position-1, strings.Join(words[3:], " "))
		case "-D":
			at := slices.Index(rules, rule)
			if at < 0 {
				return fmt.Errorf("no such rule: %s", line)
			}
			rules = slices.Delete(rules, at, at+1)
		default:
			return fmt.Errorf("unknown: %s", line)
		}
		chains[name] = rules
	}
	t.policies, t.chains = policies, chains
	return nil
}

// guarded says whether all built-in chains begin with the guard.
func (t *fakeTables) guarded() bool {
	for _, builtin := range builtins() {
		if len(t.chains[builtin]) == 0 || t.chains[builtin][0] != guard().Spec() {
			return false
		}
	}
	return true
}

// fakeSets are ipsets in memory: header and members.
type fakeSets struct {
	kinds   map[string]string
	members map[string][]string
	written *int
	failAt  *int
	unread  error
}

func (s *fakeSets) Save(context.Context) (string, error) {
	if s.unread != nil {
		return "", s.unread
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.kinds)) {
		fmt.Fprintf(&b, "create %s %s hashsize 1024 maxelem 1048576\n", name, s.kinds[name])
		for _, member := range s.members[name] {
			fmt.Fprintf(&b, "add %s %s\n", name, member)
		}
	}
	return b.String(), nil
}

func (s *fakeSets) Restore(_ context.Context, script string) error {
	if err := fail(s.written, s.failAt); err != nil {
		return err
	}
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		name := words[1]
		_, exists := s.kinds[name]
		switch {
		case words[0] == "create" && !exists:
			s.kinds[name], s.members[name] = strings.Join(words[2:5], " "), nil
		case words[0] == "add" && exists:
			s.members[name] = append(s.members[name], words[2])
		case words[0] == "destroy" && exists:
			delete(s.kinds, name)
			delete(s.members, name)
		case words[0] == "swap" && exists && s.kinds[name] == s.kinds[words[2]]:
			s.members[name], s.members[words[2]] = s.members[words[2]], s.members[name]
		default:
			return fmt.Errorf("cannot: %s", line)
		}
	}
	return nil
}

func fail(written, failAt *int) error {
	*written++
	if *written == *failAt {
		return fmt.Errorf("injected failure of write %d", *written)
	}
	return nil
}
