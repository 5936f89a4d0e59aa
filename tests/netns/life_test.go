//go:build linux

package netns

import (
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// TestRulesOutliveTheSidecar is L6: killed or ended, the sidecar leaves its rules.
func TestRulesOutliveTheSidecar(t *testing.T) {
	needs(t)
	for name, test := range map[string]struct {
		signal syscall.Signal
		clean  bool
	}{
		"killed": {syscall.SIGKILL, false},
		"ended":  {syscall.SIGTERM, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			if !reachesIPv4(t, l, true) {
				t.Fatal("the attack does not work without rules: this test proves nothing")
			}
			s := l.alice1.run(t, alice())
			s.says(t, "rules brought in")
			if err := s.ends(t, test.signal); (err == nil) != test.clean {
				t.Errorf("ended with %v", err)
			}
			if reachesIPv4(t, l, false) {
				t.Error("the rules are gone with the sidecar")
			}
			l.passes(t)
		})
	}
}

// TestRestartTouchesNothing is L8: where the rules are whole, a start reads them
// and leaves them, counters and all.
func TestRestartTouchesNothing(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	l.alice1.protect(t, alice())
	if !udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, true) {
		t.Fatal("a peer does not pass")
	}
	const everything = "iptables-nft-save -c -t filter; ip6tables-nft -S; ipset save | sort"
	before := rulesOnly(l.alice1.sh(t, everything))
	if out, err := l.alice1.init(t, alice()); err != nil || out != "" {
		t.Errorf("the second start: %v\n%s", err, out)
	}
	after := rulesOnly(l.alice1.sh(t, everything))
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the second start changed (-before +after):\n%s", diff)
	}
	if !slices.ContainsFunc(before, func(line string) bool {
		return strings.Contains(line, "--match-set bulkhead-peers-4 src") && !strings.HasPrefix(line, "[0:0]")
	}) {
		t.Error("no packet was counted: this test proves nothing")
	}
}

// rulesOnly leaves out the comments, which bear the time.
func rulesOnly(saved string) []string {
	return slices.DeleteFunc(strings.Split(saved, "\n"), func(line string) bool { return strings.HasPrefix(line, "#") })
}

// TestNoWindow is L8 under fire: while bob sends without a pause, alice1's sidecar
// is killed and started, its rules are flushed, its jump deleted, its set emptied,
// its address changed, its configuration exchanged. Nothing may come through.
func TestNoWindow(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	fire := l.fire(t)
	if !eventually(func() bool { return fire.hits4.Load() > 0 && fire.hits6.Load() > 0 }) {
		t.Fatal("nothing arrives without rules: this test proves nothing")
	}
	l.alice1.protect(t, alice())
	time.Sleep(silence) // what was under way
	fire.reset()

	other := alice()
	other.Probes = append(other.Probes, 9999)
	for range 3 {
		s := l.alice1.run(t, alice())
		for _, change := range []string{
			"iptables-nft -F",
			"ip6tables-nft -F",
			"iptables-nft -D INPUT 1",
			"iptables-nft -F BULKHEAD-INPUT",
			"ip addr add 172.16.1.77/24 dev eth0",
			"ip addr del 172.16.1.77/24 dev eth0",
		} {
			l.alice1.sh(t, change)
			s.says(t, "differences")
		}
		l.alice1.sh(t, "ipset flush bulkhead-peers-4")
		s.says(t, "lacks 172.16.1.0/24")
		if err := s.ends(t, syscall.SIGKILL); err == nil {
			t.Error("killed without an error")
		}
		l.alice1.protect(t, other)
		l.alice1.protect(t, alice())
	}
	if hits := fire.hits(); hits > 0 {
		t.Errorf("%d of %d packets came through", hits, fire.shots.Load())
	}
	if shots := fire.shots.Load(); shots < 10000 {
		t.Errorf("only %d shots: the test is too slow to prove anything", shots)
	}
	l.passes(t)
}

// TestEstablishedFlowsAreCut is P8: a connection older than the rules ends with
// them, and so does one of a peer that is no peer any longer.
func TestEstablishedFlowsAreCut(t *testing.T) {
	needs(t)
	for name, of := range map[string]func(*pod) netip.Addr{
		"IPv4": func(p *pod) netip.Addr { return p.ipv4 },
		"IPv6": func(p *pod) netip.Addr { return p.ipv6 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			stranger, friend := l.flow(t, l.bob, l.alice1, of(l.alice1)), l.flow(t, l.alice2, l.alice1, of(l.alice1))
			l.alice1.protect(t, alice())
			if stranger(false) {
				t.Error("the other tenant's connection lives on")
			}
			if !friend(true) {
				t.Fatal("the own tenant's connection was cut")
			}
			l.alice1.protect(t, tenant("alice", "172.16.1.10/32", "fd10:1::10/128"))
			if friend(false) {
				t.Error("the former peer's connection lives on")
			}
		})
	}
}

// flow opens a connection that echoes; the function returned says whether it does.
func (l *lab) flow(t testing.TB, from, to *pod, addr netip.Addr) func(expected bool) bool {
	t.Helper()
	var listener net.Listener
	to.must(t, func() (err error) {
		listener, err = net.Listen("tcp", ":0")
		return err
	})
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buffer := make([]byte, 1)
		for {
			if _, err := conn.Read(buffer); err != nil {
				return
			}
			if _, err := conn.Write(buffer); err != nil {
				return
			}
		}
	}()
	var conn net.Conn
	from.must(t, func() (err error) {
		port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
		conn, err = net.DialTimeout("tcp", netip.AddrPortFrom(addr, port).String(), patience)
		return err
	})
	t.Cleanup(func() { _ = conn.Close() })
	echoes := func(expected bool) bool {
		wait := silence
		if expected {
			wait = patience
		}
		_ = conn.SetDeadline(time.Now().Add(wait))
		if _, err := conn.Write([]byte("x")); err != nil {
			return false
		}
		_, err := conn.Read(make([]byte, 1))
		return err == nil
	}
	if !echoes(true) {
		t.Fatal("the connection does not echo without rules: this test proves nothing")
	}
	return echoes
}

// TestNewAddress holds that the rules follow the pod's addresses, and that an
// address of another tenant closes the pod until it is gone.
func TestNewAddress(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	s := l.alice1.run(t, alice())
	s.says(t, "rules brought in")
	from := func(source string) func(bool) bool {
		return func(expected bool) bool {
			return reached(t, l.alice2.namespace, listenUDP(netip.IPv4Unspecified(), 7000), func(payload []byte) error {
				return l.alice1.Do(func() error {
					conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(source)}, &net.UDPAddr{IP: l.alice2.ipv4.AsSlice(), Port: 7000})
					if err != nil {
						return err
					}
					defer conn.Close()
					_, err = conn.Write(payload)
					return err
				})
			}, expected)
		}
	}
	l.alice1.sh(t, "ip addr add 172.16.1.77/24 dev eth0")
	s.says(t, "new addresses")
	if !from("172.16.1.77")(true) {
		t.Error("the new address may not be used")
	}
	l.alice1.sh(t, "ip addr add 172.16.2.77/32 dev eth0")
	s.says(t, "rules are not in force", "172.16.2.77 lies in a range of another tenant")
	if from("172.16.1.10")(false) {
		t.Error("the pod is open though it has another tenant's address")
	}
	l.alice1.sh(t, "ip addr del 172.16.2.77/32 dev eth0")
	if !eventually(func() bool { return from("172.16.1.10")(false) }) {
		t.Error("the pod stays closed though the other tenant's address is gone")
	}
}

// TestFailureSaysWhyAndCloses holds that a sidecar which cannot do its work ends
// with status 1, says why, and leaves the pod closed.
func TestFailureSaysWhyAndCloses(t *testing.T) {
	needs(t)
	cases := map[string]struct {
		config  *config.Config
		prepare func(*testing.T, *lab, *exec.Cmd)
		want    string
		closes  bool
	}{
		"no configuration": {
			prepare: func(_ *testing.T, _ *lab, cmd *exec.Cmd) { cmd.Env = cmd.Env[:1] },
			want:    "parse BULKHEAD_CONFIG", closes: true,
		},
		"unknown field": {
			prepare: func(_ *testing.T, _ *lab, cmd *exec.Cmd) {
				cmd.Env[1] = strings.Replace(cmd.Env[1], "{", `{"allowEverything":true,`, 1)
			},
			want: `unknown field "allowEverything"`, closes: true,
		},
		"everybody is a peer": {
			prepare: func(_ *testing.T, _ *lab, cmd *exec.Cmd) {
				cmd.Env[1] = strings.Replace(cmd.Env[1], `"peers":[`, `"peers":["0.0.0.0/0",`, 1)
			},
			want: "holds every address, nothing would be denied", closes: true,
		},
		"IPAM without tenants": {
			config: tenant("carol", "172.17.3.0/24"),
			want:   "lies in a range of another tenant than carol", closes: true,
		},
		"no NET_RAW": {
			prepare: func(_ *testing.T, _ *lab, cmd *exec.Cmd) {
				cmd.Args[3] = "--bounding-set=-all,+net_admin"
			},
			want: "Can't open socket to ipset", closes: true,
		},
		"no NET_ADMIN": {
			prepare: func(_ *testing.T, _ *lab, cmd *exec.Cmd) { cmd.Args[3] = "--bounding-set=-all,+net_raw" },
			want:    "is NET_ADMIN granted?",
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			if test.config == nil {
				test.config = alice()
			}
			cmd := command(t, test.config, "init")
			if test.prepare != nil {
				test.prepare(t, l, cmd)
			}
			var out []byte
			var status int
			l.alice1.must(t, func() error {
				out, _ = cmd.CombinedOutput()
				status = cmd.ProcessState.ExitCode()
				return nil
			})
			if status != 1 || !strings.Contains(string(out), test.want) {
				t.Errorf("ended with %d, want 1 and %q:\n%s", status, test.want, out)
			}
			if test.closes && (reachesIPv4(t, l, false) || udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv6, false)) {
				t.Error("the pod is open")
			}
		})
	}
}

// eventually waits for a condition.
func eventually(condition func() bool) bool {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return true
		}
	}
	return false
}
