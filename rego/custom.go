package rego

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// custom is the category of the rules that administrators add; they have ids of their
// own, and packages bulkhead.custom.<name>.
const custom = "custom"

var customName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// loadCustom parses the sources of custom rules, by file name, but the tests among them.
// Each file is one rule. The error lists all that is wrong.
func loadCustom(sources map[string]string) (map[string]*ast.Module, error) {
	parsed := map[string]*ast.Module{}
	packages := map[string]string{}
	var errs []error
	for _, file := range slices.Sorted(maps.Keys(sources)) {
		if strings.HasSuffix(file, "_test.rego") {
			continue
		}
		if !strings.HasSuffix(file, ".rego") {
			errs = append(errs, fmt.Errorf("%s: is no .rego file", file))
			continue
		}
		path := custom + "/" + file
		module, err := parse(path, sources[file])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		category, name, ok := rulePackage(module.Package.Path)
		if !ok || category != custom || !customName.MatchString(name) {
			errs = append(errs, fmt.Errorf("%s: package is %s, not bulkhead.custom.<name>, of lower-case letters, digits and underscores",
				path, strings.TrimPrefix(module.Package.Path.String(), "data.")))
			continue
		}
		if other, taken := packages[name]; taken {
			errs = append(errs, fmt.Errorf("%s: package bulkhead.custom.%s is that of %s", path, name, other))
		}
		packages[name] = path
		parsed[path] = module
	}
	return parsed, errors.Join(errs...)
}
