//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bulkhead-dev/bulkhead/sidecar/apply"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	podfacts "github.com/bulkhead-dev/bulkhead/sidecar/pod"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
	"github.com/bulkhead-dev/bulkhead/tests/namespace"
)

// The ends of a pair.
const (
	clientAddress = "172.16.1.10"
	serverAddress = "172.16.1.11"
)

// pair is two pods joined by a veth pair.
type pair struct {
	client, server *namespace.Namespace
}

func newPair() (*pair, error) {
	client, err := namespace.New("client")
	if err != nil {
		return nil, err
	}
	server, err := namespace.New("server")
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	p := &pair{client, server}
	err = namespace.Wire(client, "eth0", server, "eth0")
	for end, addresses := range p.addresses() {
		if err == nil {
			err = end.Do(func() error { return namespace.Address("eth0", addresses...) })
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *pair) addresses() map[*namespace.Namespace][]string {
	return map[*namespace.Namespace][]string{
		p.client: {clientAddress + "/24", "fd00:1::10/64"},
		p.server: {serverAddress + "/24", "fd00:1::11/64"},
	}
}

func (p *pair) close() error { return errors.Join(p.client.Close(), p.server.Close()) }

// tenant is a configuration with so many peers: single addresses, both ends of the
// pair among them.
func tenant(peers int) *config.Config {
	c := &config.Config{
		Version: config.Version,
		Tenant:  "alice",
		Denied:  []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("fd00::/16")},
		Nodes:   []netip.Prefix{netip.MustParsePrefix("10.250.0.0/24"), netip.MustParsePrefix("fd01::/64")},
		System:  []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")},
		Egress:  config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Allow},
		Probes:  []config.Port{8080},
	}
	for _, own := range []string{clientAddress + "/32", serverAddress + "/32", "fd00:1::10/128", "fd00:1::11/128"} {
		c.Peers = append(c.Peers, netip.MustParsePrefix(own))
	}
	for i := range peers - 2 {
		c.Peers = append(c.Peers, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(20 + i>>16), byte(i >> 8), byte(i)}), 32))
	}
	return c
}

// holdCommand is how this program calls itself in a namespace, to bring rules in by
// package apply: 100,000 peers do not fit into an environment variable.
const holdCommand = "hold-peers"

// held is a namespace whose rules can be updated.
type held struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	answers *json.Decoder
}

// answer is what hold says to each line.
type answer struct {
	Milliseconds float64
	Error        string
}

// hold brings rules for so many peers in, and adds or removes one more at each line
// that it reads.
func hold(peers string, commands io.Reader, out io.Writer) error {
	number, err := strconv.Atoi(peers)
	if err != nil {
		return err
	}
	facts, err := podfacts.Read()
	if err != nil {
		return err
	}
	applier, err := apply.Open(apply.NFTables, true)
	if err != nil {
		return err
	}
	c := tenant(number)
	ensure := func() answer {
		plan, err := rules.Build(c, facts, nil)
		began := time.Now()
		if err == nil {
			_, err = applier.Ensure(context.Background(), plan)
		}
		a := answer{Milliseconds: report.In(time.Millisecond, time.Since(began))}
		if err != nil {
			a.Error = err.Error()
		}
		return a
	}
	encoder := json.NewEncoder(out)
	if err := encoder.Encode(ensure()); err != nil {
		return err
	}
	all := c.Peers
	for lines := bufio.NewScanner(commands); lines.Scan(); {
		if len(c.Peers) == len(all) {
			c.Peers = append(all[:len(all):len(all)], netip.MustParsePrefix("172.31.255.254/32"))
		} else {
			c.Peers = all
		}
		if err := encoder.Encode(ensure()); err != nil {
			return err
		}
	}
	return nil
}

// holdPeers starts hold in a namespace; the answer is how long that took.
func holdPeers(ctx context.Context, at *namespace.Namespace, peers int) (*held, answer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, answer{}, err
	}
	h := &held{command: exec.CommandContext(ctx, self, holdCommand, strconv.Itoa(peers))}
	h.command.Stderr = os.Stderr
	h.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if h.stdin, err = h.command.StdinPipe(); err != nil {
		return nil, answer{}, err
	}
	stdout, err := h.command.StdoutPipe()
	if err != nil {
		return nil, answer{}, err
	}
	h.answers = json.NewDecoder(stdout)
	if err := at.Do(h.command.Start); err != nil {
		return nil, answer{}, err
	}
	first, err := h.answer()
	return h, first, err
}

// update changes the set by one.
func (h *held) update() (answer, error) {
	if _, err := io.WriteString(h.stdin, "\n"); err != nil {
		return answer{}, err
	}
	return h.answer()
}

func (h *held) answer() (answer, error) {
	var a answer
	if err := h.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("hold peers: %w", err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("hold peers: %s", strings.TrimSpace(a.Error))
	}
	return a, nil
}

// end leaves the rules as they are.
func (h *held) end() error { return errors.Join(h.stdin.Close(), h.command.Wait()) }
