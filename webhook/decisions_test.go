package webhook

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

func keyOfNumber(n int) digest { return sha512.Sum512_256(fmt.Append(nil, n)) }

// TestDecisions: what was asked for last stays, within the bytes, for one engine.
func TestDecisions(t *testing.T) {
	one, other := new(evaluate), new(evaluate)
	d := newDecisions(300 * entrySize)
	most := 0
	for n := range 1000 {
		d.put(one, keyOfNumber(n), decision{allowed: true, message: fmt.Sprint(n)})
		if got, ok := d.get(one, keyOfNumber(0)); !ok || got.message != "0" {
			t.Fatalf("after %d: what is asked for again and again is forgotten: %+v, %v", n, got, ok)
		}
		most = max(most, len(d.byKey))
		if d.size > d.limit || len(d.byKey) != d.recent.Len() {
			t.Fatalf("after %d: %d bytes, %d entries of %d", n, d.size, len(d.byKey), d.recent.Len())
		}
	}
	if most < 250 || most > 300 {
		t.Errorf("at most %d decisions", most)
	}
	if _, ok := d.get(one, keyOfNumber(1)); ok {
		t.Error("the oldest is still there")
	}
	if got, ok := d.get(one, keyOfNumber(999)); !ok || got.message != "999" {
		t.Errorf("the newest is %+v, %v", got, ok)
	}
	d.put(one, keyOfNumber(1000), decision{message: strings.Repeat("x", 300*entrySize/maxShare)})
	if _, ok := d.get(one, keyOfNumber(1000)); ok {
		t.Error("a large one is there")
	}
	if _, ok := d.get(other, keyOfNumber(999)); ok || d.size != 0 || len(d.byKey) != 0 {
		t.Errorf("for another engine: %v, %d bytes", ok, d.size)
	}
	nothing := newDecisions(0)
	nothing.put(one, keyOfNumber(0), decision{})
	if _, ok := nothing.get(one, keyOfNumber(0)); ok {
		t.Error("something is remembered within no bytes")
	}
}

// TestKey: everything makes another key, fields that are yet to come included.
func TestKey(t *testing.T) {
	seen := map[digest]string{}
	another := func(what string, in rego.Input, terms terms, feed *sidecarconfig.Feed) {
		t.Helper()
		key, err := keyOf(in, terms, feed)
		if err != nil {
			t.Fatal(err)
		}
		if other, known := seen[key]; known {
			t.Errorf("%s has the key of %s", what, other)
		}
		seen[key] = what
	}
	another("nothing", rego.Input{}, terms{}, nil)
	another("object", rego.Input{Object: json.RawMessage("{}")}, terms{}, nil)
	for name, request := range map[string]rego.Request{
		"operation":   {Operation: "a"},
		"resource":    {Resource: "a"},
		"subresource": {Subresource: "a"},
		"namespace":   {Namespace: "a"},
		"name":        {Name: "a"},
		"user":        {User: rego.User{Name: "a"}},
		"group":       {User: rego.User{Groups: []string{"a"}}},
		"groups":      {User: rego.User{Groups: []string{"a", ""}}},
	} {
		another(name, rego.Input{Request: request}, terms{}, nil)
	}
	standard := v1alpha1.Standard{Level: "a"}
	for name, terms := range map[string]terms{
		"tenant":       {tenant: &tenants.Tenant{Tenant: &v1alpha1.Tenant{}}},
		"enforcement":  {enforcement: "a"},
		"enforce":      {standards: standards{enforce: standard}},
		"warn":         {standards: standards{warn: standard}},
		"audit":        {standards: standards{audit: standard}},
		"version":      {standards: standards{enforce: v1alpha1.Standard{Version: "a"}}},
		"onlyWarn":     {onlyWarn: true},
		"note":         {note: "a"},
		"note and two": {note: "a\x00"},
	} {
		another(name, rego.Input{}, terms, nil)
	}
	another("feed", rego.Input{}, terms{}, &sidecarconfig.Feed{})
	another("feed's address", rego.Input{}, terms{}, &sidecarconfig.Feed{Address: netip.MustParseAddrPort("10.0.0.1:1")})
	another("feed's name", rego.Input{}, terms{}, &sidecarconfig.Feed{ServerName: "a"})
	another("feed's CA", rego.Input{}, terms{}, &sidecarconfig.Feed{CA: "a"})
	// Who adds a field adds it to the key, and here.
	for of, fields := range map[reflect.Type]int{
		reflect.TypeFor[rego.Request](): 6, reflect.TypeFor[rego.User](): 2, reflect.TypeFor[terms](): 5,
		reflect.TypeFor[standards](): 3, reflect.TypeFor[v1alpha1.Standard](): 2, reflect.TypeFor[sidecarconfig.Feed](): 3,
	} {
		if got := of.NumField(); got != fields {
			t.Errorf("%v has %d fields, not the %d that the key holds", of, got, fields)
		}
	}
}

// replicaOf is another pod of the same workload.
func replicaOf(t testing.TB, pod []byte, n int) []byte {
	t.Helper()
	replica, err := apply([]operation{
		{Op: "add", Path: "/metadata/name", Value: fmt.Sprintf("web-%d", n)},
		{Op: "add", Path: "/metadata/uid", Value: fmt.Sprint(n)},
		{Op: "add", Path: "/metadata/labels", Value: map[string]string{"pod-index": fmt.Sprint(n)}},
	}, bytes.ReplaceAll(pod, []byte("kube-api-access-abcde"), fmt.Appendf(nil, "kube-api-access-%s", strings.Repeat(string("bcdfghjklm"[n%10]), 5))))
	if err != nil {
		t.Fatal(err)
	}
	return replica
}

// tokenPod has the token's volume under a name that the API server could draw.
var tokenPod = strings.ReplaceAll(benchmarkPod, "kube-api-access-abcde", "kube-api-access-bcdfg")

// counting counts how often the rules are asked.
type counting struct {
	Engine
	asked atomic.Int64
}

func (c *counting) Evaluate(ctx context.Context, in rego.Input) (rego.Result, error) {
	c.asked.Add(1)
	return c.Engine.Evaluate(ctx, in)
}

// TestRememberedUntilSomethingChanges: replicas are decided as the first pod was, until
// anything changes that the decision follows from; that counts with the next request.
func TestRememberedUntilSomethingChanges(t *testing.T) {
	rules := &counting{Engine: engine(t)}
	feed, err := testFeed()
	if err != nil {
		t.Fatal(err)
	}
	a := newTestAdmissionWithFeed(t, func() (*sidecarconfig.Feed, error) { return feed, nil }, func(c *configv1alpha1.BulkheadConfiguration) {
		c.PodSecurity.NamespaceLabels = configv1alpha1.NamespaceLabelsHonour
	})
	a.engine = always(rules)
	labels := map[string]string{}
	a.namespaces = testNamespaces{"alice": testNamespace{labels: labels}}
	pod := mutated(t, a, "alice", podJSON(t, tokenPod))
	n := 0
	ask := func(step, want string, asked int64, change ...func(*admissionv1.AdmissionRequest)) {
		t.Helper()
		before := rules.asked.Load()
		n++
		request := newRequest(podCreate, "alice", replicaOf(t, pod, n), nil)
		for _, c := range change {
			c(request)
		}
		d := a.Validate(t.Context(), request)
		if got := rules.asked.Load() - before; got != asked {
			t.Errorf("%s: the rules were asked %d times, not %d", step, got, asked)
		}
		if !strings.Contains(d.message, want) || d.allowed != (want == "") {
			t.Errorf("%s: allowed %v: %s, want %q", step, d.allowed, d.message, want)
		}
		if wantLookup := map[int64]lookup{0: lookupHit, 1: lookupMiss}[asked]; d.lookup != wantLookup {
			t.Errorf("%s: lookup %q, want %q", step, d.lookup, wantLookup)
		}
	}
	ask("first", "", 1)
	ask("second", "", 0)
	ask("third", "", 0)
	ask("another user", "", 1, func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = "eve" })
	ask("a dry run", "", 0, func(r *admissionv1.AdmissionRequest) { r.DryRun = new(true) })

	labels[enforceLabel] = string(v1alpha1.Restricted)
	ask("a stricter label", "pss-run-as-non-root", 1)
	ask("a stricter label again", "pss-run-as-non-root", 0)
	delete(labels, enforceLabel)
	ask("the label is gone", "", 0)

	owners, alice := a.tenants, a.mustOwner(t, "alice").Tenant
	changed := func(change func(*v1alpha1.Tenant)) Tenants {
		tenant := alice.DeepCopy()
		change(tenant)
		static, err := tenants.NewStatic(a.config, []*v1alpha1.Tenant{tenant})
		if err != nil {
			t.Fatal(err)
		}
		return static
	}
	a.tenants = changed(func(tenant *v1alpha1.Tenant) { tenant.Spec.Egress.Nodes = v1alpha1.Allow })
	ask("the tenant's sidecar is another", "fw-sidecar-genuine", 1)
	a.tenants = changed(func(tenant *v1alpha1.Tenant) { tenant.Spec.PodSecurity.Enforce = v1alpha1.Restricted })
	ask("the tenant's level is another", "pss-run-as-non-root", 1)
	a.tenants = changed(func(tenant *v1alpha1.Tenant) { tenant.Status.Pods++ })
	ask("the tenant's status is another", "", 0)
	a.tenants = failing{}
	if d := a.Validate(t.Context(), newRequest(podCreate, "alice", pod, nil)); d.allowed || d.outcome != outcomeError {
		t.Errorf("nobody knows the tenant: %+v", d)
	}
	a.tenants = owners
	ask("the tenant is as it was", "", 0)

	feed = &sidecarconfig.Feed{Address: feed.Address, ServerName: feed.ServerName, CA: feed.CA + feed.CA}
	ask("another feed", "fw-sidecar-genuine", 1)
	good := feed
	a.sidecars.feed = func() (*sidecarconfig.Feed, error) { return nil, errBroken }
	if d := a.Validate(t.Context(), newRequest(podCreate, "alice", pod, nil)); d.allowed || d.outcome != outcomeError {
		t.Errorf("nobody knows the feed: %+v", d)
	}
	feed, err = testFeed()
	if err != nil {
		t.Fatal(err)
	}
	a.sidecars.feed = func() (*sidecarconfig.Feed, error) { return feed, nil }
	ask("the feed is as it was", "", 0)
	feed = good
	ask("another feed again", "fw-sidecar-genuine", 0)

	if feed, err = testFeed(); err != nil {
		t.Fatal(err)
	}
	rules = &counting{Engine: engine(t)}
	a.engine = always(rules)
	ask("other rules", "", 1)
	ask("other rules again", "", 0)
}

// flaky fails when it is told to.
type flaky struct {
	Engine
	err error
}

func (f *flaky) Evaluate(ctx context.Context, in rego.Input) (rego.Result, error) {
	if f.err != nil {
		return rego.Result{}, f.err
	}
	return f.Engine.Evaluate(ctx, in)
}

// TestErrorsAreNotRemembered: nor is a pod that cannot be read.
func TestErrorsAreNotRemembered(t *testing.T) {
	a := newTestAdmission(t)
	rules := &flaky{Engine: engine(t)}
	a.engine = always(rules)
	pod := mutated(t, a, "alice", podJSON(t, tokenPod))
	ask := func(ctx context.Context) decision { return a.Validate(ctx, newRequest(podCreate, "alice", pod, nil)) }
	rules.err = errors.New("out of memory")
	if d := ask(t.Context()); d.allowed || d.outcome != outcomeError {
		t.Errorf("the rules fail: %+v", d)
	}
	rules.err = nil
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if d := ask(late); d.allowed || d.outcome != outcomeError {
		t.Errorf("the deadline has passed: %+v", d)
	}
	unreadable := newRequest(podCreate, "alice", bytes.Replace(pod, []byte(`"containers"`), []byte(`"containers":[],"containers"`), 1), nil)
	if d := a.Validate(t.Context(), unreadable); d.allowed || d.outcome != outcomeError {
		t.Errorf("a doubled field: %+v", d)
	}
	if n := len(a.decisions.byKey); n != 0 {
		t.Errorf("%d errors are remembered", n)
	}
	for _, want := range []lookup{lookupMiss, lookupHit} {
		if d := ask(t.Context()); !d.allowed || d.lookup != want {
			t.Errorf("then: %+v", d)
		}
	}
}

// plainRules have no canonical form.
type plainRules struct{ Engine }

func (plainRules) Canonical(in rego.Input) rego.Input { return in }

// fresh decides on every pod as it came, and remembers nothing.
func fresh(a *Admission) *Admission {
	other := *a
	other.engine, other.decisions = always(plainRules{a.engine()}), newDecisions(0)
	return &other
}

// same tells whether two decisions differ in nothing but how they were come by.
func same(a, b decision) bool {
	a.lookup, b.lookup = "", ""
	return reflect.DeepEqual(a, b)
}

// TestNothingIsPoisoned: after a good pod was let in, one that only looks like it is
// decided as if nothing had been before.
func TestNothingIsPoisoned(t *testing.T) {
	a := newTestAdmission(t)
	good := string(mutated(t, a, "alice", podJSON(t, tokenPod)))
	if d := a.Validate(t.Context(), newRequest(podCreate, "alice", []byte(good), nil)); !d.allowed {
		t.Fatal(d.message)
	}
	const privileged = `"securityContext":{"privileged":true},`
	for name, pair := range map[string][2]string{
		"privileged":                     {`"image":"registry.example/web:1.2.3"`, privileged + `"image":"registry.example/web:1.2.3"`},
		"doubled spec":                   {`"spec":{`, `"spec":{"hostPID":true},"spec":{`},
		"doubled spec, the bad one last": {`"kind":"Pod"`, `"spec":{"hostPID":true},"kind":"Pod"`},
		"doubled metadata":               {`"metadata":{`, `"metadata":{"annotations":{"k8s.v1.cni.cncf.io/networks":"other/net"}},"metadata":{`},
		"spec in metadata":               {`"metadata":{`, `"metadata":{"spec":{"hostPID":true},`},
		"other case of a field":          {`"spec":{`, `"spec":{"hostpid":true,"HostPID":true,`},
		"an unknown field":               {`"spec":{`, `"spec":{"hostUsers2":true,`},
		"escaped name of a field":        {`"spec":{`, `"spec":{"host\u0050ID":true,`},
		"escaped spec":                   {`"spec":{`, `"sp\u0065c":{"hostPID":true},"spec":{`},
		"escaped annotations":            {`"metadata":{`, `"metadata":{"annot\u0061tions":{"k8s.v1.cni.cncf.io/networks":"other/net"},`},
		"invalid UTF-8 in a field":       {`"spec":{`, "\"spec\":{\"hostPID\xff\":true,"},
		"invalid UTF-8 in a value":       {`"name":"web","ports"`, "\"name\":\"web\xff\",\"ports\""},
		"a number with a point":          {`"containerPort":8080`, `"containerPort":8080.0,"hostPort":1`},
		"a number with an exponent":      {`"containerPort":8080`, `"containerPort":8080,"hostPort":1e3`},
		"a large number":                 {`"priority":0`, `"priority":99999999999999999999`},
		"a text for a number":            {`"priority":0`, `"priority":"0"`},
		"null for a list":                {`"tolerations":[`, `"ephemeralContainers":null,"tolerations":[`},
		"null in a list":                 {`"tolerations":[`, `"ephemeralContainers":[null],"tolerations":[`},
		"nested deeply":                  {`"metadata":{`, `"metadata":{"labels":` + strings.Repeat(`{"a":`, 2000) + `1` + strings.Repeat(`}`, 2000) + `,`},
		"hostname is no text":            {`"spec":{`, `"spec":{"hostname":{"privileged":true},`},
		"a node's folder as the token's volume": {
			`"name":"kube-api-access-bcdfg","projected"`, `"name":"kube-api-access-bcdfg","hostPath":{"path":"/"},"projected"`,
		},
		"a node's folder of the canonical name": {
			`"volumes":[`, `"volumes":[{"name":"kube-api-access-xxxxx","hostPath":{"path":"/"}},`,
		},
		"a mount in the sidecar of a volume of the canonical name": {
			`"name":"bulkhead-init"`, `"volumeMounts":[{"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","name":"kube-api-access-\u0078xxxx","readOnly":true}],"name":"bulkhead-init"`,
		},
		"a runtime class that is exempt":     {`"spec":{`, `"spec":{"runtimeClassName":"kata",`},
		"a runtime class that is not exempt": {`"spec":{`, `"spec":{"runtimeClassName":"katb",`},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, pair[0]) {
				t.Fatalf("%s is not in %s", pair[0], good)
			}
			bad := strings.Replace(good, pair[0], pair[1], 1)
			if !json.Valid([]byte(bad)) {
				t.Fatalf("no JSON: %s", bad)
			}
			for range 2 {
				request := newRequest(podCreate, "alice", []byte(bad), nil)
				want := fresh(a).Validate(t.Context(), request)
				if got := a.Validate(t.Context(), request); !same(got, want) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			}
		})
	}
}

// FuzzRemembered: whatever was decided before, a decision is the one that would be made
// afresh.
func FuzzRemembered(f *testing.F) {
	a := newTestAdmission(f)
	for _, namespace := range []string{"alice", "warned", "default"} {
		for _, spec := range append(slices.Collect(maps.Values(podShapes)), tokenPod) {
			f.Add(namespace, mutated(f, a, namespace, podJSON(f, spec)))
		}
	}
	f.Fuzz(func(t *testing.T, namespace string, pod []byte) {
		if !json.Valid(pod) {
			return // no part of an AdmissionReview that could be read
		}
		request := newRequest(podCreate, namespace, pod, nil)
		want := fresh(a).Validate(t.Context(), request)
		for range 2 {
			if got := a.Validate(t.Context(), request); !same(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		}
	})
}

// TestRememberedIsNotChanged: reviews by many at a time leave what they share alone.
func TestRememberedIsNotChanged(t *testing.T) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	t.Cleanup(func() { klog.LogToStderr(true) })
	a := newTestAdmission(t)
	handler := &reviewHandler{"validate", a.Validate, NewMetrics(metrics.NewKubeRegistry()), NewDecisionLog(io.Discard), &events{}}
	bodies := map[string][]byte{}
	for _, namespace := range []string{"alice", "warned", "audited"} {
		bodies[namespace] = reviewJSON(t, newRequest(podCreate, namespace, podJSON(t, experiment8), nil))
	}
	answer := func(body []byte) string {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		handler.ServeHTTP(recorder, request)
		return recorder.Body.String()
	}
	want := map[string]string{}
	for namespace, body := range bodies {
		want[namespace] = answer(body)
	}
	var askers sync.WaitGroup
	for range 4 {
		askers.Go(func() {
			for range 50 {
				for namespace, body := range bodies {
					if got := answer(body); got != want[namespace] {
						t.Errorf("%s: got  %s\nwant %s", namespace, got, want[namespace])
					}
				}
			}
		})
	}
	askers.Wait()
}
