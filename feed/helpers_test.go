package feed

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/metrics"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// apiServer stands in for the API server's TokenReviews.
type apiServer struct {
	mutex  sync.Mutex
	tokens map[string]authenticationv1.TokenReviewStatus // of our audience; others are not good
	users  map[string]authenticationv1.TokenReviewStatus // of its own audience
	down   bool
	asked  int
}

func (s *apiServer) Create(_ context.Context, review *authenticationv1.TokenReview, _ metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.asked++
	if s.down {
		return nil, errors.New("connection refused")
	}
	answer := review.DeepCopy()
	switch {
	case len(review.Spec.Audiences) == 0:
		answer.Status = s.users[review.Spec.Token]
	case len(review.Spec.Audiences) == 1 && review.Spec.Audiences[0] == protocol.Audience:
		answer.Status = s.tokens[review.Spec.Token]
	default:
		return nil, fmt.Errorf("asked for audiences %q", review.Spec.Audiences)
	}
	return answer, nil
}

// access lets one user get one path.
type access struct {
	user, path string
	down       bool
}

func (a *access) Create(_ context.Context, review *authorizationv1.SubjectAccessReview, _ metav1.CreateOptions) (*authorizationv1.SubjectAccessReview, error) {
	if a.down {
		return nil, errors.New("connection refused")
	}
	answer := review.DeepCopy()
	asked := *review.Spec.NonResourceAttributes
	answer.Status.Allowed = review.Spec.User == a.user && asked == authorizationv1.NonResourceAttributes{Path: a.path, Verb: "get"}
	return answer, nil
}

// jwt is a token that says when it ends; what it says else nobody reads.
func jwt(name string, expires time.Time) string {
	claims := fmt.Sprintf(`{"sub":%q,"exp":%d}`, name, expires.Unix())
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2lnbmF0dXJl"
}

// vouched is what the API server says of a sidecar's token of a pod.
func vouched(namespace, pod string) authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{
		Authenticated: true,
		Audiences:     []string{protocol.Audience},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:" + namespace + ":default",
			Extra: map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/pod-name": {pod},
				"authentication.kubernetes.io/pod-uid":  {"uid-of-" + pod},
			},
		},
	}
}

// events keeps what is raised, as text.
type events struct {
	mutex sync.Mutex
	all   []string
}

func (e *events) Event(object runtime.Object, kind, reason, message string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	pod := object.(*corev1.ObjectReference)
	e.all = append(e.all, fmt.Sprintf("%s/%s/%s %s %s: %s", pod.Kind, pod.Namespace, pod.Name, kind, reason, message))
}

// bench is a feed with what it rests on.
type bench struct {
	handler  http.Handler
	api      *apiServer
	access   *access
	events   *events
	registry metrics.KubeRegistry
}

// newBench knows the token of alice's pod web.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{
		api:      &apiServer{tokens: map[string]authenticationv1.TokenReviewStatus{webToken: vouched("alice", "web")}},
		access:   &access{user: "prometheus", path: "/metrics"},
		events:   &events{},
		registry: metrics.NewKubeRegistry(),
	}
	b.handler = NewHandler(Options{
		Tokens: b.api,
		Access: b.access,
		Tenant: func(namespace string) string {
			return map[string]string{"alice": "alice", "alice-batch": "alice", "bob": "bob"}[namespace]
		},
		Events:        b.events,
		Metrics:       NewMetrics(b.registry, b.registry),
		TenantMetrics: metrics.HandlerFor(b.registry, metrics.HandlerOpts{}),
	})
	return b
}

var webToken = jwt("web", time.Now().Add(time.Hour))

const address = "192.0.2.1:1234"

// post sends a report's text with a token from an address.
func (b *bench) post(token, from, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, protocol.ReportPath, strings.NewReader(body))
	request.RemoteAddr = from
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer := httptest.NewRecorder()
	b.handler.ServeHTTP(answer, request)
	return answer
}

func check(t *testing.T, answer *httptest.ResponseRecorder, code int, text string) {
	t.Helper()
	if answer.Code != code || !strings.Contains(answer.Body.String(), text) {
		t.Errorf("%d %q, want %d with %q", answer.Code, answer.Body, code, text)
	}
}

// samples are the metrics' values but 0, by name and labels, such as `x_total{tenant="alice"}`.
func (b *bench) samples(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
			}
			name := family.GetName() + "{" + strings.Join(labels, ",") + "}"
			if value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount()); value != 0 {
				all[name] = value
			}
		}
	}
	return all
}

// crowd counts who asks at once.
type crowd struct {
	TokenReviewer
	mutex     sync.Mutex
	now, most int
}

func (c *crowd) Create(ctx context.Context, review *authenticationv1.TokenReview, options metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	count := func(by int) {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.now += by
		c.most = max(c.most, c.now)
	}
	count(1)
	defer count(-1)
	return c.TokenReviewer.Create(ctx, review, options)
}
