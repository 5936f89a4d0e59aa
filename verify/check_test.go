package verify

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/verify/probe"
)

// TestChecksAreWellFormed: ids are unique, threats have rows in the threat model, and all there is to tell is told.
func TestChecksAreWellFormed(t *testing.T) {
	model, err := os.ReadFile("../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range checks() {
		if seen[c.id] {
			t.Errorf("two checks have the id %s", c.id)
		}
		seen[c.id] = true
		if c.name == "" || c.baseline == nil || c.protected == nil || len(c.threats) == 0 {
			t.Errorf("%s: something is left out", c.id)
		}
		if !slices.Contains([]Outcome{Reached, Blocked, Denied}, c.with) {
			t.Errorf("%s expects %q", c.id, c.with)
		}
		for _, threat := range c.threats {
			if !regexp.MustCompile(`(?m)^\| ` + threat + ` \|`).Match(model) {
				t.Errorf("%s answers to threat %s, which has no row", c.id, threat)
			}
		}
	}
	for i := range 8 {
		if id := fmt.Sprintf("security-%d", i+1); !seen[id] {
			t.Errorf("experiment %s of the thesis is missing", id)
		}
	}
}

// TestPageNamesEveryCheck holds docs/verify.md to the checks, both ways.
func TestPageNamesEveryCheck(t *testing.T) {
	page, err := os.ReadFile("../docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, match := range regexp.MustCompile("(?m)^\\| `([A-Za-z][A-Za-z0-9-]*)` \\|").FindAllStringSubmatch(string(page), -1) {
		named = append(named, match[1])
	}
	var ids []string
	for _, c := range checks() {
		ids = append(ids, c.id)
	}
	if !slices.Equal(named, ids) {
		t.Errorf("docs/verify.md names\n%v, the checks are\n%v", named, ids)
	}
}

func TestJudge(t *testing.T) {
	limited, free := check{limit: "because"}, check{}
	for name, test := range map[string]struct {
		check          check
		protected      bool
		expected, seen Outcome
		err            error
		want           Verdict
	}{
		"as expected":                     {free, true, Blocked, Blocked, nil, Pass},
		"stopped earlier":                 {free, true, Blocked, Denied, nil, Pass},
		"stopped later":                   {free, true, Denied, Blocked, nil, Fail},
		"got through":                     {free, true, Blocked, Reached, nil, Fail},
		"got through, as is known":        {limited, true, Denied, Reached, nil, KnownLimit},
		"no longer a limit":               {limited, true, Denied, Denied, nil, Pass},
		"must work and does not":          {free, true, Reached, Blocked, nil, Fail},
		"attack works":                    {free, false, Reached, Reached, nil, Pass},
		"attack does not work":            {free, false, Reached, Blocked, nil, Fail},
		"a limit is none without it":      {limited, false, Reached, Denied, nil, Fail},
		"control failed":                  {free, true, Blocked, "", errors.New("control"), Unknown},
		"control failed, known limit":     {limited, true, Blocked, "", errors.New("control"), Unknown},
		"has no place here":               {free, true, Blocked, "", skipf("no IPv6"), Skipped},
		"has no place here, wrapped":      {free, true, Blocked, "", fmt.Errorf("play: %w", skipf("no IPv6")), Skipped},
		"an error outweighs what is said": {free, true, Blocked, Blocked, errors.New("late"), Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.check.judge(test.protected, false, test.expected, test.seen, test.err); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// TestNoLimitOfIdentity: what is known not to be prevented is so with addressing cidr only.
func TestNoLimitOfIdentity(t *testing.T) {
	if got := (check{limit: "because"}).judge(true, true, Blocked, Reached, nil); got != Fail {
		t.Errorf("%s, want %s", got, Fail)
	}
}

// TestOutcome: with Bulkhead one that is reached is one too many, without it one that is not is too few.
func TestOutcome(t *testing.T) {
	reached, blocked, refused := probe.Answer{Outcome: probe.Reached}, probe.Answer{Outcome: probe.Blocked}, probe.Answer{Outcome: probe.Refused}
	for name, test := range map[string]struct {
		answers           []probe.Answer
		without, with, by Outcome
	}{
		"all":   {[]probe.Answer{reached, reached}, Reached, Reached, Reached},
		"some":  {[]probe.Answer{blocked, reached}, Blocked, Reached, Blocked},
		"none":  {[]probe.Answer{blocked, refused}, Blocked, Blocked, Blocked},
		"alone": {[]probe.Answer{refused}, Blocked, Blocked, Blocked},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&stage{}).outcome(test.answers); got != test.without {
				t.Errorf("without: %s, want %s", got, test.without)
			}
			if got := (&stage{protected: true}).outcome(test.answers); got != test.with {
				t.Errorf("with: %s, want %s", got, test.with)
			}
			if got := all(test.answers); got != test.by {
				t.Errorf("must work: %s, want %s", got, test.by)
			}
		})
	}
}

func TestWorst(t *testing.T) {
	for _, test := range []struct {
		protected   bool
		a, b, worst Outcome
	}{
		{true, Blocked, Blocked, Blocked},
		{true, Blocked, Reached, Reached},
		{true, Reached, Blocked, Reached},
		{false, Reached, Reached, Reached},
		{false, Blocked, Reached, Blocked},
		{false, Reached, Blocked, Blocked},
	} {
		if got := (&stage{protected: test.protected}).worst(test.a, test.b); got != test.worst {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

// TestRefusal: only Bulkhead's own refusals, by the rule that is meant, count as denied.
func TestRefusal(t *testing.T) {
	forbidden := func(text string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", errors.New(text))
	}
	for name, test := range map[string]struct {
		err    error
		denied bool
		fails  bool
	}{
		"admitted": {nil, false, false},
		"by the webhook": {forbidden(`admission webhook "validate.bulkhead.dev" denied the request: violates PodSecurity "baseline:latest": pss-privileged: container "app"`),
			true, false},
		"by the policy in the API server": {forbidden("ValidatingAdmissionPolicy 'bulkhead-pods' with binding 'bulkhead-pods' denied request: pss-privileged: container"),
			true, false},
		"by another rule of ours": {forbidden("admission webhook denied the request: fw-net-raw: container"), false, true},
		"by another webhook":      {forbidden("admission webhook denied the request: privileged pods are not welcome"), false, true},
		"by RBAC":                 {forbidden("user cannot create pods"), false, true},
		"no answer":               {errors.New("failed calling webhook: pss-privileged denied the request"), false, true},
		"longer name of a rule":   {forbidden("denied the request: pss-privilege-escalation: container"), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			denied, _, err := (&stage{}).refusal(test.err, "pss-privileged")
			if denied != test.denied || (err != nil) != test.fails {
				t.Errorf("denied %t, %v", denied, err)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	all := []check{{id: "security-1", threats: []string{"P1"}}, {id: "P2", threats: []string{"P2"}}, {id: "P6", threats: []string{"P6", "P2"}}}
	for name, test := range map[string]struct {
		want, skip []string
		chosen     string // empty: an error
	}{
		"all":                      {nil, nil, "security-1 P2 P6"},
		"by id":                    {[]string{"P6"}, nil, "P6"},
		"an id before the threat":  {[]string{"P2"}, nil, "P2"},
		"by threat":                {[]string{"P1"}, nil, "security-1"},
		"without one":              {nil, []string{"P2"}, "security-1 P6"},
		"order is the list's":      {[]string{"P6", "security-1"}, nil, "security-1 P6"},
		"unknown":                  {[]string{"P77"}, nil, ""},
		"unknown to skip":          {nil, []string{"P77"}, ""},
		"nothing left":             {[]string{"P2"}, []string{"P2"}, ""},
		"case of an id is its own": {[]string{"p2"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			chosen, err := choose(all, test.want, test.skip)
			var ids []string
			for _, c := range chosen {
				ids = append(ids, c.id)
			}
			if got := strings.Join(ids, " "); got != test.chosen || (err == nil) != (test.chosen != "") {
				t.Errorf("chose %q, %v; want %q", got, err, test.chosen)
			}
		})
	}
}

// TestHasSidecar: containers of the sidecar's names are none if they run the tenant's image.
func TestHasSidecar(t *testing.T) {
	with := func(images ...string) *corev1.Pod {
		p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "probe"}}}}
		for i, image := range images {
			p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: []string{"bulkhead-init", "bulkhead-firewall"}[i], Image: image})
		}
		return p
	}
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"genuine":     {with("firewall", "firewall"), true},
		"none":        {with(), false},
		"half":        {with("firewall"), false},
		"an impostor": {with("probe", "probe"), false},
		"one of two":  {with("firewall", "probe"), false},
	} {
		if got := hasSidecar(test.pod); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
