# METADATA
# title: Entry point
# description: |
#   The one query of the engine. `input.rules` names the rules that count for the
#   request, by id; the answer holds the violations of each that ran, by id. The engine
#   compares the two: a rule that is not in the answer did not run, and the request is
#   denied.
package main

# METADATA
# description: Rules of administrators, of category custom, have packages of their own.
# scope: document
# entrypoint: true
ran[id] := data.rules[category][name].violations if some id, [category, name] in input.rules

ran[id] := data.bulkhead.custom[name].violations if some id, ["custom", name] in input.rules
