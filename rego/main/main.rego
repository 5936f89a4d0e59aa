# METADATA
# title: Entry point
# description: |
#   The one query of the engine. `input.rules` names the rules that count for the
#   request; the answer holds one entry for each that ran, with the set of its
#   violations. The engine compares the answer with what it asked for: a rule
#   without an entry did not run, and the request is denied.
package main

# METADATA
# entrypoint: true
ran[category][rule] := data.rules[category][rule].violations if {
	some [category, rule] in input.rules
}
