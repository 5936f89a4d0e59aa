// Command bulkhead-testbed-outside is the host outside the cluster: what stands for the internet. It serves HTTP on port
// 80, where it tells a client the address that it sees it come from, and DNS on port 53, where it knows one name, its
// own.
//
// Its arguments are that name and its addresses.
package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"

	"golang.org/x/net/dns/dnsmessage"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: bulkhead-testbed-outside NAME ADDRESS…")
	}
	self, err := parse(args[0], args[1:])
	if err != nil {
		return err
	}
	failed := make(chan error)
	for _, address := range self.addresses {
		// One socket an address: a reply from a wildcard socket would leave with the address of the interface.
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, 53)))
		if err != nil {
			return err
		}
		go func() { failed <- self.serveDNS(conn) }()
	}
	go func() { failed <- http.ListenAndServe(":80", http.HandlerFunc(greet)) }()
	return <-failed
}

// greet answers everything with "outside sees ADDRESS".
func greet(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "outside sees %s\n", host)
}

// host is what the server knows: its own name and addresses.
type host struct {
	name      dnsmessage.Name
	addresses []netip.Addr
}

func parse(name string, addresses []string) (host, error) {
	var h host
	var err error
	if h.name, err = dnsmessage.NewName(name + "."); err != nil {
		return host{}, fmt.Errorf("%s: %w", name, err)
	}
	for _, text := range addresses {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return host{}, err
		}
		h.addresses = append(h.addresses, address)
	}
	return h, nil
}

func (h host) serveDNS(conn *net.UDPConn) error {
	buffer := make([]byte, 512) // a query needs no more (RFC 1035, section 4.2.1)
	for {
		length, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return err
		}
		reply, err := h.answer(buffer[:length])
		if err != nil {
			continue // no query: there is nobody to answer
		}
		// The client asks again if this does not reach it.
		_, _ = conn.WriteToUDPAddrPort(reply, from)
	}
}

// answer answers one query.
func (h host) answer(query []byte) ([]byte, error) {
	var message dnsmessage.Message
	if err := message.Unpack(query); err != nil {
		return nil, err
	}
	if message.Response || len(message.Questions) != 1 {
		return nil, fmt.Errorf("not a query with one question")
	}
	question := message.Questions[0]
	message.Response, message.Authoritative = true, true
	message.Additionals = nil // EDNS of the query is not ours to repeat
	if question.Name != h.name {
		message.RCode = dnsmessage.RCodeNameError
		return message.Pack()
	}
	header := dnsmessage.ResourceHeader{Name: h.name, Class: dnsmessage.ClassINET, TTL: 60}
	for _, address := range h.addresses {
		switch {
		case question.Type == dnsmessage.TypeA && address.Is4():
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: address.As4()}})
		case question.Type == dnsmessage.TypeAAAA && address.Is6():
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: address.As16()}})
		}
	}
	return message.Pack()
}
