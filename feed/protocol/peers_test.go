package protocol

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var (
	one   = netip.MustParseAddr("10.0.0.1")
	two   = netip.MustParseAddr("fd00::2")
	lb    = netip.MustParseAddr("203.0.113.1")
	open  = Open{one, "tcp", 80}
	whole = Cluster{Pods: prefixes("10.0.0.0/16", "fd00::/64"), Services: prefixes("10.96.0.0/12")}
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

func toSidecar(text string) (*ToSidecar, error) {
	return ReadToSidecar(bufio.NewReader(strings.NewReader(text)))
}

func toServer(text string) (*ToServer, error) {
	return ReadToServer(bufio.NewReader(strings.NewReader(text)))
}

// The longest lines that keep to the bounds are not too long.
func TestLongestLines(t *testing.T) {
	widest := func(i int) netip.Addr {
		return netip.MustParseAddr(fmt.Sprintf("2001:1111:2222:3333:4444:5555:6666:%x", 0x1000+i))
	}
	ports := make([]Open, MaxEntries)
	for i := range ports {
		ports[i] = Open{widest(i), "sctp", 65535}
	}
	ranges := make([]netip.Prefix, MaxRanges)
	for i := range ranges {
		ranges[i] = netip.PrefixFrom(widest(i), 128)
	}
	cluster := Cluster{ranges, ranges, ranges}
	for name, message := range map[string]ToSidecar{
		"snapshot": {Snapshot: &Snapshot{Version: 1 << 63, Revision: 1 << 63, LeaseMilliseconds: MaxLeaseMilliseconds, Cluster: cluster, Open: ports, More: true}},
		"delta":    {Delta: &Delta{Version: 1 << 63, Revision: 1 << 63, Cluster: &cluster, AddOpen: ports}},
	} {
		line, err := Encode(message)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := toSidecar(string(line)); err != nil {
			t.Errorf("%s of %d bytes: %v", name, len(line), err)
		}
	}
	addresses := make([]netip.Addr, MaxAddresses)
	for i := range addresses {
		addresses[i] = widest(i)
	}
	line, err := Encode(ToServer{Hello: &Hello{Addresses: addresses, Revision: 1 << 63}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := toServer(string(line)); err != nil {
		t.Errorf("hello of %d bytes: %v", len(line), err)
	}
}

// What opens too much, or is no address, is refused whole.
func TestRefusedLines(t *testing.T) {
	const head = `{"snapshot":{"version":1,"leaseMilliseconds":1,"cluster":{"pods":["10.0.0.0/16"],"services":["10.96.0.0/12"]}`
	if _, err := toSidecar(head + "}}\n"); err != nil {
		t.Fatal(err)
	}
	snapshot := func(fields string) string { return head + "," + fields + "}}" }
	delta := func(fields string) string { return `{"delta":{"version":2,` + fields + `}}` }
	for name, line := range map[string]string{
		"empty":                 ``,
		"nothing":               `{}`,
		"no JSON":               `hello`,
		"a list":                `[]`,
		"two":                   `{"heartbeat":1}{"heartbeat":1}`,
		"two kinds":             `{"heartbeat":1,"held":{"reason":""}}`,
		"unknown field":         delta(`"open":["10.0.0.1"]`),
		"a range as peer":       snapshot(`"peers":["10.0.0.0/8"]`),
		"everybody as peer":     snapshot(`"peers":["0.0.0.0"]`),
		"itself":                snapshot(`"peers":["127.0.0.1"]`),
		"all hosts":             delta(`"add":["224.0.0.1"]`),
		"broadcast":             delta(`"add":["255.255.255.255"]`),
		"metadata":              delta(`"add":["169.254.169.254"]`),
		"link-local":            delta(`"add":["fe80::1"]`),
		"a zone":                delta(`"add":["fd00::1%eth0"]`),
		"in the other family":   delta(`"add":["::ffff:10.0.0.1"]`),
		"no address":            delta(`"add":[""]`),
		"null":                  delta(`"add":[null]`),
		"wrong removal":         delta(`"remove":["x"]`),
		"denied":                delta(`"addDenied":["0.0.0.0"]`),
		"port 0":                delta(`"addOpen":[{"address":"10.0.0.1","protocol":"tcp","port":0}]`),
		"port 65536":            delta(`"addOpen":[{"address":"10.0.0.1","protocol":"tcp","port":65536}]`),
		"protocol":              delta(`"addOpen":[{"address":"10.0.0.1","protocol":"all","port":1}]`),
		"no ranges":             `{"snapshot":{"version":1,"leaseMilliseconds":1,"cluster":{}}}`,
		"all ranges":            delta(`"cluster":{"pods":["0.0.0.0/0"],"services":["10.96.0.0/12"]}`),
		"host bits":             delta(`"cluster":{"pods":["10.0.0.1/16"],"services":["10.96.0.0/12"]}`),
		"no lease":              `{"snapshot":{"version":1,"cluster":{"pods":["10.0.0.0/16"],"services":["10.96.0.0/12"]}}}`,
		"a lease for ever":      strings.Replace(head, `"leaseMilliseconds":1`, `"leaseMilliseconds":3600001`, 1) + "}}",
		"a negative version":    `{"heartbeat":-1}`,
		"an unprintable reason": `{"held":{"reason":"\u001b[2J"}}`,
		"too many":              delta(`"add":[` + strings.Repeat(`"10.0.0.1",`, MaxEntries) + `"10.0.0.1"]`),
		"too long":              `{"heartbeat":` + strings.Repeat(" ", MaxLine) + `1}`,
	} {
		if message, err := toSidecar(line + "\n"); err == nil || err == io.EOF {
			t.Errorf("%s is taken: %+v, %v", name, message, err)
		}
	}
	if _, err := toSidecar(`{"heartbeat":1}`); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a line without its end: %v", err)
	}
	if _, err := toSidecar(""); err != io.EOF {
		t.Errorf("the end: %v", err)
	}
}

func TestState(t *testing.T) {
	var s State
	apply := func(m ToSidecar, changed bool) {
		t.Helper()
		if got, err := s.Apply(&m); err != nil || got != changed {
			t.Fatalf("changed %t, %v", got, err)
		}
	}
	refuse := func(m ToSidecar) {
		t.Helper()
		before := s
		if _, err := s.Apply(&m); err == nil {
			t.Errorf("%+v is taken", m)
		}
		if s.Version != before.Version || s.Complete != before.Complete || len(s.Peers) != len(before.Peers) {
			t.Errorf("%+v has changed the state", m)
		}
	}
	version := func(v uint64) *uint64 { return &v }
	apply(ToSidecar{Held: &Held{"wait"}}, false)
	apply(ToSidecar{Heartbeat: version(0)}, false)
	refuse(ToSidecar{Delta: &Delta{Version: 1, Add: []netip.Addr{one}}})
	apply(ToSidecar{Snapshot: &Snapshot{Version: 5, Revision: 9, LeaseMilliseconds: 15000, Cluster: whole, Peers: []netip.Addr{one}, More: true}}, false)
	if s.Complete {
		t.Error("half a snapshot counts")
	}
	refuse(ToSidecar{Heartbeat: version(5)})
	refuse(ToSidecar{Snapshot: &Snapshot{Version: 6, Cluster: whole}})
	apply(ToSidecar{Snapshot: &Snapshot{Version: 5, Revision: 9, LeaseMilliseconds: 15000, Cluster: whole, Peers: []netip.Addr{two}, Denied: []netip.Addr{lb}, Open: []Open{open}}}, true)
	refuse(ToSidecar{Delta: &Delta{Version: 7}})
	refuse(ToSidecar{Delta: &Delta{Version: 5}})
	refuse(ToSidecar{Heartbeat: version(6)})
	narrow := Cluster{Pods: prefixes("10.0.0.0/24"), Services: whole.Services}
	apply(ToSidecar{Delta: &Delta{Version: 6, Revision: 10, Remove: []netip.Addr{one, two}, Add: []netip.Addr{two}, RemoveDenied: []netip.Addr{lb}, RemoveOpen: []Open{open}, Cluster: &narrow}}, true)
	apply(ToSidecar{Heartbeat: version(6)}, false)
	if !slices.Equal(slices.Collect(maps.Keys(s.Peers)), []netip.Addr{two}) || len(s.Denied)+len(s.Open) != 0 ||
		len(s.Cluster.Pods) != 1 || s.Version != 6 || s.Revision != 10 {
		t.Errorf("%+v", s)
	}
	apply(ToSidecar{Snapshot: &Snapshot{Version: 1, LeaseMilliseconds: 1, Cluster: whole}}, true)
	if len(s.Peers) != 0 || s.Version != 1 {
		t.Errorf("a snapshot does not replace what was known: %+v", s)
	}
}

// FuzzReadToSidecar: what is taken keeps to the bounds, and means the same again.
func FuzzReadToSidecar(f *testing.F) {
	for _, m := range []ToSidecar{
		{Heartbeat: new(uint64)}, {Held: &Held{"wait"}},
		{Snapshot: &Snapshot{Version: 1, Revision: 2, LeaseMilliseconds: 15000, Cluster: whole, Peers: []netip.Addr{one, two}, Denied: []netip.Addr{lb}, Open: []Open{open}}},
		{Delta: &Delta{Version: 2, Remove: []netip.Addr{one}, Add: []netip.Addr{two}, AddOpen: []Open{open}, Cluster: &whole}},
	} {
		line, err := Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(line))
	}
	f.Fuzz(func(t *testing.T, text string) {
		message, err := toSidecar(text)
		if err != nil {
			return
		}
		var s State
		_, _ = s.Apply(message)
		for address := range s.Peers {
			if !ValidAddress(address) {
				t.Errorf("%s is a peer", address)
			}
		}
		sameAgain(t, message, toSidecar)
	})
}

// FuzzReadToServer does the same for the other direction.
func FuzzReadToServer(f *testing.F) {
	f.Add(`{"hello":{"addresses":["10.0.0.1","fd00::2"],"revision":7}}` + "\n")
	f.Add(`{"ack":12}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		message, err := toServer(text)
		if err != nil {
			return
		}
		if (message.Hello == nil) == (message.Ack == nil) {
			t.Errorf("taken: %+v", message)
		}
		sameAgain(t, message, toServer)
	})
}

func sameAgain[T any](t *testing.T, message *T, read func(string) (*T, error)) {
	line, err := Encode(message)
	if err != nil {
		t.Fatalf("taken but not encoded: %v", err)
	}
	again, err := read(string(line))
	if err != nil {
		t.Fatalf("taken but not taken again: %v in %s", err, line)
	}
	first, _ := json.Marshal(message)
	second, _ := json.Marshal(again)
	if string(first) != string(second) {
		t.Errorf("%s became %s", first, second)
	}
}
