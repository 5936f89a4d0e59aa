package rego

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// inputRefs returns what the compiled modules read of the input: paths, each as far as
// it is known when they are compiled.
func inputRefs(compiler *ast.Compiler) [][]string {
	var paths [][]string
	for _, module := range compiler.Modules {
		ast.WalkRefs(module, func(ref ast.Ref) bool {
			if !ref[0].Equal(ast.InputRootDocument) {
				return false
			}
			path := []string{}
			for _, term := range ref[1:] {
				name, known := term.Value.(ast.String)
				if !known {
					break
				}
				path = append(path, string(name))
			}
			paths = append(paths, path)
			return false
		})
	}
	return paths
}

// prune takes out of the shape at a path of the input what nobody reads: the documents
// of an engine hold what its rules read, and nothing else.
func (s *shape) prune(paths [][]string, at ...string) {
	for name, field := range s.properties {
		path := append(slices.Clone(at), name)
		read := slices.ContainsFunc(paths, func(read []string) bool {
			shared := min(len(read), len(path))
			return slices.Equal(read[:shared], path[:shared])
		})
		if read || slices.Contains(s.required, name) {
			field.shape.prune(paths, path...)
		} else {
			delete(s.properties, name)
		}
	}
}

// below returns how the paths go on behind a name; one that ended before reads all.
func below(paths [][]string, name string) [][]string {
	var rest [][]string
	for _, path := range paths {
		if len(path) == 0 {
			rest = append(rest, path)
		} else if path[0] == name {
			rest = append(rest, path[1:])
		}
	}
	return rest
}

// has tells whether the shape has the field.
func (s *shape) has(name string) bool {
	_, ok := s.properties[name]
	return ok
}

// at is the shape of a field; nil if there is no such field.
func (s *shape) at(name string) *shape {
	if s == nil {
		return nil
	}
	return s.properties[name].shape
}

// keep makes an object of the fields that the shape has; a nil shape has none.
func (s *shape) keep(fields ...[2]*ast.Term) *ast.Term {
	return ast.ObjectTerm(slices.DeleteFunc(fields, func(field [2]*ast.Term) bool {
		name, _ := field[0].Value.(ast.String)
		return s == nil || !s.has(string(name))
	})...)
}
