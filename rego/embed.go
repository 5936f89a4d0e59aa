package rego

import "embed"

// modules are the rules as they are compiled into the binary. The pattern takes
// the tests beside them too; load leaves those out.
//
//go:embed main/*.rego lib/*/*.rego rules/*/*/*.rego
var modules embed.FS
