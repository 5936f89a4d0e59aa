package rego

import "embed"

// files are the rules and the schema of their input as they are compiled into the
// binary. The pattern takes the tests beside the rules too; load leaves those out.
//
//go:embed main/*.rego lib/*/*.rego rules/*/*/*.rego schema/input.json
var files embed.FS
