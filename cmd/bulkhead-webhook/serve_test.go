package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What somebody unknown can make the server hold is small (A1): a long header is refused
// long before its end, and there is no HTTP/2, which holds far more.
func TestConnectionsHoldLittle(t *testing.T) {
	p := startStandalone(t)
	defer p.stop(t)
	connection, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"),
		&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}) // self-signed
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if protocol := connection.ConnectionState().NegotiatedProtocol; protocol != "http/1.1" {
		t.Errorf("the server speaks %q", protocol)
	}
	// A header without end: the server must answer before it has taken it all.
	if _, err := fmt.Fprintf(connection, "POST /mutate HTTP/1.1\r\nHost: x\r\nX: %s", strings.Repeat("a", 2*maxHeaderBytes)); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("code %d", answer.StatusCode)
	}
}
