#!/usr/bin/env bash
# What OPA itself can say of the rules. Without argument: format, strict compilation
# against the schema of their input, tests, and that the tests reach every line.
# With `lint`: only the first two. OPA names the binary.
set -euo pipefail
cd "$(dirname "$0")"
opa=${OPA:-opa}

"$opa" fmt --list --fail .
"$opa" check --strict --schema schema/input.json .
if [ "${1:-}" = lint ]; then exit; fi

"$opa" test .
"$opa" test --coverage --threshold 100 --format json . >/dev/null
