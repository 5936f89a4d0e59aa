package main

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// The bounds of a port that every pod reaches (threat A1). A connection on which nothing
// is said holds about 40 KiB.
const (
	// maxConnections is of all addresses together.
	maxConnections = 4096
	// addressConnections is of one address: an API server has as many reviews under way
	// as --max-in-flight lets it, for /mutate and for /validate, and behind one address
	// there may be several.
	addressConnections = 1024
)

// connections bounds how many there are at a time. A new one is always let in that its
// address may open: what goes is the one on which nothing has happened for longest, of its
// own address where that has too many, else of an address that has most, so that whoever
// opens many can lock nobody out, nor those who wait for an answer. Connections that are
// hijacked, such as the feed's streams, are their handler's to bound.
type connections struct {
	most, ofAddress int
	welcome         func(address string) bool // nil: any

	mutex  sync.Mutex
	quiet  *list.List // of *connection, the longest quiet first
	places map[net.Conn]*list.Element
	counts map[netip.Addr]int
}

type connection struct {
	net.Conn
	address netip.Addr
}

func newConnections(most, ofAddress int, welcome func(address string) bool) *connections {
	return &connections{
		most: most, ofAddress: ofAddress, welcome: welcome,
		quiet: list.New(), places: map[net.Conn]*list.Element{}, counts: map[netip.Addr]int{},
	}
}

// follow is http.Server's ConnState.
func (c *connections) follow(conn net.Conn, state http.ConnState) {
	if surplus := c.note(conn, state); surplus != nil {
		if encrypted, ok := surplus.(*tls.Conn); ok {
			surplus = encrypted.NetConn() // to say farewell may take long
		}
		surplus.Close() // whoever reads from it is told
	}
}

// note returns the connection that has to go, if there is one.
func (c *connections) note(conn net.Conn, state http.ConnState) (surplus net.Conn) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	switch state {
	case http.StateNew:
		// What has no such address, which none has that comes by TCP, shares the zero one.
		address, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
		added := &connection{conn, address.Addr().Unmap()}
		if c.welcome != nil && !c.welcome(added.address.String()) {
			return conn // before its handshake
		}
		c.places[conn] = c.quiet.PushBack(added)
		c.counts[added.address]++
		return c.surplus(added.address)
	case http.StateClosed, http.StateHijacked:
		c.remove(conn)
	default:
		if place, ok := c.places[conn]; ok {
			c.quiet.MoveToBack(place)
		}
	}
	return nil
}

// surplus takes away the connection that is one too many after a new one of the address.
func (c *connections) surplus(address netip.Addr) net.Conn {
	most := c.counts[address] // above its bound no other has as many
	if most <= c.ofAddress {
		if len(c.places) <= c.most {
			return nil
		}
		for _, count := range c.counts {
			most = max(most, count)
		}
	}
	for place := c.quiet.Front(); place != nil; place = place.Next() {
		if oldest := place.Value.(*connection); c.counts[oldest.address] == most {
			c.remove(oldest.Conn)
			return oldest.Conn
		}
	}
	return nil
}

func (c *connections) remove(conn net.Conn) {
	place, ok := c.places[conn]
	if !ok {
		return
	}
	delete(c.places, conn)
	address := c.quiet.Remove(place).(*connection).address
	if c.counts[address]--; c.counts[address] == 0 {
		delete(c.counts, address)
	}
}
