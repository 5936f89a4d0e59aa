package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bulkhead-dev/bulkhead/rego"
)

// CheckRules returns an error unless the rules refuse what no level but privileged
// lets pass.
func CheckRules(ctx context.Context, engine Engine) error {
	result, err := engine.Evaluate(ctx, rego.Input{
		Request: rego.Request{Operation: rego.Create, Resource: "pods"},
		Object:  json.RawMessage(`{"spec": {"hostNetwork": true, "containers": [{"name": "probe", "securityContext": {"privileged": true}}]}}`),
		Enforce: rego.Level{Name: rego.Baseline, Version: rego.Latest},
	})
	if err != nil {
		return fmt.Errorf("check rules: %w", err)
	}
	if len(result.Violations) == 0 {
		return errors.New("check rules: a privileged pod violates none")
	}
	return nil
}
