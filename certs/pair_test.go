package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/util/pki"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// generate returns a pair whose life begins now+begin and ends now+end.
func generate(t *testing.T, commonName string, begin, end time.Duration) (certificate, key []byte) {
	t.Helper()
	request := &cmapi.Certificate{Spec: cmapi.CertificateSpec{CommonName: commonName, DNSNames: []string{"localhost"}}}
	signer, err := pki.GenerateECPrivateKey(pki.ECCurve256)
	if err != nil {
		t.Fatal(err)
	}
	template, err := pki.CertificateTemplateFromCertificate(request)
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(begin), time.Now().Add(end)
	certificate, _, err = pki.SignCertificate(template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	key, err = pki.EncodePrivateKey(signer, cmapi.PKCS8)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// mount lays files out as the kubelet does for a Secret: links through ..data to a
// folder that is replaced as a whole.
type mount struct {
	t          *testing.T
	root       string
	generation int
}

func newMount(t *testing.T) *mount {
	m := &mount{t: t, root: t.TempDir()}
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(m.root, name)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *mount) path(name string) string { return filepath.Join(m.root, name) }

func (m *mount) write(certificate, key []byte) {
	m.t.Helper()
	old, _ := os.Readlink(m.path("..data"))
	m.generation++
	folder := "..generation" + strings.Repeat("i", m.generation)
	for _, err := range []error{
		os.Mkdir(m.path(folder), 0o700),
		os.WriteFile(filepath.Join(m.path(folder), "tls.crt"), certificate, 0o600),
		os.WriteFile(filepath.Join(m.path(folder), "tls.key"), key, 0o600),
		os.Symlink(folder, m.path("..data_tmp")),
		os.Rename(m.path("..data_tmp"), m.path("..data")),
	} {
		if err != nil {
			m.t.Fatal(err)
		}
	}
	if old != "" {
		if err := os.RemoveAll(m.path(old)); err != nil {
			m.t.Fatal(err)
		}
	}
}

type counter struct{ atomic.Int32 }

func (c *counter) Enqueue() { c.Add(1) }

func subject(t *testing.T, p *Pair) string {
	t.Helper()
	pair, err := tls.X509KeyPair(p.CurrentCertKeyContent())
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.Subject.CommonName
}

func TestPairFollowsTheFiles(t *testing.T) {
	m := newMount(t)
	m.write(generate(t, "first", -time.Hour, time.Hour))
	p, err := FromFiles(m.path("tls.crt"), m.path("tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	var told counter
	p.AddListener(&told)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { defer close(stopped); p.Run(ctx, 1) }()
	defer func() { cancel(); <-stopped }()

	waitFor := func(name string, toldTimes int32) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for subject(t, p) != name || told.Load() != toldTimes {
			if time.Now().After(deadline) {
				t.Fatalf("after 10 s: subject %q, told %d times; want %q, %d", subject(t, p), told.Load(), name, toldTimes)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	waitFor("first", 0)
	m.write(generate(t, "second", -time.Hour, time.Hour))
	waitFor("second", 1)

	// None of these may be taken; the good one that follows shows that they were seen.
	otherCertificate, _ := generate(t, "other", -time.Hour, time.Hour)
	_, otherKey := generate(t, "another", -time.Hour, time.Hour)
	for _, broken := range [][2][]byte{{otherCertificate, otherKey}, {nil, nil}, {[]byte("no PEM"), otherKey}} {
		m.write(broken[0], broken[1])
		time.Sleep(50 * time.Millisecond)
		waitFor("second", 1)
	}
	m.write(generate(t, "third", -time.Hour, time.Hour))
	waitFor("third", 2)
}

// static is a source without files.
type static struct{ content }

func (*static) Name() string                             { return "test" }
func (*static) AddListener(dynamiccertificates.Listener) {}
func (s *static) CurrentCertKeyContent() (certificate, key []byte) {
	return s.certificate, s.key
}

func parsed(t *testing.T, commonName string, begin, end time.Duration) *content {
	t.Helper()
	c, err := parse(generate(t, commonName, begin, end))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPairTakesOnlyWhatIsUsable(t *testing.T) {
	good := func() *content { return parsed(t, "good", -time.Hour, time.Hour) }
	expired := func() *content { return parsed(t, "expired", -2*time.Hour, -time.Hour) }
	early := func() *content { return parsed(t, "early", time.Hour, 2*time.Hour) }
	for name, test := range map[string]struct {
		current, next *content
		taken         bool
	}{
		"good after good":       {good(), good(), true},
		"expired after good":    {good(), expired(), false},
		"early after good":      {good(), early(), false},
		"good after expired":    {expired(), good(), true},
		"expired after expired": {expired(), expired(), true},
	} {
		t.Run(name, func(t *testing.T) {
			source := &static{*test.current}
			p, err := newPair(source)
			if err != nil {
				t.Fatal(err)
			}
			source.content = *test.next
			p.Enqueue()
			want := test.current
			if test.taken {
				want = test.next
			}
			if got := p.current.Load(); !got.equal(want) {
				t.Errorf("in use: %s of serial number %s", got.leaf.Subject, got.leaf.SerialNumber)
			}
			wantErr := want.check(time.Now())
			if err := p.Check(); (err == nil) != (wantErr == nil) {
				t.Errorf("Check: %v, want %v", err, wantErr)
			}
			if !p.Expiry().Equal(want.leaf.NotAfter) {
				t.Errorf("Expiry: %s, want %s", p.Expiry(), want.leaf.NotAfter)
			}
		})
	}
}

func TestFromFilesNamesTheFiles(t *testing.T) {
	_, err := FromFiles("/nowhere/tls.crt", "/nowhere/tls.key")
	if err == nil || !strings.Contains(err.Error(), "/nowhere/tls.crt") {
		t.Errorf("error %v", err)
	}
}

func TestSelfSigned(t *testing.T) {
	p, err := SelfSigned("localhost", "127.0.0.1", "::1")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	certificate, _ := p.CurrentCertKeyContent()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		options := x509.VerifyOptions{DNSName: host, Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		if _, err := p.current.Load().leaf.Verify(options); err != nil {
			t.Errorf("as %s: %v", host, err)
		}
	}
}
