//go:build linux

package droplog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink"
	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink/nfnetlinktest"
)

func TestFlow(t *testing.T) {
	ipv4 := func(number byte, fragment byte, rest ...byte) []byte {
		packet := []byte{0x46, 0, 0, 0, 0, 0, 0, fragment, 64, number, 0, 0, 172, 16, 1, 7, 172, 16, 2, 9, 1, 1, 1, 1} // with an option
		return append(packet, rest...)
	}
	ports := []byte{0x80, 0, 0, 53}
	ipv6 := append([]byte{0x60, 0, 0, 0, 0, 8, unix.IPPROTO_UDP, 64}, make([]byte, 32)...)
	ipv6[8], ipv6[23], ipv6[24], ipv6[39] = 0xfd, 1, 0xfd, 2
	flow4 := Flow{Direction: protocol.Out, Reason: "P1 x", Source: netip.MustParseAddr("172.16.1.7"), Destination: netip.MustParseAddr("172.16.2.9")}
	cases := map[string]struct {
		packet []byte
		want   func() Flow
	}{
		"TCP":            {ipv4(6, 0, ports...), func() Flow { f := flow4; f.Protocol, f.Port = 6, 53; return f }},
		"ICMP":           {ipv4(1, 0, ports...), func() Flow { f := flow4; f.Protocol = 1; return f }},
		"later fragment": {ipv4(6, 1, ports...), func() Flow { f := flow4; f.Protocol = 6; return f }},
		"ports cut off":  {ipv4(6, 0, 1, 2), func() Flow { f := flow4; f.Protocol = 6; return f }},
		"IPv6": {append(ipv6, ports...), func() Flow {
			return Flow{protocol.Out, "P1 x", netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2"), 17, 53}
		}},
		"IPv4 cut short":  {ipv4(6, 0)[:19], nil},
		"IPv6 cut short":  {ipv6[:39], nil},
		"nothing":         {nil, nil},
		"unknown version": {append([]byte{0x56}, make([]byte, 60)...), nil},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok := flow(nfnetlink.Message{Type: subsystem << 8, Attributes: nfnetlink.Attributes{}.
				Bytes(attrHeader, []byte{8, 0, unix.NF_INET_LOCAL_OUT, 0}).Bytes(attrPayload, test.packet).String(attrPrefix, "P1 x")})
			if ok != (test.want != nil) || ok && got != test.want() {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
}

// lines are the log's, without their time.
func lines(t *testing.T, out *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(out.String()) {
		read := map[string]any{}
		if err := json.Unmarshal([]byte(line), &read); err != nil {
			t.Fatal(err)
		}
		all = append(all, read)
	}
	return all
}

// TestLogIsBounded holds that a flow is told of once and then once a window, and that
// a scan of many flows does not fill the log.
func TestLogIsBounded(t *testing.T) {
	var out bytes.Buffer
	log := NewLog(slog.New(slog.NewJSONHandler(&out, nil)))
	now := time.Now()
	scan := func(flows int) {
		for i := range flows {
			log.packet(Flow{Reason: "P1", Port: uint16(i)}, now)
		}
		log.tick(now)
	}
	for range 5 { // the first flow of all is told of once, too
		scan(1)
		now = now.Add(time.Second)
	}
	if told := lines(t, &out); len(told) != 1 || told[0]["suppressed"] != 0.0 {
		t.Fatalf("told %v", told)
	}
	now = now.Add(window)
	log.tick(now)
	scan(1) // it goes on: no news
	if told := lines(t, &out); len(told) != 2 || told[1]["msg"] != "more packets dropped" || told[1]["suppressed"] != 4.0 {
		t.Fatalf("told %v", told)
	}
	now = now.Add(window)
	log.tick(now) // with the last that went on
	now = now.Add(window)
	log.tick(now) // it has ended, and is forgotten
	out.Reset()
	scan(60_000)
	now = now.Add(window)
	log.tick(now)
	told := lines(t, &out)
	if len(told) != mostFlows+1 || told[mostFlows]["suppressed"] != float64(60_000-mostFlows) {
		t.Errorf("%d lines, the last %v", len(told), told[len(told)-1])
	}
}

// TestDroppedPacketIsTold plays it on a real kernel.
func TestDroppedPacketIsTold(t *testing.T) {
	nfnetlinktest.Namespace(t)
	const group = 99
	if available, err := Available(group); err != nil {
		t.Fatal(err)
	} else if !available {
		t.Skip("the kernel has no nfnetlink_log")
	}
	file, err := Listen(group)
	if err != nil {
		t.Fatal(err)
	}
	if available, err := Available(group); err != nil || !available {
		t.Errorf("available: %v, %v, though this test listens to it", available, err)
	}
	nfnetlinktest.Run(t, "iptables-nft", fmt.Sprintf(`ip link set lo up
		iptables-nft -A OUTPUT -p udp --dport 7000 -j NFLOG --nflog-group %d --nflog-prefix 'P1 not a peer'
		iptables-nft -A OUTPUT -p udp --dport 7000 -j DROP`, group))
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read := make(chan error)
	seen := make(chan struct{}, 1)
	go func() {
		read <- NewLog(slog.New(slog.NewJSONHandler(writer{&out, seen}, nil))).Read(ctx, file)
	}()
	conn, err := net.Dial("udp4", "127.0.0.1:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Write([]byte("x")) // EPERM: it is dropped
	select {
	case <-seen:
	case <-time.After(10 * time.Second):
		t.Error("nothing told")
	}
	cancel()
	if err := <-read; err != nil {
		t.Error(err)
	}
	told := lines(t, &out)
	if len(told) != 1 {
		t.Fatalf("told %v", told)
	}
	for key, want := range map[string]any{
		"level": "WARN", "msg": "packet dropped", "direction": "out", "reason": "P1 not a peer",
		"source": "127.0.0.1", "destination": "127.0.0.1", "protocol": 17.0, "port": 7000.0,
	} {
		if told[0][key] != want {
			t.Errorf("%s is %v, want %v", key, told[0][key], want)
		}
	}
}

// writer says when something was written.
type writer struct {
	*bytes.Buffer
	seen chan<- struct{}
}

func (w writer) Write(line []byte) (int, error) {
	defer func() { w.seen <- struct{}{} }()
	return w.Buffer.Write(line)
}
