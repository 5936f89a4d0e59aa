package rego

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// schemaFile describes the query's input.
const schemaFile = "schema/input.json"

// load parses all modules but the tests. The error lists all that is wrong.
func load(files fs.FS) (map[string]*ast.Module, error) {
	parsed := map[string]*ast.Module{}
	var errs []error
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".rego") || strings.HasSuffix(path, "_test.rego") {
			return err
		}
		source, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		parsed[path], err = parse(path, string(source))
		errs = append(errs, err)
		return nil
	})
	return parsed, errors.Join(append(errs, err)...)
}

func parse(path, source string) (*ast.Module, error) {
	module, err := ast.ParseModuleWithOpts(path, source, ast.ParserOptions{
		ProcessAnnotation: true,
		RegoVersion:       ast.RegoV1,
		Capabilities:      capabilities(),
	})
	if err == nil && module == nil {
		err = fmt.Errorf("%s: is empty", path)
	}
	return module, err
}

// compile compiles the modules strictly, and holds every reference to the input
// against the schema: a rule cannot ask for what the document does not hold.
func compile(modules map[string]*ast.Module, schema []byte) (*ast.Compiler, error) {
	var decoded any
	if err := json.Unmarshal(schema, &decoded); err != nil {
		return nil, fmt.Errorf("parse schema: %w", err)
	}
	schemas := ast.NewSchemaSet()
	schemas.Put(ast.SchemaRootRef, decoded)
	compiler := ast.NewCompiler().SetErrorLimit(0).WithStrict(true).WithCapabilities(capabilities()).WithSchemas(schemas)
	if compiler.Compile(modules); compiler.Failed() {
		return nil, compiler.Errors
	}
	return compiler, nil
}

// capabilities are OPA's less every built-in whose result depends on anything but
// its arguments: network, time, randomness, environment. A decision is a function
// of its input.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	// These compare with the time at which they run, which OPA does not mark.
	clocked := []string{
		ast.JWTDecodeVerify.Name,
		ast.CryptoX509ParseAndVerifyCertificates.Name,
		ast.CryptoX509ParseAndVerifyCertificatesWithOptions.Name,
	}
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		return b.IsNondeterministic() || slices.Contains(clocked, b.Name)
	})
	c.AllowNet = []string{}
	return c
}
