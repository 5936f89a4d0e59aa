package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/certs"
)

// runMain makes this test binary the webhook.
const runMain = "BULKHEAD_WEBHOOK_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), runMain+"=1", "POD_NAMESPACE=", "POD_NAME=")
	return c
}

const (
	testConfig = `
apiVersion: config.bulkhead.dev/v1alpha1
kind: BulkheadConfiguration
cluster: {nodeCIDRs: [192.168.0.0/24], tenantCIDRs: [172.16.0.0/16]}
sidecar: {image: registry.local/bulkhead/firewall:dev}
`
	testTenant = `
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: alice}
spec: {namespaces: [alice], addressing: {mode: cidr, cidrs: [172.16.1.0/24]}}
`
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExitCodes(t *testing.T) {
	config := write(t, "config.yaml", testConfig)
	manifests := filepath.Dir(write(t, "tenant.yaml", testTenant))
	broken := write(t, "broken.yaml", strings.Replace(testConfig, "cluster:", "clusters:", 1)+"unassigned: maybe\n")
	pair, err := certs.SelfSigned("localhost")
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := pair.CurrentCertKeyContent()
	certFile, keyFile := write(t, "tls.crt", string(certificate)), write(t, "tls.key", string(key))
	for name, test := range map[string]struct {
		args []string
		code int
		want []string // parts of the output
	}{
		"version":             {[]string{"version"}, 0, []string{"devel\n"}},
		"--version":           {[]string{"--version"}, 0, []string{"devel"}},
		"help":                {[]string{"--help"}, 0, []string{"--standalone folder", "--tls-cert-file file", "AdmissionReviews"}},
		"no flags":            {nil, exitUsage, []string{"bulkhead-webhook: --config is required", "bulkhead-webhook: --tls-cert-file and --tls-private-key-file are required", "bulkhead-webhook: --lease-namespace or $POD_NAMESPACE"}},
		"unknown flag":        {[]string{"--confg", "x"}, exitUsage, []string{"unknown flag: --confg; see bulkhead-webhook --help"}},
		"argument":            {[]string{"x"}, exitUsage, []string{`"x"`, "; see bulkhead-webhook --help"}},
		"bad flags":           {[]string{"--config", config, "--standalone", manifests, "--bind-address", "localhost", "--secure-port", "70000", "--tls-cert-file", "a", "--client-allowed-names", "x", "--tls-min-version", "1", "--tls-cipher-suites", "x", "--max-in-flight", "0", "--request-timeout", "0s", "--kubeconfig", "x"}, exitUsage, []string{"--bind-address", "--secure-port 70000", "belong together", "--client-allowed-names", "--tls-min-version", "--tls-cipher-suites", "--max-in-flight", "--request-timeout", "--kubeconfig has no meaning"}},
		"bad feed flags":      {[]string{"--config", config, "--standalone", manifests, "--feed-service", "x", "--feed-port", "0"}, exitUsage, []string{`--feed-service "x" is not NAMESPACE/NAME`, "--feed-ca-file", "--feed-port 0", "--feed-service has no meaning"}},
		"bad log flags":       {[]string{"--config", config, "--standalone", manifests, "--logging-format", "x"}, exitUsage, []string{"format"}},
		"bad configuration":   {[]string{"--config", broken, "--standalone", manifests}, exitUsage, []string{"broken.yaml", `unknown field "clusters"`, "unassigned: Unsupported value"}},
		"no configuration":    {[]string{"--config", "/nowhere.yaml", "--standalone", manifests}, exitUsage, []string{"/nowhere.yaml"}},
		"bad manifests":       {[]string{"--config", config, "--standalone", filepath.Dir(write(t, "a.yaml", "kind: x"))}, exitUsage, []string{"a.yaml: document 1"}},
		"no manifests":        {[]string{"--config", config, "--standalone", "/nowhere"}, exitUsage, []string{"/nowhere"}},
		"no certificate":      {[]string{"--config", config, "--standalone", manifests, "--tls-cert-file", "/nowhere.crt", "--tls-private-key-file", "/nowhere.key"}, exitFailure, []string{"/nowhere.crt"}},
		"bad custom rules":    {[]string{"--config", config, "--standalone", manifests, "--custom-rules", filepath.Dir(write(t, "bad.rego", "package bulkhead.custom.bad\nx"))}, exitFailure, []string{"custom rules", "bad.rego"}},
		"no custom rules":     {[]string{"--config", config, "--standalone", manifests, "--custom-rules", "/nowhere"}, exitFailure, []string{"/nowhere"}},
		"no decision log":     {[]string{"--config", config, "--standalone", manifests, "--bind-address", "127.0.0.1", "--secure-port", "0", "--decision-log", "/nowhere/log"}, exitFailure, []string{"--decision-log", "/nowhere/log"}},
		"no client CA":        {[]string{"--config", config, "--standalone", manifests, "--client-ca-file", "/nowhere.crt"}, exitFailure, []string{"/nowhere.crt"}},
		"address not ours":    {[]string{"--config", config, "--standalone", manifests, "--bind-address", "192.0.2.1", "--secure-port", "0"}, exitFailure, []string{"listen"}},
		"no cluster":          {[]string{"--config", config, "--tls-cert-file", certFile, "--tls-private-key-file", keyFile, "--kubeconfig", "/nowhere", "--lease-namespace", "x"}, exitFailure, []string{"/nowhere"}},
		"selftest, no server": {[]string{"selftest", "--kubeconfig", "/nowhere"}, exitFailure, []string{"/nowhere"}},
		"selftest, bad flag":  {[]string{"selftest", "--x"}, exitUsage, []string{"unknown flag", "; see bulkhead-webhook selftest --help"}},
	} {
		t.Run(name, func(t *testing.T) {
			output, err := command(t, test.args...).CombinedOutput()
			code := 0
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(string(output), want) {
					t.Errorf("output lacks %q", want)
				}
			}
			if t.Failed() {
				t.Logf("output:\n%s", output)
			}
		})
	}
}

// process is a running webhook.
type process struct {
	*exec.Cmd
	url string
	log *lines
}

// lines gathers the log, and tells the address that it finds in it.
type lines struct {
	mutex   sync.Mutex
	text    bytes.Buffer
	address chan string
}

var serving = regexp.MustCompile(`Serving securely on (\S+)\n`)

func (l *lines) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.text.Write(p)
	if match := serving.FindSubmatch(l.text.Bytes()); match != nil && l.address != nil {
		l.address <- string(match[1])
		l.address = nil
	}
	return len(p), nil
}

func (l *lines) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

func startStandalone(t *testing.T, args ...string) *process {
	t.Helper()
	c := command(t, append([]string{
		"--config", write(t, "config.yaml", testConfig),
		"--standalone", filepath.Dir(write(t, "tenant.yaml", testTenant)),
		"--bind-address", "127.0.0.1", "--secure-port", "0",
	}, args...)...)
	address := make(chan string, 1)
	p := &process{Cmd: c, log: &lines{address: address}}
	c.Stderr = p.log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case a := <-address:
		p.url = "https://" + a
	case <-time.After(30 * time.Second):
		t.Fatalf("not serving after 30 s:\n%s", p.log)
	}
	return p
}

var client = &http.Client{Transport: &http.Transport{
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // self-signed
}}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestStandalone(t *testing.T) {
	p := startStandalone(t)
	if code, body := get(t, p.url+"/readyz?verbose"); code != http.StatusOK ||
		!strings.Contains(body, "certificate") || !strings.Contains(body, "tenants") || !strings.Contains(body, "rules") {
		t.Errorf("readyz: code %d: %s", code, body)
	}
	answer, err := client.Post(p.url+"/mutate", "application/json", strings.NewReader(`{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
			"uid": "1", "operation": "CREATE", "namespace": "alice",
			"kind": {"version": "v1", "kind": "Pod"}, "resource": {"version": "v1", "resource": "pods"},
			"object": {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a"}]}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(body), `"allowed":true`) || !strings.Contains(string(body), `"patchType":"JSONPatch"`) {
		t.Errorf("review: %s", body)
	}
	_, metrics := get(t, p.url+"/metrics")
	for _, want := range []string{"bulkhead_tenants 1\n", "bulkhead_tenants_with_problems 0\n", "bulkhead_certificate_expiry_timestamp_seconds ", "go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %q", want)
		}
	}
	p.stop(t)
}

// stop ends the process by SIGTERM, and expects a clean drain.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, p.log)
	}
	if !strings.Contains(p.log.String(), "Drained") {
		t.Errorf("no drain:\n%s", p.log)
	}
}

// While it drains it answers, but is not ready.
func TestDrain(t *testing.T) {
	p := startStandalone(t, "--shutdown-delay", "2s")
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Second)
	for {
		code, body := get(t, p.url+"/readyz")
		if code == http.StatusInternalServerError && strings.Contains(body, "[-]shutdown failed") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still ready: code %d: %s", code, body)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if code, _ := get(t, p.url+"/livez"); code != http.StatusOK {
		t.Errorf("livez: code %d", code)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, p.log)
	}
}
