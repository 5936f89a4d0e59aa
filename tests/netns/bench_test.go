//go:build linux

package netns

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// BenchmarkInit is the time from the start of bulkhead-init to its end, in a pod
// without rules and in one whose rules are whole.
func BenchmarkInit(b *testing.B) {
	needs(b)
	info, err := os.Stat(built)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("new pod", func(b *testing.B) {
		l := newLab(b)
		for b.Loop() {
			b.StopTimer()
			l.alice1.sh(b, "nft flush ruleset; ipset destroy")
			b.StartTimer()
			l.alice1.protect(b, alice())
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB-binary")
	})
	b.Run("whole rules", func(b *testing.B) {
		l := newLab(b)
		l.alice1.protect(b, alice())
		for b.Loop() {
			l.alice1.protect(b, alice())
		}
	})
}

// BenchmarkRepair is the time from a tampering to the line that reports its
// repair, and what the sidecar costs meanwhile.
func BenchmarkRepair(b *testing.B) {
	needs(b)
	for _, tampering := range []string{"iptables-nft -F", "iptables-nft -I INPUT 1 -j ACCEPT"} {
		b.Run(tampering, func(b *testing.B) {
			l := newLab(b)
			s := l.alice1.run(b, alice())
			s.says(b, "rules brought in")
			for b.Loop() {
				b.StopTimer()
				time.Sleep(20 * time.Millisecond) // it looks once more at its own repair
				l.alice1.sh(b, tampering)
				b.StartTimer()
				s.says(b, "tampered")
			}
			b.ReportMetric(s.resident(b), "MiB-RSS")
		})
	}
}

// resident is the sidecar's memory in MiB. setpriv has become the sidecar by then.
func (s *sidecar) resident(t testing.TB) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// BenchmarkRoundTrip is one UDP datagram from alice2 to alice1 and back: without
// rules, with them at both ends, and with 100,000 peers.
func BenchmarkRoundTrip(b *testing.B) {
	needs(b)
	many := alice()
	for i := range 100_000 {
		addr := netip.AddrFrom4([4]byte{172, byte(20 + i>>16), byte(i >> 8), byte(i)})
		many.Peers = append(many.Peers, netip.PrefixFrom(addr, 32))
	}
	for _, bench := range []struct {
		name   string
		config *config.Config
	}{{"no rules", nil}, {"one peer range", alice()}, {"100000 peers", many}} {
		b.Run(bench.name, func(b *testing.B) {
			l := newLab(b)
			if bench.config != nil {
				for _, p := range []*pod{l.alice1, l.alice2} {
					if err := p.ensure(b, "nft", bench.config, &failing{}); err != nil {
						b.Fatal(err)
					}
				}
			}
			roundTrips(b, l)
		})
	}
}

func roundTrips(b *testing.B, l *lab) {
	var server *net.UDPConn
	var client net.Conn
	l.alice1.must(b, func() (err error) {
		server, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 7000})
		return err
	})
	defer server.Close()
	go func() {
		buffer := make([]byte, 64)
		for {
			n, from, err := server.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			if _, err := server.WriteToUDPAddrPort(buffer[:n], from); err != nil {
				return
			}
		}
	}()
	l.alice2.must(b, func() (err error) {
		client, err = net.Dial("udp4", netip.AddrPortFrom(l.alice1.ipv4, 7000).String())
		return err
	})
	defer client.Close()
	buffer := make([]byte, 64)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := client.Write([]byte("ping")); err != nil {
			b.Fatal(err)
		}
		if _, err := client.Read(buffer); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took) // the mean is at the mercy of whatever else runs here
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
}
