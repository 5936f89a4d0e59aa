package charts

import (
	"os"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

// TestOldestKubernetesTakesExpressions: an API server compiles new expressions with
// what the version before its own knew already, and refuses others.
func TestOldestKubernetesTakesExpressions(t *testing.T) {
	before := oldest(t).SubtractMinor(1)
	for _, values := range []string{"", policyValues, "validatingAdmissionPolicy: {namespaces: [alice]}"} {
		all := objects(t, template(t, values))
		for _, policy := range pick[*admissionregistrationv1.ValidatingAdmissionPolicy](t, all) {
			compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(before))
			if err != nil {
				t.Fatal(err)
			}
			declared := cel.OptionalVariableDeclarations{HasParams: policy.Spec.ParamKind != nil, HasAuthorizer: true}
			compile := func(name string, accessor cel.ExpressionAccessor) {
				if result := compiler.CompileCELExpression(accessor, declared, environment.NewExpressions); result.Error != nil {
					t.Errorf("%s, %s: %v", policy.Name, name, result.Error)
				}
			}
			for _, variable := range policy.Spec.Variables {
				accessor := &validating.Variable{Name: variable.Name, Expression: variable.Expression}
				if result := compiler.CompileAndStoreVariable(accessor, declared, environment.NewExpressions); result.Error != nil {
					t.Errorf("%s, variable %s: %v", policy.Name, variable.Name, result.Error)
				}
			}
			for _, condition := range policy.Spec.MatchConditions {
				compile("condition "+condition.Name, (*matchconditions.MatchCondition)(&condition))
			}
			for _, validation := range policy.Spec.Validations {
				compile("validation", &validating.ValidationCondition{Expression: validation.Expression})
				compile("message", &validating.MessageExpressionCondition{MessageExpression: validation.MessageExpression})
			}
		}
		for _, hook := range one[*admissionregistrationv1.ValidatingWebhookConfiguration](t, all).Webhooks {
			compiler := cel.NewCompiler(environment.MustBaseEnvSet(before))
			for _, condition := range hook.MatchConditions {
				result := compiler.CompileCELExpression((*matchconditions.MatchCondition)(&condition), cel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.NewExpressions)
				if result.Error != nil {
					t.Errorf("%s, condition %s: %v", hook.Name, condition.Name, result.Error)
				}
			}
		}
	}
}

// oldest is the first version of Kubernetes that the chart is for.
func oldest(t *testing.T) *version.Version {
	t.Helper()
	data, err := os.ReadFile("bulkhead/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var chart struct{ KubeVersion string }
	if err := yaml.Unmarshal(data, &chart); err != nil {
		t.Fatal(err)
	}
	number, found := strings.CutPrefix(chart.KubeVersion, ">=")
	if !found {
		t.Fatalf("kubeVersion is %q", chart.KubeVersion)
	}
	return version.MustParseGeneric(strings.TrimSuffix(number, "-0"))
}
