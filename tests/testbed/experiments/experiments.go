// Package experiments plays the security experiments of the thesis that Bulkhead grew out of, on a real cluster, each
// first without Bulkhead and then with it. The demo and the end-to-end test are both this.
//
// An experiment is a script of what two tenants do. It ends in an Outcome: what the one who must not get through, got.
// Played without Bulkhead every experiment has to end in Reached, or it would prove nothing that it ends otherwise
// with it. Steps that an experiment rests on (the server answers its own tenant, the rules that will be attacked do
// block before) are checked on the way; when one fails there is no outcome but an error.
package experiments

import (
	"context"
	"fmt"
)

// play is a script: it returns what the attempt came to, and what a person wants to know of how.
type play func(context.Context, *stage) (Outcome, string, error)

// experiment is what is tried, and played twice.
type experiment struct {
	id, name      string
	without, with play
	expected      Outcome // with Bulkhead; without it always Reached
}

// all lists the experiments that are played, by the thesis' numbers.
func all() []experiment {
	return []experiment{
		{"security-1", "wget from one tenant to another", crossTenant, crossTenant, Blocked},
		{"security-2", "wget within a tenant", sameTenant, sameTenant, Reached},
		{"security-6", "the attacker flushes its own pod's rules", attackerFlushes, attackerCannotFlush, Blocked},
		{"security-7", "the victim flushes its own rules by mistake", victimFlushes, victimCannotFlush, Blocked},
		{"security-8", "the attacker flushes the victim's rules by nsenter", attackerEnters, attackerIsRefused, Denied},
	}
}

func crossTenant(ctx context.Context, s *stage) (Outcome, string, error) {
	pods, err := s.start(ctx, role{alice, "server", nil}, role{alice, "client", nil}, role{bob, "client", nil})
	if err != nil {
		return "", "", err
	}
	server, friend, stranger := pods[0], pods[1], pods[2]
	if err := s.expect(ctx, Reached, friend, server, "to see that the server is up"); err != nil {
		return "", "", err
	}
	outcome, err := s.wget(ctx, stranger, server)
	return outcome, fmt.Sprintf("bob's wget to alice's server at %v", s.addresses(server)), err
}

func sameTenant(ctx context.Context, s *stage) (Outcome, string, error) {
	pods, err := s.start(ctx, role{alice, "server", nil}, role{alice, "client", nil})
	if err != nil {
		return "", "", err
	}
	server, friend := pods[0], pods[1]
	outcome, err := s.wget(ctx, friend, server)
	return outcome, fmt.Sprintf("alice's wget to her own server at %v", s.addresses(server)), err
}
