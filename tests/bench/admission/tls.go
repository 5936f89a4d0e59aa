package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bulkhead-dev/bulkhead/certs"
	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

const psaWebhook = "k8s.io/pod-security-admission/cmd/webhook"

// connections are how many there are at a time; each sends one review after another,
// over HTTP/1.1, as the API server's clients of webhooks do.
var connections = [...]int{1, 8, 64}

// rates are reviews a second over the most connections, each due at its time, whatever
// became of those before. Kubernetes' own tests of scale create up to 100 pods a second
// in the largest clusters.
var rates = [...]int{100, 300, 1000}

// served is a webhook that runs.
type served struct {
	name, url string
	bodies    [][]byte
	trust     *x509.CertPool
}

// measureTLS loads the webhooks in turns.
func (b *bench) measureTLS(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	servers, err := b.serve(ctx, &running)
	if err != nil {
		return err
	}
	for _, n := range connections {
		times, spent := make([][]time.Duration, len(servers)), make([]time.Duration, len(servers))
		for turn := range b.tlsRounds + 1 {
			for i, server := range servers {
				began := time.Now()
				of, err := server.load(ctx, n, b.tlsTime)
				if err != nil {
					return fmt.Errorf("%s, %d connections: %w", server.name, n, err)
				}
				if turn > 0 { // the first is to warm up
					times[i], spent[i] = append(times[i], of...), spent[i]+time.Since(began)
				}
			}
		}
		for i, server := range servers {
			name := server.name + "_" + strconv.Itoa(n)
			found := spreadOf(times[i], time.Millisecond)
			b.results.Details.TLS[name] = found
			b.results.Summary.TLSP99[name] = found.P99
			b.results.Summary.RPS[name] = report.Round(float64(found.Count)/spent[i].Seconds(), 0)
		}
		report.Progress("  %d connections", n)
	}
	if err := b.measureRates(ctx, servers); err != nil {
		return err
	}
	b.results.note("tls: the client, which both servers share the processors with, is part of every figure")
	return nil
}

// measureRates sends reviews at set rates, in turns, as an API server does, which waits
// for no webhook before it takes the next request. A review's time begins when it is due.
func (b *bench) measureRates(ctx context.Context, servers []served) error {
	n := connections[len(connections)-1]
	for _, rate := range rates {
		times := make([][]time.Duration, len(servers))
		for range b.tlsRounds {
			for i, server := range servers {
				of, err := server.loadAt(ctx, n, rate, b.tlsTime)
				if err != nil {
					return fmt.Errorf("%s, %d a second: %w", server.name, rate, err)
				}
				times[i] = append(times[i], of...)
			}
		}
		for i, server := range servers {
			name := fmt.Sprintf("%s_%d_at_%d", server.name, n, rate)
			found := spreadOf(times[i], time.Millisecond)
			b.results.Details.TLS[name] = found
			b.results.Summary.RateP99[name] = found.P99
		}
		report.Progress("  %d a second", rate)
	}
	return nil
}

// loadAt sends reviews over n connections, so many a second, and returns how long after
// it was due each was answered.
func (s *served) loadAt(ctx context.Context, n, rate int, d time.Duration) ([]time.Duration, error) {
	times, errs := make([][]time.Duration, n), make([]error, n)
	interval := time.Second / time.Duration(rate)
	var dealt atomic.Int64
	var senders, connected sync.WaitGroup
	connected.Add(n)
	began := make(chan time.Time)
	for i := range n {
		senders.Go(func() {
			client := s.client()
			defer client.CloseIdleConnections()
			errs[i] = s.send(ctx, client, next(s.bodies[0])) // the handshake's
			connected.Done()
			start := <-began
			for errs[i] == nil {
				k := int(dealt.Add(1)) - 1
				due := start.Add(time.Duration(k) * interval)
				if due.Sub(start) >= d {
					return
				}
				body := next(s.bodies[k*order%len(s.bodies)])
				time.Sleep(time.Until(due))
				errs[i] = s.send(ctx, client, body)
				times[i] = append(times[i], time.Since(due))
			}
		})
	}
	connected.Wait()
	start := time.Now()
	for range n {
		began <- start
	}
	senders.Wait()
	return slices.Concat(times...), errors.Join(errs...)
}

// order has no divisor in common with any number of bodies that is not a multiple of
// it: it deals all of them, and one after another different ones.
const order = 7919

// serve starts the webhooks, which end with the context.
func (b *bench) serve(ctx context.Context, running *sync.WaitGroup) ([]served, error) {
	pair, err := certs.SelfSigned("127.0.0.1")
	if err != nil {
		return nil, err
	}
	certificate, key := pair.CurrentCertKeyContent()
	certFile, keyFile := filepath.Join(b.dir, "tls.crt"), filepath.Join(b.dir, "tls.key")
	if err := errors.Join(os.WriteFile(certFile, certificate, 0o600), os.WriteFile(keyFile, key, 0o600)); err != nil {
		return nil, err
	}
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(certificate)
	start := func(name, path string, body func(*sample) []byte, binary string, args ...string) (served, error) {
		s := served{name: name, trust: trust}
		for i := range b.deck {
			s.bodies = append(s.bodies, body(&b.deck[i]))
		}
		port, err := freePort()
		if err != nil {
			return s, err
		}
		s.url = "https://127.0.0.1:" + port
		args = append(args, "--tls-cert-file", certFile, "--tls-private-key-file", keyFile, "--bind-address", "127.0.0.1", "--secure-port", port)
		err = s.start(b.dir, running, exec.CommandContext(ctx, binary, args...))
		s.url += path + "?timeout=10s"
		return s, err
	}

	binary := filepath.Join(b.dir, "bulkhead-webhook")
	report.Progress("  building bulkhead-webhook")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/bulkhead-dev/bulkhead/cmd/bulkhead-webhook").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	ours, err := start("bulkhead", webhook.ValidatePath, changed, binary, "--config", b.ours.config, "--standalone", b.ours.tenants)
	if err != nil {
		return nil, err
	}
	if binary, err = b.buildPSA(ctx); err != nil {
		b.results.skip("psa_tls", err.Error())
		return []served{ours}, context.Cause(ctx)
	}
	kubeconfig, err := b.serveNamespaces(ctx, running)
	if err != nil {
		return nil, err
	}
	theirs, err := start("psa", "/", created, binary, "--kubeconfig", kubeconfig)
	return []served{ours, theirs}, err
}

// start runs the webhook until the context ends, and waits until it is ready.
func (s *served) start(dir string, running *sync.WaitGroup, command *exec.Cmd) error {
	path := filepath.Join(dir, s.name+".log") // denials are logged, which is part of a review
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	defer log.Close()
	command.Stderr = log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us alone
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	running.Go(func() { ended <- command.Wait() })
	client := s.client()
	defer client.CloseIdleConnections()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			said, _ := os.ReadFile(path)
			return fmt.Errorf("%s ended: %w\n%s", s.name, err, said)
		default:
		}
		response, err := client.Get(s.url + "/readyz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	said, _ := os.ReadFile(path)
	return fmt.Errorf("%s does not become ready:\n%s", s.name, said)
}

// client has one connection.
func (s *served) client() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.trust, NextProtos: []string{"http/1.1"}},
		MaxConnsPerHost: 1,
	}}
}

// load sends reviews over n connections for the time, and returns how long each took.
func (s *served) load(ctx context.Context, n int, d time.Duration) ([]time.Duration, error) {
	times, errs := make([][]time.Duration, n), make([]error, n)
	var senders sync.WaitGroup
	end := time.Now().Add(d)
	for i := range n {
		senders.Go(func() {
			client := s.client()
			defer client.CloseIdleConnections()
			for k := i * len(s.bodies) / n; time.Now().Before(end); k++ {
				body := next(s.bodies[k%len(s.bodies)])
				began := time.Now()
				if errs[i] = s.send(ctx, client, body); errs[i] != nil {
					return
				}
				times[i] = append(times[i], time.Since(began))
			}
		})
	}
	senders.Wait()
	var all []time.Duration
	for i := range times {
		if len(times[i]) > 0 {
			all = append(all, times[i][1:]...) // the first is the handshake's
		}
	}
	return all, errors.Join(errs...)
}

func (s *served) send(ctx context.Context, client *http.Client, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"allowed":`))) {
		err = fmt.Errorf("code %d: %s", response.StatusCode, answer)
	}
	return err
}

// buildPSA builds PSA's own webhook with the modules that this program is built with,
// and the few more that it needs: in copies of go.mod and go.sum.
func (b *bench) buildPSA(ctx context.Context) (binary string, err error) {
	report.Progress("  building %s", psaWebhook)
	module, err := moduleFolder(ctx)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(b.dir, name), content, 0o600); err != nil {
			return "", err
		}
	}
	binary = filepath.Join(b.dir, "psa-webhook")
	out, err := exec.CommandContext(ctx, "go", "build", "-modfile", filepath.Join(b.dir, "go.mod"), "-mod=mod", "-o", binary, psaWebhook).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build %s: %w: %s", psaWebhook, err, lastLine(out))
	}
	return binary, nil
}

// moduleFolder is where our own module stands.
func moduleFolder(ctx context.Context) (string, error) {
	file, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	return filepath.Dir(string(file)), err
}

func lastLine(text []byte) []byte {
	text = bytes.TrimSpace(text)
	return text[bytes.LastIndexByte(text, '\n')+1:]
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}
