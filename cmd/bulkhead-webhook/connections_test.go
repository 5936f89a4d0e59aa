package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// from is a connection of an address, which knows whether it was closed.
type from struct {
	net.Conn
	address string
	closed  bool
}

func (f *from) RemoteAddr() net.Addr {
	address, err := net.ResolveTCPAddr("tcp", f.address)
	if err != nil {
		panic(err)
	}
	return address
}

func (f *from) Close() error {
	f.closed = true
	return nil
}

// TestConnections: a new connection is always let in, and the one goes on which nothing
// has happened for longest: of the same address, where that has too many.
func TestConnections(t *testing.T) {
	c := newConnections(6, 4, nil)
	open := func(address string) *from {
		conn := &from{address: address}
		c.follow(conn, http.StateNew)
		return conn
	}
	wantClosed := func(step string, closed bool, conns ...*from) {
		t.Helper()
		for i, conn := range conns {
			if conn.closed != closed {
				t.Errorf("%s: connection %d of %s is closed: %v", step, i, conn.address, conn.closed)
			}
		}
	}
	server := open("10.0.0.1:1")
	var pod []*from
	for port := range 4 {
		pod = append(pod, open(fmt.Sprintf("10.0.0.2:%d", port)))
	}
	wantClosed("as many as may be", false, append(pod, server)...)
	c.follow(pod[0], http.StateActive)
	pod = append(pod, open("[::ffff:10.0.0.2]:5"))
	wantClosed("one address has too many", true, pod[1])
	wantClosed("one address has too many", false, server, pod[0], pod[2], pod[3], pod[4])
	c.follow(pod[1], http.StateClosed) // by now

	other := open("10.0.0.3:1")
	wantClosed("all together are as many as may be", false, server, other)
	c.follow(server, http.StateActive)
	c.follow(server, http.StateIdle)
	another := open("10.0.0.4:1")
	wantClosed("all together are too many", true, pod[2])
	wantClosed("all together are too many", false, server, other, another, pod[0], pod[3], pod[4])

	c.follow(other, http.StateHijacked)
	last := open("10.0.0.5:1")
	wantClosed("a stream is none", false, server, other, another, last, pod[0], pod[3], pod[4])
	for _, conn := range append(pod, server, other, another, last) {
		c.follow(conn, http.StateClosed)
		c.follow(conn, http.StateIdle) // after all
	}
	if len(c.places) != 0 || len(c.counts) != 0 || c.quiet.Len() != 0 {
		t.Errorf("left: %d, %d, %d", len(c.places), len(c.counts), c.quiet.Len())
	}
}

// TestManyConnectionsOfOneAddress: who opens many takes the place of none that has waited
// longer, but has fewer.
func TestManyConnectionsOfOneAddress(t *testing.T) {
	c := newConnections(6, 4, nil)
	open := func(address string) *from {
		conn := &from{address: address}
		c.follow(conn, http.StateNew)
		return conn
	}
	waiting := []*from{open("10.0.0.1:1"), open("10.0.0.2:1"), open("10.0.0.3:1")}
	for port := range 100 {
		open(fmt.Sprintf("10.0.0.4:%d", port))
	}
	open("10.0.0.5:1")
	for _, conn := range waiting {
		if conn.closed {
			t.Errorf("the connection of %s is closed", conn.address)
		}
	}
	for host := 6; host < 11; host++ {
		open(fmt.Sprintf("10.0.0.%d:1", host))
	}
	if !waiting[0].closed || len(c.places) != 6 {
		t.Errorf("of addresses with one each the longest quiet is not the first to go: %d are left", len(c.places))
	}
}

// TestHandshakesOfOneAddress: who opens connection after connection, each of which costs a
// handshake, is not let in, and others are.
func TestHandshakesOfOneAddress(t *testing.T) {
	var opened, all []*from
	c := newConnections(6, 4, func(address string) bool { return address != "10.0.0.2" || len(opened) < 2 })
	for port := range 5 {
		conn := &from{address: fmt.Sprintf("[::ffff:10.0.0.2]:%d", port)}
		if c.follow(conn, http.StateNew); !conn.closed {
			opened = append(opened, conn)
		}
		other := &from{address: fmt.Sprintf("10.0.0.3:%d", port)}
		c.follow(other, http.StateNew)
		all = append(all, conn, other)
	}
	if len(opened) != 2 || all[len(all)-1].closed {
		t.Errorf("%d of one address are let in, not 2; another's is closed: %v", len(opened), all[len(all)-1].closed)
	}
	for _, conn := range all { // also those that were not let in
		c.follow(conn, http.StateClosed)
	}
	if len(c.places) != 0 || c.quiet.Len() != 0 || len(c.counts) != 0 {
		t.Errorf("left: %d connections, %d in order, counts %v", len(c.places), c.quiet.Len(), c.counts)
	}
}

// TestConnectionsOverTLS: the connection that goes is closed for whoever opened it, and
// the others go on.
func TestConnectionsOverTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	server.Config.ConnState = newConnections(100, 2, nil).follow
	server.StartTLS()
	defer server.Close()
	open := func() *tls.Conn {
		connection, err := tls.Dial("tcp", strings.TrimPrefix(server.URL, "https://"), &tls.Config{InsecureSkipVerify: true}) // self-signed
		if err != nil {
			t.Fatal(err)
		}
		return connection
	}
	ask := func(connection *tls.Conn) error {
		if _, err := fmt.Fprint(connection, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		return errors.Join(err, answer.Body.Close())
	}
	first, second := open(), open()
	defer first.Close()
	defer second.Close()
	third := open()
	defer third.Close()
	if err := ask(third); err != nil {
		t.Errorf("the newest: %v", err)
	}
	if err := ask(second); err != nil {
		t.Errorf("the one before: %v", err)
	}
	if err := ask(first); err == nil {
		t.Error("the first is still open")
	}
}
