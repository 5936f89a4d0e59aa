package rego

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Rule is what the METADATA of a rule's package says.
type Rule struct {
	// ID is stable and unique: the prefix of the category and the rule's name.
	ID          string `json:"id"`
	Category    string `json:"-"`
	Name        string `json:"-"`
	Title       string `json:"-"`
	Description string `json:"-"`
	Related     []Link `json:"-"`
	// Severity is critical, high, medium or low.
	Severity string `json:"severity"`
	// Threats are the ids of docs/threat-model.md that the rule answers to.
	Threats []string `json:"threat"`
	// Level is the level of the Pod Security Standards from which on the rule
	// counts; empty for rules that do not belong to them.
	Level string `json:"level"`
	// Since is the first version of Kubernetes whose Pod Security Standards hold the
	// rule; empty: all. What of the rule changed later, its violations say.
	Since string `json:"since"`
	// Overrides are the rules that this one replaces at its level.
	Overrides []string `json:"overrides"`
	// Resources that the rule judges; by default pods.
	Resources []string `json:"resources"`
	// Operations for which the rule counts; by default CREATE and UPDATE.
	Operations []string `json:"operations"`
	// Always says that a rule without Level counts without a tenant too.
	Always bool `json:"always"`
	// Avoid and Prefer are objects, as YAML, that the rule refuses and lets pass.
	Avoid  string `json:"avoid"`
	Prefer string `json:"prefer"`

	file  string  // of its module
	since version // Since
}

// Link leads to further reading.
type Link struct {
	Title, URL string
}

var threatID = regexp.MustCompile(`^[PSDLA][0-9]+$`)

// readRules reads the rules from the modules under data.rules, sorted by id. The
// error lists all that is wrong.
func readRules(modules map[string]*ast.Module) ([]Rule, error) {
	var rules []Rule
	var errs []error
	seen := map[string]string{}
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		module := modules[path]
		category, name, ok := rulePackage(module.Package.Path)
		if !ok {
			continue
		}
		rule, err := readRule(module, category, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		if other, taken := seen[rule.ID]; taken {
			errs = append(errs, fmt.Errorf("%s: id %s is taken by %s", path, rule.ID, other))
		}
		rule.file = path
		seen[rule.ID] = path
		rules = append(rules, rule)
	}
	for _, rule := range rules {
		for _, id := range rule.Overrides {
			if seen[id] == "" {
				errs = append(errs, fmt.Errorf("rule %s overrides %s, which does not exist", rule.ID, id))
			}
		}
	}
	if len(rules) == 0 {
		errs = append(errs, errors.New("no rules"))
	}
	slices.SortFunc(rules, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
	return rules, errors.Join(errs...)
}

// rulePackage splits data.rules.<category>.<name> and data.bulkhead.custom.<name>.
func rulePackage(path ast.Ref) (category, name string, ok bool) {
	root := ast.String("")
	if len(path) > 1 {
		root, _ = path[1].Value.(ast.String)
	}
	if root != "rules" && root != "bulkhead" {
		return "", "", false
	}
	if len(path) != 4 {
		return "", path.String(), true
	}
	return string(path[2].Value.(ast.String)), string(path[3].Value.(ast.String)), true
}

func readRule(module *ast.Module, category, name string) (Rule, error) {
	rule := Rule{Category: category, Name: name, Resources: []string{pods}, Operations: []string{Create, Update}}
	for _, annotation := range module.Annotations {
		if annotation.Scope != "package" {
			continue
		}
		custom, err := json.Marshal(annotation.Custom)
		if err != nil {
			return Rule{}, fmt.Errorf("read METADATA: %w", err)
		}
		decoder := json.NewDecoder(strings.NewReader(string(custom)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&rule); err != nil {
			return Rule{}, fmt.Errorf("read METADATA: custom: %w", err)
		}
		rule.Title, rule.Description = annotation.Title, strings.TrimSpace(annotation.Description)
		for _, resource := range annotation.RelatedResources {
			rule.Related = append(rule.Related, Link{resource.Description, resource.Ref.String()})
		}
	}
	if versions, err := parseSpan(rule.Since, ""); err != nil {
		return Rule{}, fmt.Errorf("read METADATA: %w", err)
	} else {
		rule.since = versions.since
	}
	exports := slices.ContainsFunc(module.Rules, func(r *ast.Rule) bool { return r.Head.Name == "violations" })
	return rule, rule.validate(exports)
}

func (r Rule) validate(exports bool) error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	prefix, known := map[string]string{"pod_security": "pss-", "firewall": "fw-", "service_path": "svc-", custom: "custom-"}[r.Category]
	require(known, "category %q is unknown", r.Category)
	id := prefix + strings.ReplaceAll(r.Name, "_", "-")
	require(r.ID == id, "METADATA: id is %q, not %q", r.ID, id)
	require(r.Title != "" && r.Description != "", "METADATA: title or description is missing")
	severities := []string{"critical", "high", "medium", "low"}
	require(slices.Contains(severities, r.Severity), "METADATA: severity %q is none of %q", r.Severity, severities)
	require(len(r.Threats) > 0 || r.Category == custom, "METADATA: threat is missing")
	for _, threat := range r.Threats {
		require(threatID.MatchString(threat), "METADATA: threat %q is not an id of the threat model", threat)
	}
	if r.Category == "pod_security" {
		require(r.Level == Baseline || r.Level == Restricted, "METADATA: level %q is neither baseline nor restricted", r.Level)
	} else {
		require(r.Level == "" && r.Since == "", "METADATA: level %q or since %q outside pod_security", r.Level, r.Since)
	}
	require(len(r.Resources) > 0, "METADATA: resources is empty")
	for _, resource := range r.Resources {
		require(documentOf(Request{Resource: resource}) != "", "METADATA: resource %q is unknown", resource)
	}
	require(len(r.Overrides) == 0 || r.Category == "pod_security", "METADATA: overrides outside pod_security")
	require(len(r.Operations) > 0, "METADATA: operations is empty")
	for _, operation := range r.Operations {
		require(slices.Contains(operations(), operation), "METADATA: operation %q is none of %q", operation, operations())
	}
	require(exports, "no rule violations")
	return errors.Join(errs...)
}
