package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/klog/v2"
)

// Pair is the serving certificate and its key. It is safe for concurrent use once
// its listeners are added.
type Pair struct {
	source    dynamiccertificates.CertKeyContentProvider
	current   atomic.Pointer[content]
	listeners []dynamiccertificates.Listener
}

var (
	_ dynamiccertificates.CertKeyContentProvider = &Pair{}
	_ dynamiccertificates.ControllerRunner       = &Pair{}
	_ dynamiccertificates.Listener               = &Pair{}
)

// FromFiles reads a PEM encoded certificate, with its chain, and its key. Run
// follows the files. A pair out of its time is taken here, so that a renewal can
// mend it; Check reports it.
func FromFiles(certFile, keyFile string) (*Pair, error) {
	source, err := dynamiccertificates.NewDynamicServingContentFromFiles("serving-cert", certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load serving certificate %s and key %s: %w", certFile, keyFile, err)
	}
	return newPair(source)
}

func newPair(source dynamiccertificates.CertKeyContentProvider) (*Pair, error) {
	p := &Pair{source: source}
	first, err := parse(source.CurrentCertKeyContent())
	if err != nil {
		return nil, fmt.Errorf("load serving certificate %s: %w", source.Name(), err)
	}
	p.current.Store(first)
	source.AddListener(p)
	return p, nil
}

// Name tells where the pair comes from.
func (p *Pair) Name() string { return p.source.Name() }

// CurrentCertKeyContent returns the last good pair, PEM encoded.
func (p *Pair) CurrentCertKeyContent() (certificate, key []byte) {
	current := p.current.Load()
	return current.certificate, current.key
}

// AddListener adds one to be told of a new pair; before Run.
func (p *Pair) AddListener(listener dynamiccertificates.Listener) {
	p.listeners = append(p.listeners, listener)
}

// RunOnce reads the files once.
func (p *Pair) RunOnce(ctx context.Context) error {
	if runner, ok := p.source.(dynamiccertificates.ControllerRunner); ok {
		return runner.RunOnce(ctx)
	}
	return nil
}

// Run follows the files until the context ends.
func (p *Pair) Run(ctx context.Context, workers int) {
	if runner, ok := p.source.(dynamiccertificates.ControllerRunner); ok {
		runner.Run(ctx, workers)
	}
}

// Enqueue is how the source tells of new content: it is taken if it is usable.
func (p *Pair) Enqueue() {
	next, err := parse(p.source.CurrentCertKeyContent())
	current := p.current.Load()
	switch {
	case err == nil && next.equal(current):
		return
	case err == nil:
		// An expired pair is as good as another.
		if err = next.check(time.Now()); err != nil && current.check(time.Now()) != nil {
			err = nil
		}
	}
	if err != nil {
		klog.ErrorS(err, "New serving certificate is not usable, keeping the last good one",
			"source", p.Name(), "notAfter", current.leaf.NotAfter)
		return
	}
	p.current.Store(next)
	klog.InfoS("Serving certificate loaded", "source", p.Name(), "subject", next.leaf.Subject,
		"serialNumber", next.leaf.SerialNumber, "notAfter", next.leaf.NotAfter)
	for _, listener := range p.listeners {
		listener.Enqueue()
	}
}

// Check returns an error while the certificate in use is out of its time.
func (p *Pair) Check() error { return p.current.Load().check(time.Now()) }

// Expiry is the end of the life of the certificate in use.
func (p *Pair) Expiry() time.Time { return p.current.Load().leaf.NotAfter }

// content is one certificate and key.
type content struct {
	certificate, key []byte
	leaf             *x509.Certificate
}

func parse(certificate, key []byte) (*content, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	return &content{certificate, key, pair.Leaf}, nil
}

func (c *content) equal(other *content) bool {
	return bytes.Equal(c.certificate, other.certificate) && bytes.Equal(c.key, other.key)
}

func (c *content) check(now time.Time) error {
	if now.Before(c.leaf.NotBefore) {
		return fmt.Errorf("serving certificate is not valid before %s", c.leaf.NotBefore.Format(time.RFC3339))
	}
	if now.After(c.leaf.NotAfter) {
		return fmt.Errorf("serving certificate expired at %s", c.leaf.NotAfter.Format(time.RFC3339))
	}
	return nil
}
