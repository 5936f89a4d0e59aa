// Package fakefeed is a feed that tells sidecars what a test wants, knowing nothing of a
// cluster: it speaks package protocol's stream, or whatever else it is given to speak.
package fakefeed

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// Name is in the server's certificate.
const Name = "feed.test"

// Server serves views to bearers of their names: a sidecar's token is the name of what
// it is to be told.
type Server struct {
	certificate tls.Certificate

	mutex     sync.Mutex
	views     map[string]*View
	listeners []net.Listener
}

// New makes a server; Serve lets it listen.
func New() (*Server, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: Name},
		DNSNames:     []string{Name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &Server{certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, views: map[string]*View{}}, nil
}

// CA is the certificate by which sidecars know the server, in PEM.
func (s *Server) CA() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate.Certificate[0]}))
}

// Serve answers what comes to a listener until Close.
func (s *Server) Serve(listener net.Listener) {
	s.mutex.Lock()
	s.listeners = append(s.listeners, listener)
	s.mutex.Unlock()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(tls.Server(connection, &tls.Config{Certificates: []tls.Certificate{s.certificate}}))
		}
	}()
}

// Close ends all listeners and streams. The views stay, for another Serve.
func (s *Server) Close() {
	s.mutex.Lock()
	listeners, views := s.listeners, slices.Collect(maps.Values(s.views))
	s.listeners = nil
	s.mutex.Unlock()
	for _, listener := range listeners {
		_ = listener.Close()
	}
	for _, view := range views {
		view.Cut()
	}
}

// View is what the bearer of a name is told: nothing, before Tell.
func (s *Server) View(name string) *View {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.views[name] == nil {
		s.views[name] = &View{streams: map[*stream]struct{}{}, changed: make(chan struct{})}
	}
	return s.views[name]
}

func (s *Server) serve(connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReader(connection)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	name, ok := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
	if request.URL.Path != protocol.PeersPath || request.Header.Get("Upgrade") != protocol.Upgrade || !ok {
		fmt.Fprint(connection, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n") // reports are taken
		return
	}
	s.View(name).serve(connection, reader)
}
