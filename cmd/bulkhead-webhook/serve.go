package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/klog/v2"
)

const (
	// maxHeaderBytes bounds what somebody unknown makes a connection hold. The API
	// server's headers have less than 2 KiB, a token 8 KiB at most.
	maxHeaderBytes = 16 << 10
	// headerTimeout bounds the TLS handshake, and the reading of a header.
	headerTimeout = 10 * time.Second
	idleTimeout   = 90 * time.Second // as the API server's client
)

// port is a port that is listened on, and who serves it.
type port struct {
	info    *server.SecureServingInfo
	handler http.Handler
	// welcome tells whether an IP address may open one more connection now; nil: any may.
	welcome func(address string) bool
}

// serve is SecureServingInfo.Serve for a port that every pod reaches: that one takes a
// header of 1 MiB on each connection, with which 260 connections are more than this
// container's memory (A1). There is no HTTP/2: the API server calls webhooks by HTTP/1.1
// (kubernetes/kubernetes#75791), and sidecars speak HTTP/1.0.
func (p port) serve(shutdownTimeout time.Duration, stop <-chan struct{}) (drained, closed <-chan struct{}, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-stop
		cancel()
	}()
	config := &tls.Config{MinVersion: p.info.MinTLSVersion, CipherSuites: p.info.CipherSuites, NextProtos: []string{"http/1.1"}}
	if p.info.ClientCA != nil {
		config.ClientAuth = tls.RequestClientCert // who must have one is the handler's to say
	}
	certificates := dynamiccertificates.NewDynamicServingCertificateController(config, p.info.ClientCA, p.info.Cert, nil, nil)
	p.info.Cert.AddListener(certificates)
	if p.info.ClientCA != nil {
		p.info.ClientCA.AddListener(certificates)
	}
	for _, source := range []any{p.info.Cert, p.info.ClientCA} {
		if runner, ok := source.(dynamiccertificates.ControllerRunner); ok {
			if err := runner.RunOnce(ctx); err != nil {
				klog.ErrorS(err, "Cannot read certificates yet")
			}
			go runner.Run(ctx, 1)
		}
	}
	if err := certificates.RunOnce(); err != nil {
		cancel()
		return nil, nil, fmt.Errorf("load certificates: %w", err)
	}
	go certificates.Run(1, stop)
	config.GetConfigForClient = certificates.GetConfigForClient
	klog.Infof("Serving securely on %s", p.info.Listener.Addr())
	served := &http.Server{
		Handler:           p.handler,
		TLSConfig:         config,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // no HTTP/2
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ConnState:         newConnections(maxConnections, addressConnections, p.welcome).follow,
		ErrorLog:          log.New(serverLog{}, "", 0),
	}
	served.SetKeepAlivesEnabled(p.welcome == nil) // or one connection could ask without end
	return server.RunServer(served, p.info.Listener, shutdownTimeout, stop)
}

// serverLog takes what http.Server logs: failed handshakes, which anybody can have many
// of, only where somebody wants to see all.
type serverLog struct{}

func (serverLog) Write(line []byte) (int, error) {
	if text := string(bytes.TrimSpace(line)); bytes.HasPrefix(line, []byte("http: TLS handshake error ")) {
		klog.V(5).InfoS("Server", "message", text)
	} else {
		klog.InfoS("Server", "message", text)
	}
	return len(line), nil
}
