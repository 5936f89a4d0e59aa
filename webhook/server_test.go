package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/component-base/metrics"

	"github.com/bulkhead-dev/bulkhead/certs"
	"github.com/bulkhead-dev/bulkhead/rego"
)

// testServer is the handler behind the API server's own TLS serving.
type testServer struct {
	address  string
	client   *http.Client
	roots    *x509.CertPool
	registry metrics.KubeRegistry
	drain    func()
}

// serve starts a server that ends with the test.
func serve(t testing.TB, change func(*Options, *server.SecureServingInfo)) *testServer {
	t.Helper()
	pair, err := certs.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	registry := metrics.NewKubeRegistry()
	options := Options{
		Metrics:        NewMetrics(registry),
		MetricsHandler: metrics.HandlerFor(registry, metrics.HandlerOpts{}),
		Live:           []healthz.HealthChecker{healthz.PingHealthz},
		Ready:          []healthz.HealthChecker{healthz.PingHealthz},
		MaxInFlight:    10,
		RequestTimeout: 10 * time.Second,
	}
	info := &server.SecureServingInfo{Listener: listener, Cert: pair}
	change(&options, info)
	if options.Admission == nil {
		options.Admission = newTestAdmission(t)
	}
	stop := make(chan struct{})
	drained, closed, err := info.Serve(NewHandler(options), 5*time.Second, stop)
	if err != nil {
		t.Fatal(err)
	}
	certificate, _ := pair.CurrentCertKeyContent()
	s := &testServer{address: listener.Addr().String(), roots: x509.NewCertPool(), registry: registry}
	s.roots.AppendCertsFromPEM(certificate)
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}, ForceAttemptHTTP2: true}}
	stopped := false
	s.drain = func() {
		if !stopped {
			stopped = true
			close(stop)
		}
		<-closed
		<-drained
	}
	t.Cleanup(func() { s.client.CloseIdleConnections(); s.drain() })
	return s
}

func unchanged(*Options, *server.SecureServingInfo) {}

func (s *testServer) url(path string) string { return "https://" + s.address + path }

// post returns code and body.
func (s *testServer) post(t testing.TB, path, contentType string, body []byte) (int, string) {
	t.Helper()
	answer, err := s.client.Post(s.url(path), contentType, bytes.NewReader(body))
	return read(t, answer, err)
}

func (s *testServer) get(t testing.TB, path string) (int, string) {
	t.Helper()
	answer, err := s.client.Get(s.url(path))
	return read(t, answer, err)
}

// read returns an answer's code and body.
func read(t testing.TB, answer *http.Response, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func reviewJSON(t testing.TB, request *admissionv1.AdmissionRequest) []byte {
	t.Helper()
	data, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request:  request,
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestServerAnswersReviews(t *testing.T) {
	s := serve(t, unchanged)
	pod := podJSON(t, podShapes["smallest"])
	for path, allowed := range map[string]bool{MutatePath: true, ValidatePath: false} {
		code, body := s.post(t, path+"?timeout=10s", "application/json; charset=utf-8", reviewJSON(t, newRequest(podCreate, "alice", pod, nil)))
		review := &admissionv1.AdmissionReview{}
		if err := json.Unmarshal([]byte(body), review); err != nil || code != http.StatusOK || review.Response == nil {
			t.Fatalf("%s: code %d, %v: %s", path, code, err, body)
		}
		if review.Response.Allowed != allowed || review.Response.UID != "11111111-2222-3333-4444-555555555555" {
			t.Errorf("%s: %+v", path, review.Response)
		}
	}
	_, body := s.get(t, MetricsPath)
	for _, line := range []string{
		`bulkhead_admission_decisions_total{decision="allow",dry_run="false",handler="mutate",operation="CREATE",resource="pods"} 1`,
		`bulkhead_admission_decisions_total{decision="deny",dry_run="false",handler="validate",operation="CREATE",resource="pods"} 1`,
		`bulkhead_admission_violations_total{decision="deny",rule="fw-sidecar-genuine"} 1`,
		`bulkhead_admission_duration_seconds_count{handler="validate"} 1`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
}

func TestServerRefusesWhatIsNoReview(t *testing.T) {
	s := serve(t, unchanged)
	const jsonType = "application/json"
	review := func(fields string) string {
		return `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"` + fields + `}`
	}
	for name, test := range map[string]struct {
		contentType, body string
		code              int
		want              string
	}{
		"no content type":     {"", "{}", http.StatusUnsupportedMediaType, "content type"},
		"wrong content type":  {"application/yaml", "{}", http.StatusUnsupportedMediaType, "content type"},
		"broken content type": {"application/json; =", "{}", http.StatusUnsupportedMediaType, "content type"},
		"no body":             {jsonType, "", http.StatusBadRequest, "decode AdmissionReview"},
		"not JSON":            {jsonType, "apiVersion: v1", http.StatusBadRequest, "decode AdmissionReview"},
		"half of it":          {jsonType, review("")[:40], http.StatusBadRequest, "decode AdmissionReview"},
		"two of it":           {jsonType, review("") + review(""), http.StatusBadRequest, "decode AdmissionReview"},
		"null":                {jsonType, "null", http.StatusBadRequest, `kind ""`},
		"a list":              {jsonType, "[]", http.StatusBadRequest, "decode AdmissionReview"},
		"too deep":            {jsonType, review(`, "request": {"object": ` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}"), http.StatusBadRequest, "exceeded max depth"},
		"wrong kind":          {jsonType, `{"apiVersion": "admission.k8s.io/v1", "kind": "Pod"}`, http.StatusBadRequest, `kind "Pod"`},
		"wrong apiVersion":    {jsonType, `{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {"uid": "1"}}`, http.StatusBadRequest, "v1beta1"},
		"kind in other case":  {jsonType, `{"apiVersion": "admission.k8s.io/v1", "Kind": "AdmissionReview", "request": {"uid": "1"}}`, http.StatusBadRequest, `kind ""`},
		"no request":          {jsonType, review(""), http.StatusBadRequest, "no request"},
		"null request":        {jsonType, review(`, "request": null`), http.StatusBadRequest, "no request"},
		"no uid":              {jsonType, review(`, "request": {}`), http.StatusBadRequest, "no uid"},
		"doubled request":     {jsonType, review(`, "request": {"uid": "1"}, "request": {"uid": "2"}`), http.StatusBadRequest, "duplicate field"},
		"over 8 MiB":          {jsonType, review(`, "request": {"uid": "` + strings.Repeat("a", maxBody) + `"}`), http.StatusRequestEntityTooLarge, "larger than 8388608 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{MutatePath, ValidatePath} {
				code, body := s.post(t, path, test.contentType, []byte(test.body))
				if code != test.code || !strings.Contains(body, test.want) || strings.Contains(body, `"allowed":true`) {
					t.Errorf("%s: code %d, want %d: %s", path, code, test.code, body)
				}
			}
		})
	}
	t.Run("over 8 MiB without saying so", func(t *testing.T) {
		body := io.MultiReader(strings.NewReader(`{"a": "`), io.LimitReader(neverEnding('a'), maxBody))
		answer, err := s.client.Post(s.url(ValidatePath), jsonType, body)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("code %d", answer.StatusCode)
		}
	})
	t.Run("GET", func(t *testing.T) {
		if code, body := s.get(t, ValidatePath); code != http.StatusMethodNotAllowed {
			t.Errorf("code %d: %s", code, body)
		}
	})
	t.Run("unknown path", func(t *testing.T) {
		if code, body := s.post(t, "/admit", jsonType, nil); code != http.StatusNotFound {
			t.Errorf("code %d: %s", code, body)
		}
	})
	t.Run("broken timeout", func(t *testing.T) {
		code, body := s.post(t, ValidatePath+"?timeout=soon", jsonType, reviewJSON(t, newRequest(podCreate, "alice", podJSON(t, podShapes["smallest"]), nil)))
		if code != http.StatusBadRequest {
			t.Errorf("code %d: %s", code, body)
		}
	})
	if _, body := s.get(t, MetricsPath); !strings.Contains(body, `bulkhead_admission_malformed_requests_total{handler="mutate"}`) {
		t.Error("metrics do not count malformed requests")
	}
}

// neverEnding repeats one byte.
type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

func TestServerEndsStallingClients(t *testing.T) {
	s := serve(t, func(o *Options, _ *server.SecureServingInfo) { o.RequestTimeout = 300 * time.Millisecond })
	for name, head := range map[string]string{
		"body never comes":   "Content-Length: 100\r\n\r\n",
		"body comes in part": "Content-Length: 100\r\n\r\n{\"kind\":",
		"chunks that stop":   "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"kin\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			connection, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: s.roots, NextProtos: []string{"http/1.1"}})
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: bulkhead\r\nContent-Type: application/json\r\n%s", ValidatePath, head)
			answer, err := io.ReadAll(connection)
			if err != nil {
				t.Fatalf("the server did not end the connection: %v", err)
			}
			if !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
				t.Errorf("answer: %q", answer)
			}
		})
	}
	t.Run("HTTP/2", func(t *testing.T) {
		reader, writer := io.Pipe()
		defer writer.Close()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url(ValidatePath), reader)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := s.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.ProtoMajor != 2 || answer.StatusCode != http.StatusRequestTimeout {
			t.Errorf("HTTP/%d, code %d", answer.ProtoMajor, answer.StatusCode)
		}
	})
}

// TestServerSlowClientsTakeNoPlaces: clients who do not send what they declare keep
// nobody else waiting, neither with many small bodies nor with a few large ones.
func TestServerSlowClientsTakeNoPlaces(t *testing.T) {
	s := serve(t, func(o *Options, _ *server.SecureServingInfo) { o.MaxInFlight = 1 })
	for _, length := range []int{100, 100, 100, maxBody, maxBody, maxBody} {
		connection, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: s.roots, NextProtos: []string{"http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: bulkhead\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{", ValidatePath, length)
	}
	// All of them have been taken in: the third large one waits for its turn.
	body := reviewJSON(t, newRequest(podCreate, "alice", podJSON(t, podShapes["smallest"]), nil))
	for range 20 {
		if code, text := s.post(t, ValidatePath, "application/json", body); code != http.StatusOK {
			t.Fatalf("code %d: %s", code, text)
		}
	}
}

// TestIntakeBoundsBodiesPerClient: one client has its places, and takes no other's.
func TestIntakeBoundsBodiesPerClient(t *testing.T) {
	i := &intake{metrics: NewMetrics(metrics.NewKubeRegistry()), memory: newMemory(), sending: map[string]int{}}
	for range bodiesPerClient {
		if !i.begin("10.0.0.1") {
			t.Fatal("refused within the bound")
		}
	}
	request := httptest.NewRequest(http.MethodPost, ValidatePath, strings.NewReader("{}"))
	request.Header.Set("Content-Type", "application/json")
	request.RemoteAddr = "10.0.0.1:1"
	answer := httptest.NewRecorder()
	if i.ServeHTTP(answer, request); answer.Code != http.StatusTooManyRequests || answer.Header().Get("Retry-After") == "" {
		t.Errorf("one more: code %d, header %v", answer.Code, answer.Header())
	}
	if !i.begin("10.0.0.2") {
		t.Error("another client is refused")
	}
	i.end("10.0.0.1")
	if !i.begin("10.0.0.1") {
		t.Error("a place that is left stays taken")
	}
	for range bodiesPerClient {
		i.end("10.0.0.1")
	}
	if i.end("10.0.0.2"); len(i.sending) != 0 {
		t.Errorf("clients that are gone are remembered: %v", i.sending)
	}
}

// TestLargeReviewsKeepNoSmallOnesWaiting: while reviews of any larger size take all that
// there is for them, and more of them wait, a usual one is served.
func TestLargeReviewsKeepNoSmallOnesWaiting(t *testing.T) {
	for _, size := range []int{mediumBody, mediumBody + 1} {
		entered, leave := make(chan struct{}), make(chan struct{})
		i := &intake{
			metrics: NewMetrics(metrics.NewKubeRegistry()), memory: newMemory(), sending: map[string]int{},
			next: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.ContentLength > smallBody {
					entered <- struct{}{}
					<-leave
				}
			}),
		}
		post := func(size int) int {
			request := httptest.NewRequest(http.MethodPost, ValidatePath, strings.NewReader(strings.Repeat(" ", size)))
			request.Header.Set("Content-Type", "application/json")
			answer := httptest.NewRecorder()
			i.ServeHTTP(answer, request)
			return answer.Code
		}
		const more = 3 * smallBodies / mediumBody
		var large sync.WaitGroup
		for range more {
			large.Go(func() {
				if code := post(size); code != http.StatusOK {
					t.Errorf("a review of %d bytes: code %d", size, code)
				}
			})
		}
		places := largeBodies
		if size == mediumBody {
			places = mediumBodies / mediumBody
		}
		for range places {
			<-entered
		}
		if !i.memory.small.TryAcquire(smallBodies) {
			t.Errorf("those of %d bytes take of what is there for usual ones", size)
		} else {
			i.memory.small.Release(smallBodies)
		}
		if code := post(smallBody); code != http.StatusOK {
			t.Errorf("a usual one beside those of %d bytes: code %d", size, code)
		}
		close(leave)
		for range more - places {
			<-entered
		}
		large.Wait()
	}
}

// evaluate is an engine that does what the test needs.
type evaluate func(context.Context) error

func (e *evaluate) Evaluate(ctx context.Context, _ rego.Input) (rego.Result, error) {
	return rego.Result{}, (*e)(ctx)
}

func (*evaluate) Canonical(in rego.Input) rego.Input { return in }

func withEngine(t testing.TB, e evaluate) func(*Options, *server.SecureServingInfo) {
	return func(o *Options, _ *server.SecureServingInfo) {
		o.Admission = newTestAdmission(t)
		o.Admission.engine = always(&e)
	}
}

func TestServerSurvivesPanics(t *testing.T) {
	s := serve(t, withEngine(t, func(context.Context) error { panic("at the disco") }))
	body := reviewJSON(t, newRequest(podCreate, "alice", podJSON(t, podShapes["smallest"]), nil))
	for range 2 {
		if code, text := s.post(t, ValidatePath, "application/json", body); code != http.StatusInternalServerError || strings.Contains(text, "disco") {
			t.Errorf("code %d: %s", code, text)
		}
	}
	if _, body := s.get(t, MetricsPath); !strings.Contains(body, "bulkhead_admission_panics_total 2\n") {
		t.Error("metrics do not count panics")
	}
}

func TestServerDeniesAfterTheDeadline(t *testing.T) {
	// A rule that would allow, but too late.
	s := serve(t, withEngine(t, func(ctx context.Context) error { <-ctx.Done(); return nil }))
	body := reviewJSON(t, newRequest(podCreate, "alice", podJSON(t, podShapes["smallest"]), nil))
	code, text := s.post(t, ValidatePath+"?timeout=100ms", "application/json", body)
	if code != http.StatusOK || !strings.Contains(text, `"allowed":false`) || !strings.Contains(text, "deadline") {
		t.Errorf("code %d: %s", code, text)
	}
}

func TestServerBoundsReviewsInFlight(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	engine := evaluate(func(context.Context) error { entered <- struct{}{}; <-leave; return nil })
	s := serve(t, func(o *Options, i *server.SecureServingInfo) {
		withEngine(t, engine)(o, i)
		o.MaxInFlight = 1
	})
	body := reviewJSON(t, newRequest(podExec, "alice", []byte(`{}`), nil))
	first := make(chan int)
	go func() {
		code, _ := s.post(t, ValidatePath, "application/json", body)
		first <- code
	}()
	<-entered
	if code, text := s.post(t, MutatePath, "application/json", body); code != http.StatusOK {
		t.Errorf("another handler: code %d: %s", code, text)
	}
	if code, text := s.post(t, ValidatePath, "application/json", body); code != http.StatusTooManyRequests {
		t.Errorf("second review: code %d: %s", code, text)
	}
	if code, _ := s.get(t, "/livez"); code != http.StatusOK {
		t.Errorf("livez: code %d", code)
	}
	close(leave)
	if code := <-first; code != http.StatusOK {
		t.Errorf("first review: code %d", code)
	}
}

func TestServerHealth(t *testing.T) {
	broken := errors.New("not yet")
	s := serve(t, func(o *Options, _ *server.SecureServingInfo) {
		o.Ready = append(o.Ready, healthz.NamedCheck("tenants", func(*http.Request) error { return broken }))
	})
	if code, body := s.get(t, "/livez"); code != http.StatusOK {
		t.Errorf("livez: code %d: %s", code, body)
	}
	if code, body := s.get(t, "/readyz?verbose"); code != http.StatusInternalServerError || !strings.Contains(body, "[-]tenants failed") {
		t.Errorf("readyz: code %d: %s", code, body)
	}
	broken = nil
	if code, body := s.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("readyz: code %d: %s", code, body)
	}
}

func TestServerChecksClientCertificates(t *testing.T) {
	client := func(commonName string) (certificate []byte, pair tls.Certificate) {
		c, k := clientCertificate(t, commonName)
		pair, err := tls.X509KeyPair(c, k)
		if err != nil {
			t.Fatal(err)
		}
		return c, pair
	}
	apiserverPEM, apiserver := client("kube-apiserver")
	kubeletPEM, kubelet := client("kubelet")
	_, stranger := client("kube-apiserver")
	s := serve(t, func(o *Options, info *server.SecureServingInfo) {
		ca, err := dynamiccertificates.NewStaticCAContent("test", append(apiserverPEM, kubeletPEM...))
		if err != nil {
			t.Fatal(err)
		}
		info.ClientCA = ca
		o.ClientCertificates = x509request.NewDynamicCAVerifier(ca.VerifyOptions,
			x509request.NewDynamic(ca.VerifyOptions, x509request.CommonNameUserConversion), x509request.StaticStringSlice{"kube-apiserver"})
	})
	body := reviewJSON(t, newRequest(podCreate, "alice", podJSON(t, podShapes["smallest"]), nil))
	for name, test := range map[string]struct {
		certificates []tls.Certificate
		code         int
	}{
		"none":         {nil, http.StatusUnauthorized},
		"accepted":     {[]tls.Certificate{apiserver}, http.StatusOK},
		"another name": {[]tls.Certificate{kubelet}, http.StatusUnauthorized},
		"another CA":   {[]tls.Certificate{stranger}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			with := *s
			with.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
				RootCAs: s.roots,
				// Whatever CAs the server names.
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if len(test.certificates) == 0 {
						return &tls.Certificate{}, nil
					}
					return &test.certificates[0], nil
				},
			}}}
			defer with.client.CloseIdleConnections()
			if code, text := with.post(t, ValidatePath, "application/json", body); code != test.code {
				t.Errorf("code %d, want %d: %s", code, test.code, text)
			}
			// Probes come without.
			if code, _ := with.get(t, "/readyz"); code != http.StatusOK {
				t.Errorf("readyz: code %d", code)
			}
		})
	}
}

func TestServerDrains(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := serve(t, withEngine(t, func(context.Context) error { entered <- struct{}{}; <-leave; return nil }))
	answered := make(chan int)
	go func() {
		code, _ := s.post(t, ValidatePath, "application/json", reviewJSON(t, newRequest(podExec, "alice", []byte(`{}`), nil)))
		answered <- code
	}()
	<-entered
	drained := make(chan struct{})
	go func() { s.drain(); close(drained) }()
	select {
	case <-drained:
		t.Fatal("drained with a review in flight")
	case <-time.After(100 * time.Millisecond):
	}
	close(leave)
	if code := <-answered; code != http.StatusOK {
		t.Errorf("code %d", code)
	}
	<-drained
}

func TestServerRenewsItsCertificate(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	roots := x509.NewCertPool()
	renew := func() []byte {
		pair, err := certs.SelfSigned("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		certificate, key := pair.CurrentCertKeyContent()
		roots.AppendCertsFromPEM(certificate)
		for file, content := range map[string][]byte{certFile: certificate, keyFile: key} {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return certificate
	}
	renew()
	s := serve(t, func(_ *Options, info *server.SecureServingInfo) {
		pair, err := certs.FromFiles(certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		info.Cert = pair
	})
	// One client keeps its connection, the other shakes hands for every request.
	kept := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots.Clone()}, ForceAttemptHTTP2: true}}
	defer kept.CloseIdleConnections()
	first, err := kept.Get(s.url("/livez"))
	if err != nil {
		t.Fatal(err)
	}
	first.Body.Close()
	renewed, _ := pem.Decode(renew())
	fresh := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	deadline := time.Now().Add(10 * time.Second)
	for {
		var served []byte
		for _, client := range []*http.Client{kept, fresh} {
			answer, err := client.Get(s.url("/livez"))
			if err != nil {
				t.Fatalf("a request was lost: %v", err)
			}
			answer.Body.Close()
			served = answer.TLS.PeerCertificates[0].Raw
		}
		if bytes.Equal(served, renewed.Bytes) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the renewed certificate is not served after 10 s")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
