//go:build linux

package ipset

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink/nfnetlinktest"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// many are neighbours of no use but to be many.
func many(count int) []netip.Prefix {
	var all []netip.Prefix
	for i := range count {
		all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 20 + byte(i>>16), byte(i >> 8), byte(i)}), 32))
	}
	return all
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func members(t *testing.T, name string) []netip.Prefix {
	t.Helper()
	set, err := (&Sets{}).Read(name)
	if err != nil || set == nil || set.Odd {
		t.Fatalf("set %s: %+v, %v", name, set, err)
	}
	return slices.SortedFunc(slices.Values(set.Members), netip.Prefix.Compare)
}

func TestSets(t *testing.T) {
	nfnetlinktest.Namespace(t)
	sets := &Sets{}
	if set, err := sets.Read("four"); set != nil || err != nil {
		t.Fatalf("no set yet: %+v, %v", set, err)
	}
	must(t, sets.Create("four", false), sets.Create("six", true))
	four, six := prefixes("172.16.1.0/24", "172.16.9.9/32"), prefixes("fd00:1::/64", "fd00:2::9/128")
	must(t, sets.Add("four", four), sets.Add("four", four), sets.Add("six", six))
	if got := members(t, "four"); !slices.Equal(got, four) {
		t.Errorf("four: %v", got)
	}
	if got := members(t, "six"); !slices.Equal(got, six) {
		t.Errorf("six: %v", got)
	}
	must(t, sets.Remove("four", four[:1]), sets.Remove("four", four[:1]))
	if got := members(t, "four"); !slices.Equal(got, four[1:]) {
		t.Errorf("after Remove: %v", got)
	}
	must(t, sets.Create("other", false), sets.Add("other", four[:1]), sets.Swap("four", "other"))
	if got := members(t, "four"); !slices.Equal(got, four[:1]) {
		t.Errorf("after Swap: %v", got)
	}
	must(t, sets.Destroy("other"))
	if err := sets.Add("other", four); !errors.Is(err, unix.ENOENT) {
		t.Errorf("added to a set that is gone: %v", err)
	}
	if err := sets.Create("four", false); !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "create set four") {
		t.Errorf("made twice: %v", err)
	}
}

// TestExceptions holds that a member becomes an exception and the other way round, and
// that the kernel judges by the nearest.
func TestExceptions(t *testing.T) {
	nfnetlinktest.Namespace(t)
	sets := &Sets{}
	holds := func(name string, members, exceptions []netip.Prefix) {
		t.Helper()
		set, err := sets.Read(name)
		if err != nil || set.Odd {
			t.Fatalf("set %s: %+v, %v", name, set, err)
		}
		sort := func(all []netip.Prefix) []netip.Prefix {
			return slices.SortedFunc(slices.Values(all), netip.Prefix.Compare)
		}
		if !slices.Equal(sort(set.Members), members) || !slices.Equal(sort(set.Exceptions), exceptions) {
			t.Errorf("set %s holds %v but %v, want %v but %v", name, set.Members, set.Exceptions, members, exceptions)
		}
	}
	halves, inside := prefixes("0.0.0.0/1", "128.0.0.0/1"), prefixes("10.244.0.0/16", "203.0.113.7/32")
	must(t, sets.Create("four", false), sets.Except("four", inside), sets.Add("four", halves), sets.Except("four", inside))
	holds("four", halves, inside)
	nfnetlinktest.Run(t, "ipset", `ipset test four 1.1.1.1; ipset test four 203.0.113.8
		if ipset test four 10.244.7.7 || ipset test four 203.0.113.7; then exit 1; fi`)
	must(t, sets.Except("four", halves[1:]), sets.Add("four", inside[1:]))
	holds("four", prefixes("0.0.0.0/1", "203.0.113.7/32"), prefixes("10.244.0.0/16", "128.0.0.0/1"))
	must(t, sets.Remove("four", slices.Concat(halves, inside)))
	holds("four", nil, nil)
	nfnetlinktest.Run(t, "ipset", "if ipset test four 1.1.1.1; then exit 1; fi")
	six := prefixes("::/1", "8000::/1")
	must(t, sets.Create("six", true), sets.Add("six", six), sets.Except("six", prefixes("fd00:1::/64")))
	holds("six", six, prefixes("fd00:1::/64"))
}

func TestManyMembers(t *testing.T) {
	nfnetlinktest.Namespace(t)
	want := many(100_000)
	must(t, (&Sets{}).Create("many", false), (&Sets{}).Add("many", want))
	if got := members(t, "many"); !slices.Equal(got, want) {
		t.Errorf("%d members, want %d", len(got), len(want))
	}
}

// TestOthersSets holds that what the tool makes is read, and what Bulkhead never makes
// is seen to be strange.
func TestOthersSets(t *testing.T) {
	nfnetlinktest.Namespace(t)
	nfnetlinktest.Run(t, "ipset", `ipset create plain hash:net; ipset add plain 10.1.0.0/16; ipset add plain 10.2.3.4
		ipset create except hash:net; ipset add except 10.1.0.0/16; ipset add except 10.1.2.3 nomatch
		ipset create expire hash:net timeout 60; ipset add expire 10.1.0.0/16
		ipset create ip hash:ip; ipset create used hash:net; ipset create list list:set; ipset add list used`)
	if got := members(t, "plain"); !slices.Equal(got, prefixes("10.1.0.0/16", "10.2.3.4/32")) {
		t.Errorf("plain: %v", got)
	}
	if set, err := (&Sets{}).Read("except"); err != nil || set.Odd || !slices.Equal(set.Members, prefixes("10.1.0.0/16")) || !slices.Equal(set.Exceptions, prefixes("10.1.2.3/32")) {
		t.Errorf("except: %+v, %v", set, err)
	}
	if set, err := (&Sets{}).Read("expire"); err != nil || !set.Odd {
		t.Errorf("expire: %+v, %v", set, err)
	}
	if set, err := (&Sets{}).Read("ip"); err != nil || set.Kind == Kind(false) {
		t.Errorf("ip: %+v, %v", set, err)
	}
	if err := (&Sets{}).Destroy("used"); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("used: %v", err)
	}
}

// TestErrorsSayWhatIsMeant: ip_set's own numbers, and what a kernel without it says.
func TestErrorsSayWhatIsMeant(t *testing.T) {
	for number, want := range map[unix.Errno]string{
		4352: "it is full", 4098: "no sets of type hash:net", 4108: "in use", unix.EINVAL: "may lack ip_set", unix.EPERM: "NET_ADMIN",
	} {
		if err := explain(number); !errors.Is(err, number) || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v", number, err)
		}
	}
}

// BenchmarkUpdate is one member out and one in, of 100,000.
func BenchmarkUpdate(b *testing.B) {
	nfnetlinktest.Namespace(b)
	all, sets := many(100_001), &Sets{}
	must(b, sets.Create("many", false), sets.Add("many", all[:100_000]))
	for b.Loop() {
		must(b, sets.Remove("many", all[:1]), sets.Add("many", all[:1]))
	}
}
