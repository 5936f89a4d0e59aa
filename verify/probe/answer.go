// Package probe is what the pods of `bulkhead verify` run: a server that notes what arrives, and the attempts of a
// tenant to get where it must not: plain connections, forged packets, flushed firewalls. An attacker's tool box of one
// static binary, so that the same attempts are made with Bulkhead and without.
//
// Every attempt is one command that package verify runs in a pod by exec, or as a container's own program. It ends in
// one Answer on stdout, and with exit code 0 whatever came of it; anything else means that the attempt was not made.
// An Answer is what the sender saw; whether a forged packet arrived only its receiver knows, which is asked by `seen`.
package probe

import "fmt"

// Path is where the probe lies in its image.
const Path = "/bulkhead-probe"

// The ports of a probe that serves. ReadyPort is the only one that probes of the kubelet name, and so the only one that
// a firewall has to open to nodes.
const (
	ServicePort = 8080 // HTTP: who answers
	ReadyPort   = 8081 // HTTP: the same, and the pod's readiness probe
	DataPort    = 7000 // UDP: payloads are noted
	controlPort = 8079 // HTTP on loopback: what was noted
)

// EncapsulationPorts are UDP ports at which nodes unpack overlays: VXLAN (RFC 7348), Linux' and flannel's VXLAN,
// Geneve (RFC 8926). A probe that serves notes what arrives there too.
func EncapsulationPorts() []int { return []int{4789, 8472, 6081} }

// Outcome is what an attempt came to.
type Outcome string

// The outcomes of an attempt.
const (
	Reached Outcome = "reached" // answered, arrived, sent or done
	Blocked Outcome = "blocked" // nothing came back in time, or there is no way there
	Refused Outcome = "refused" // the sender's own kernel said EPERM: its firewall, or a missing capability
)

// Answer is what a command prints: one for each target that it tried.
type Answer struct {
	Target  string   `json:"target,omitempty"` // as given
	Outcome Outcome  `json:"outcome"`
	Said    []string `json:"said,omitempty"`   // who answered, sorted
	Detail  string   `json:"detail,omitempty"` // what the kernel or a tool said
}

func (a Answer) String() string {
	text := string(a.Outcome)
	if a.Target != "" {
		text = a.Target + " " + text
	}
	if len(a.Said) > 0 {
		text = fmt.Sprintf("%s by %v", text, a.Said)
	}
	if a.Detail != "" {
		text += " (" + a.Detail + ")"
	}
	return text
}

// Greeting is what a probe of this name says to who asks.
func Greeting(name string) string { return "what belongs to " + name }
